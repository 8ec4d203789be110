"""Write the two graphs that a cut leaves: the backbone of one frame, and the head.

    clip      uint8 (N, H, W, 3)       ──► backbone ──► features (N, ...)
    features  (N, T, ...)              ──► head     ──► scores (N, C)

The backbone is the part before the cut with T = 1, so that its batch counts frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgevid.convert.graph import BATCH, PREFIX
from edgevid.convert.streaming.axes import Analysis
from edgevid.convert.streaming.cut import Cut, ancestors
from edgevid.convert.streaming.layout import is_row, size_of
from edgevid.convert.streaming.nodes import FEATURES, Nodes
from edgevid.convert.streaming.probe import Probe

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, ValueInfoProto

_REGROUPING = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")


def backbone_of(model: ModelProto, analysis: Analysis, probe: Probe, cut: Cut) -> ModelProto:
    """The graph from frames `(N, H, W, 3)` uint8 BGR to `features`, one row a frame.

    Args:
        model: The whole graph, as it was analysed.
        analysis, probe: Of it.
        cut: Where it ends.
    """
    from onnx import helper

    (frames,) = model.graph.input
    size = probe.shapes[frames.name][2:]
    new = Nodes(model)
    target = cut.tensors[0]
    for node in ancestors(model, [target]):
        new.add(with_one_frame(node, analysis, probe, new))
    new.nodes = _unfolded_once(new, frames.name, size)
    new.rows(target, cut.layouts[0], cut.shape)
    kind = probe.types[target]
    return new.graph(
        [helper.make_tensor_value_info(frames.name, _type(frames), [BATCH, *size])],
        [helper.make_tensor_value_info(FEATURES, kind, [BATCH, *cut.shape])],
    )


def head_of(model: ModelProto, analysis: Analysis, probe: Probe, cut: Cut) -> ModelProto:
    """The graph from `features`, `(N, T, ...)`, to what the whole graph puts out."""
    from onnx import helper

    new = Nodes(model)
    for name, layout in zip(cut.tensors, cut.layouts, strict=True):
        frame = analysis.facts[name].frame
        new.restore(name, layout, analysis.num_frames, frame)
    early = {
        node.output[0]: (analysis.facts[node.input[0]].layout, _part(node))
        for node in model.graph.node
        if node.op_type == "Shape" and node.input[0] in analysis.facts
    }
    outputs = [value.name for value in model.graph.output]
    for node in ancestors(model, outputs, {*cut.tensors, *early}):
        for name in node.input:
            if name in early and name not in new.made:
                new.shape_of(name, *early[name])
        new.add([node])
    batch = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value or BATCH
    shape = [batch, analysis.num_frames, *cut.shape]
    takes = helper.make_tensor_value_info(FEATURES, probe.types[cut.tensors[0]], shape)
    return new.graph([takes], model.graph.output)


def folded_of(model: ModelProto, analysis: Analysis, probe: Probe, cut: Cut) -> ModelProto:
    """Both as one graph again: all frames are a batch of the backbone's.

    clip uint8 (N, T, H, W, 3) ──► backbone ──► (N * T, ...) ──► (N, T, ...) ──► head ──► scores
    """
    import onnx
    from onnx import compose, helper, numpy_helper

    backbone = backbone_of(model, analysis, probe, cut)
    prefix = f"{PREFIX}frame/"
    graph = compose.add_prefix(backbone, prefix, rename_inputs=False).graph
    target = np.array([-1, analysis.num_frames, *cut.shape], np.int64)
    shape = numpy_helper.from_array(target, f"{prefix}window")
    rows = helper.make_node("Reshape", [graph.output[0].name, shape.name], [FEATURES])
    result = head_of(model, analysis, probe, cut)
    nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in result.graph.node]
    del result.graph.node[:], result.graph.input[:]
    result.graph.input.extend(model.graph.input)
    result.graph.node.extend([*graph.node, rows, *nodes])
    result.graph.initializer.extend([*graph.initializer, shape])
    return result


def _part(node: NodeProto) -> slice:
    """Which axes a Shape asks for."""
    said = {attribute.name: attribute.i for attribute in node.attribute}
    return slice(said.get("start"), said.get("end"))


def with_one_frame(
    node: NodeProto, analysis: Analysis, probe: Probe, new: Nodes
) -> list[NodeProto]:
    """What stands for `node` where T is 1."""
    import onnx

    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    fact = next((analysis.facts[o] for o in node.output if o in analysis.facts), None)
    if fact is None:
        return [copy]
    if node.name in analysis.picks or node.op_type in _REGROUPING:
        # Of the frames that a Split deals out, the first is the one that is left.
        output = next(o for o in node.output if analysis.facts[o].frame in (0, fact.frame))
        return [new.reshape(node.input[0], fact.layout.target(1), output)]
    if node.op_type == "Expand":
        target = [1 if is_row(axis) else size_of(axis) for axis in fact.layout.axes]
        copy.input[1] = new.constant(target)
    for position in range(len(node.input)):
        axes = analysis.thin.get((node.name, position))
        if not axes:
            continue
        values = probe.constants[node.input[position]]
        for axis in axes:
            values = np.take(values, [0], axis)
        copy.input[position] = new.constant(values)
        if node.op_type == "Concat":
            like = next(name for name in node.input if name in analysis.facts)
            rows = fact.layout.rows
            copy.input[position] = new.spread(copy.input[position], rows, like, values.ndim)
    return [copy]


def _unfolded_once(new: Nodes, frames: str, size: Sequence[int]) -> list[NodeProto]:
    """The nodes, reading the frames as windows of one: `(N, 1, H, W, 3)`.

    TensorRT takes bytes only where a Cast reads them, so the axis is added behind it.
    """
    window = new.unique(f"{frames}/window")
    nodes: list[NodeProto] = []
    others = [n for n in new.nodes if frames in n.input and n.op_type != "Cast"]
    if any(node.op_type != "Shape" for node in others):
        nodes.append(new.reshape(frames, [-1, 1, *size], window))
    for node in new.nodes:
        nodes.append(node)
        if frames not in node.input:
            continue
        if node.op_type != "Cast":
            node.input[:] = [window if name == frames else name for name in node.input]
            continue
        output, flat = node.output[0], new.unique(f"{frames}/float")
        node.output[0] = flat
        nodes.append(new.reshape(flat, [-1, 1, *size], output))
    return nodes


def _type(value: ValueInfoProto) -> int:
    return int(value.type.tensor_type.elem_type)
