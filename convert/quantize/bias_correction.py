"""Take off each output channel what rounding shifts its mean by.

Rounding the weights and cutting off activations moves the mean of what a layer puts out:

    shift[c] = E[q(W) q(x) - W x] at channel c, over clips and positions

A constant like that does no harm if the bias takes it back (Nagel et al., "Data-Free
Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section 4.2, in its
empirical form). Here x is what the float graph gives to the layer: so each layer's shift is its
own, whatever other layers are in INT8, and one pass over the clips measures all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgevid.convert.graph import PREFIX
from edgevid.convert.quantize.centre import bias_of
from edgevid.convert.quantize.graph_view import GraphView, attribute, drop_unused_constants
from edgevid.convert.quantize.groups import Group
from edgevid.convert.quantize.ranges import Feeds, Progress, no_progress, with_outputs
from edgevid.convert.quantize.weighted import CONVOLUTIONS
from edgevid.convert.session import Session
from edgevid.errors import ConversionError
from edgevid.types import Array, Float32Array

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_REDUCE_BY_INPUT = 18
"""From this opset on ReduceMean takes its axes as an operand."""


def measure_shifts(
    model: ModelProto,
    quantised: ModelProto,
    groups: Sequence[Group],
    feeds: Collection[Feeds],
    *,
    progress: Progress = no_progress,
) -> dict[str, Float32Array]:
    """By how much INT8 moves the mean of each layer's output channels.

    The graph itself takes the means: what is held is one clip, and a sum for each channel.

    Args:
        model: FP32, from `prepare`.
        quantised: What `insert_qdq` made of it.
        groups: Of its placement.
        feeds: One calibration clip each; gone through once.
        progress: Called after every clip.

    Returns:
        First output of a weighted node to `(C,)`: the mean of the rounded output less the
        float one, before the activation function. Only of nodes that are INT8 in `quantised`
        and have, or take, a bias.

    Raises:
        ConversionError: There are no clips, or the graph does not run.
    """
    if not feeds:
        raise ConversionError("there are no clips to calibrate on", "Give videos with --calib")
    probe, means = _probe(model, quantised, groups)
    if not means:
        return {}
    sums: dict[str, Array] = dict.fromkeys(means, np.zeros(()))
    steps = 0
    try:
        session = Session(probe, in_order=True)
        for done, clip in enumerate(feeds, 1):
            for values in session.run_steps(clip):
                steps += 1
                sums = {name: sums[name] + values[means[name]].astype(np.float64) for name in means}
            progress(done, len(feeds))
    except RuntimeError as exc:
        raise ConversionError(f"the graph fails on a calibration clip: {exc}") from None
    return {name: (total / steps).astype(np.float32) for name, total in sums.items()}


def correct_biases(quantised: ModelProto, shifts: Mapping[str, Float32Array]) -> ModelProto:
    """A copy of an INT8 graph whose biases take the shifts back.

    Args:
        quantised: From `insert_qdq`. Nodes that it keeps in float are left alone.
        shifts: From `measure_shifts`, with INT8 everywhere.
    """
    import onnx
    from onnx import numpy_helper

    copy = onnx.ModelProto()
    copy.CopyFrom(quantised)
    view = GraphView(copy)
    for name, shift in shifts.items():
        node = view.producers[name]
        place = _bias(node, view) if _reads_int8_weight(node, view) else None
        if place is None:
            continue
        adds, operand = place
        given = operand < len(adds.input) and adds.input[operand]
        bias = view.value(adds.input[operand]) if given else np.zeros_like(shift)
        tensor = numpy_helper.from_array(
            (bias - shift).astype(np.float32), f"{name}/corrected_bias"
        )
        copy.graph.initializer.append(tensor)
        del adds.input[operand : operand + 1]
        adds.input.insert(operand, tensor.name)
    drop_unused_constants(copy)
    return copy


def _probe(
    model: ModelProto, quantised: ModelProto, groups: Sequence[Group]
) -> tuple[ModelProto, dict[str, str]]:
    """The float graph with an INT8 twin of every layer beside it, fed with float activations.

    Its outputs are the means; the second value says which node's is which.
    """
    import onnx

    view = GraphView(quantised)
    weighted = [view.producers[g.weight.reader] for g in groups if g.weight is not None]
    places = {
        node.output[0]: place
        for node in weighted
        if _reads_int8_weight(node, view) and (place := _bias(node, view)) is not None
    }
    twinned = {*places, *(adds.output[0] for adds, _ in places.values())}
    originals = {node.output[0]: node for node in model.graph.node}
    probe = onnx.ModelProto()
    probe.CopyFrom(quantised)
    del probe.graph.node[:]
    corrected: dict[str, list[str]] = defaultdict(list)
    for name, (adds, _) in places.items():
        corrected[adds.output[0]].append(name)
    twins: dict[str, str] = {}
    means: dict[str, str] = {}
    for node in view.nodes:
        original = originals.get(node.output[0])
        probe.graph.node.append(original or node)
        if original is not None and node.output[0] in twinned:
            probe.graph.node.append(_twin(node, twins))
        # Right behind both, so that they can be let go before the next layer.
        for name in corrected.get(node.output[0], ()):
            means[name] = _add_mean(
                probe, node.output[0], twins[node.output[0]], view.producers[name], view
            )
    known = {t.name for t in probe.graph.initializer}
    probe.graph.initializer.extend(t for t in model.graph.initializer if t.name not in known)
    return with_outputs(probe, list(means.values())), means


def _twin(node: NodeProto, twins: dict[str, str]) -> NodeProto:
    """A copy of `node` with an output of its own, which reads twins where there are some."""
    import onnx

    twin = onnx.NodeProto()
    twin.CopyFrom(node)
    for i, name in enumerate(node.input):
        twin.input[i] = twins.get(name, name)
    twins[node.output[0]] = twin.output[0] = f"{PREFIX}rounded/{node.output[0]}"
    twin.name = twin.output[0]
    return twin


def _add_mean(probe: ModelProto, exact: str, rounded: str, node: NodeProto, view: GraphView) -> str:
    """Put the mean of `rounded - exact` for each channel into the graph; its name."""
    from onnx import helper, numpy_helper

    channels = _channels(node, view)
    # To (N, C, positions); 0 keeps an axis, -1 is what is left.
    shape = (0, channels, -1) if node.op_type in CONVOLUTIONS else (-1, channels, 1)
    shape_name, axes_name = f"{rounded}/shape", f"{rounded}/axes"
    for name, values in ((shape_name, shape), (axes_name, (0, 2))):
        tensor = numpy_helper.from_array(np.array(values, np.int64), name)
        probe.graph.initializer.append(tensor)
    error, flat, mean = (f"{rounded}/{what}" for what in ("error", "flat", "mean"))
    opset = max(o.version for o in probe.opset_import if o.domain in ("", "ai.onnx"))
    by_input = opset >= _REDUCE_BY_INPUT
    reduce = helper.make_node(
        "ReduceMean",
        [flat, axes_name] if by_input else [flat],
        [mean],
        keepdims=0,
        **({} if by_input else {"axes": (0, 2)}),
    )
    probe.graph.node.extend(
        [
            helper.make_node("Sub", [rounded, exact], [error]),
            helper.make_node("Reshape", [error, shape_name], [flat]),
            reduce,
        ]
    )
    return mean


def _bias(node: NodeProto, view: GraphView) -> tuple[NodeProto, int] | None:
    """Which operand of which node a weighted node's bias is, or may become."""
    if node.op_type == "MatMul":
        place = bias_of(node.output[0], view)
        return (view.producers[place[0]], place[1]) if place else None
    has_bias = len(node.input) > 2 and node.input[2]
    if has_bias and node.input[2] not in view.constants:
        return None
    return None if attribute(node, "beta", 1.0) != 1.0 else (node, 2)


def _reads_int8_weight(node: NodeProto, view: GraphView) -> bool:
    """True where the right operand, whose last or first axis makes the channels, is INT8."""
    producer = view.producers.get(node.input[1])
    return (
        producer is not None
        and producer.op_type == "DequantizeLinear"
        and producer.input[0] in view.constants
    )


def _channels(node: NodeProto, view: GraphView) -> int:
    """How many scales the weight has: one for each output channel."""
    scale: str = view.producers[node.input[1]].input[1]
    return int(view.constants[scale].dims[0])
