"""FP16, with the nodes that do not bear it kept in FP32; which ones, real frames decide.

A node stays in FP32 where

- it prepares the frames, or is the final softmax or sigmoid;
- one of its activations exceeds `MAX_ACTIVATION` in magnitude on real frames: FP16 ends at
  65504, and has steps of 0.25 already from 256 on;
- its weights reach beyond FP16's range, or all lie below its smallest normal number;
- it carries a state on, or reads one that grows (see `recurrence`): a few real frames do not
  show what a sum reaches after an hour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgevid.convert.answers import ACTIVATIONS, SEE_THROUGH
from edgevid.convert.frames import Window
from edgevid.convert.graph import PREFIX, SCORES
from edgevid.convert.half import is_float_weight, name_nodes, to_half
from edgevid.convert.recurrence import carrying_nodes
from edgevid.convert.session import Session

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

MAX_ACTIVATION = 512.0

_LARGEST = float(np.finfo(np.float16).max)
_SMALLEST = float(np.finfo(np.float16).tiny)


def convert_to_fp16(
    model: ModelProto, windows: Sequence[Window]
) -> tuple[ModelProto, dict[str, str]]:
    """A copy in FP16, and the nodes that stayed in FP32 by name, with the reason.

    Args:
        model: From uint8 frames to float32 `scores`.
        windows: Real frames to take ranges from.
    """
    named = name_nodes(model)
    kept = fp32_nodes(named, windows)
    return to_half(named, kept), kept


def fp32_nodes(model: ModelProto, windows: Sequence[Window]) -> dict[str, str]:
    """The nodes that FP16 must leave alone, by name, with the reason.

    Args:
        model: FP32, every node with a name of its own.
        windows: Real frames to take ranges from.
    """
    sensitive = _sensitive_nodes(model, _peaks(model, windows))
    return {**sensitive, **carrying_nodes(model), **_fixed_nodes(model)}


def _fixed_nodes(model: ModelProto) -> dict[str, str]:
    """Preprocessing, the final activation, and what follows it."""
    kept = {
        node.name: "prepares the frames"
        for node in model.graph.node
        if node.name.startswith(PREFIX)
    }
    producers = {out: node for node in model.graph.node for out in node.output}
    tail: list[NodeProto] = [producers[SCORES]]
    while tail[-1].op_type in SEE_THROUGH and tail[-1].input[0] in producers:
        tail.append(producers[tail[-1].input[0]])
    # Without a final activation only what puts out the scores has to be in FP32.
    last = len(tail) if tail[-1].op_type in ACTIVATIONS else 1
    return kept | {node.name: "makes the scores" for node in tail[:last]}


def _sensitive_nodes(model: ModelProto, peaks: Mapping[str, float]) -> dict[str, str]:
    """Nodes whose activations or weights FP16 does not bear."""
    kept = {}
    weights = _weight_ranges(model)
    for node in model.graph.node:
        names = (*node.input, *node.output)
        peak = max((peaks[name] for name in names if name in peaks), default=0.0)
        ranges = [weights[name] for name in node.input if name in weights]
        # Written so that NaN is kept in FP32 too.
        if not peak <= MAX_ACTIVATION:
            kept[node.name] = f"activations reach {peak:.3g}"
        elif any(r > _LARGEST for r in ranges):
            kept[node.name] = f"weights reach {max(ranges):.3g}"
        elif any(0 < r < _SMALLEST for r in ranges):
            kept[node.name] = f"weights lie below {min(r for r in ranges if r):.3g}"
    return kept


def _weight_ranges(model: ModelProto) -> dict[str, float]:
    """Largest magnitude in each float weight."""
    from onnx import numpy_helper

    ranges = {}
    for tensor in model.graph.initializer:
        if is_float_weight(tensor):
            values = numpy_helper.to_array(tensor)
            ranges[tensor.name] = float(np.abs(values).max()) if values.size else 0.0
    return ranges


def _peaks(model: ModelProto, windows: Sequence[Window]) -> dict[str, float]:
    """Largest magnitude that each float activation reaches on `windows`.

    The graph itself takes the maxima, so that no activation has to be kept.
    """
    probe, tensors = _with_maxima(model)
    session = Session(probe, in_order=True)
    peaks: dict[str, float] = dict.fromkeys(tensors.values(), 0.0)
    for window in windows:
        for values in session.run_steps(window):
            for output, tensor in tensors.items():
                # `maximum` hands NaN on.
                peaks[tensor] = float(np.maximum(peaks[tensor], values[output]))
    return peaks


def _with_maxima(model: ModelProto) -> tuple[ModelProto, dict[str, str]]:
    """A copy that also puts out the largest magnitude of each activation: output to tensor.

    Each maximum is taken right behind the node that makes its tensor, so that the tensor can
    be let go before the next one is made.
    """
    import onnx
    from onnx import TensorProto, helper

    probe = onnx.shape_inference.infer_shapes(model)
    floats = {
        v.name for v in probe.graph.value_info if v.type.tensor_type.elem_type == TensorProto.FLOAT
    }
    tensors: dict[str, str] = {}
    nodes: list[NodeProto] = []
    for node in probe.graph.node:
        nodes.append(node)
        for name in (out for out in node.output if out in floats):
            number = len(tensors)
            magnitude, peak = f"{PREFIX}magnitude_{number}", f"{PREFIX}peak_{number}"
            nodes.append(helper.make_node("Abs", [name], [magnitude]))
            nodes.append(helper.make_node("ReduceMax", [magnitude], [peak], keepdims=0))
            probe.graph.output.append(helper.make_tensor_value_info(peak, TensorProto.FLOAT, []))
            tensors[peak] = name
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del probe.graph.node[:]
    probe.graph.node.extend(copies)
    return probe, tensors
