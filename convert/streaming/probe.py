"""What shapes a graph's tensors really have: measured on real frames, not inferred."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from edgevid.convert.graph import PREFIX, reads
from edgevid.convert.session import Session
from edgevid.types import Array

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_NO_TENSOR = ("Sequence", "SplitToSequence", "Optional")
_SMALL = 1 << 18


@dataclass(frozen=True)
class Probe:
    """Figures of one run.

    Attributes:
        shapes: Of every tensor, initializers too.
        constants: Values of what does not depend on the frames, as far as it is small.
        types: ONNX's element types, as far as they are known.
    """

    shapes: Mapping[str, tuple[int, ...]]
    constants: Mapping[str, Array]
    types: Mapping[str, int]


def probe(model: ModelProto, feeds: Mapping[str, Array]) -> Probe:
    """Run `model` once and note the shapes.

    Args:
        model: Its nodes have names, its constants are initializers.
        feeds: Frames by input name, batch first.

    Raises:
        RuntimeError: The graph fails.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    shapes = {name: tuple(array.shape) for name, array in feeds.items()}
    constants = {}
    for tensor in model.graph.initializer:
        shapes[tensor.name] = tuple(tensor.dims)
        if prod(tensor.dims) <= _SMALL:
            constants[tensor.name] = numpy_helper.to_array(tensor)
    copy = onnx.shape_inference.infer_shapes(model)
    types = {
        v.name: v.type.tensor_type.elem_type
        for v in (*copy.graph.input, *copy.graph.value_info, *copy.graph.output)
    }
    lists = {v.name for v in copy.graph.value_info if v.type.HasField("sequence_type")}
    outputs: dict[str, str] = {}
    steady = _steady(model)
    nodes: list[NodeProto] = []
    for node in copy.graph.node:
        nodes.append(node)
        for name in () if node.op_type.startswith(_NO_TENSOR) else node.output:
            if not name or name in lists:
                continue
            shape = f"{PREFIX}shape_{len(outputs)}"
            outputs[shape] = name
            nodes.append(helper.make_node("Shape", [name], [shape]))
    ends = [helper.make_tensor_value_info(o, TensorProto.INT64, None) for o in outputs]
    ends += [helper.make_empty_tensor_value_info(name) for name in steady]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del copy.graph.node[:], copy.graph.output[:]
    copy.graph.node.extend(copies)
    copy.graph.output.extend(ends)
    # In order, so that each tensor is let go once its shape is known.
    values = Session(copy, in_order=True).run(feeds)
    for output, name in outputs.items():
        shapes[name] = tuple(int(size) for size in values[output])
    constants.update({name: values[name] for name in steady if values[name].size <= _SMALL})
    return Probe(shapes, constants, types)


def _steady(model: ModelProto) -> list[str]:
    """What nodes make of small constants, or of shapes: the same for all frames."""
    moving = {value.name for value in model.graph.input}
    large = {t.name for t in model.graph.initializer if prod(t.dims) > _SMALL}
    found = []
    for node in model.graph.node:
        if node.op_type in ("Shape", "Size"):
            found += node.output
        elif moving & reads(node):
            moving.update(node.output)
        elif large & reads(node):
            large.update(node.output)
        elif not node.op_type.startswith(_NO_TENSOR):
            found += [name for name in node.output if name]
    return found
