"""Lists of tensors whose items stand one by one in the graph: replaced by the items themselves.

    SequenceEmpty ─► SequenceInsert ─► SequenceInsert ─► ConcatFromSequence   ──►   Concat

Exporters make a Python list of frames, or of their features, a sequence. No engine takes one,
and frames cannot be followed through it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgevid.convert.graph import reads
from edgevid.convert.streaming.loops import NotUnrolled
from edgevid.convert.streaming.nodes import Nodes
from edgevid.convert.streaming.operation import attribute

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


def without_lists(model: ModelProto) -> ModelProto:
    """The same graph without sequences.

    Args:
        model: Nodes have names, constants are initializers.

    Raises:
        NotUnrolled: How long a list is, or which item is taken, is not fixed.
    """
    if not any("Sequence" in node.op_type for node in model.graph.node):
        return model
    resolver = _Resolver(model)
    for node in model.graph.node:
        resolver.add(node)
    return resolver.new.graph(model.graph.input, model.graph.output)


class _Resolver:
    def __init__(self, model: ModelProto) -> None:
        import onnx
        from onnx import numpy_helper

        self.new = Nodes(model)
        self._lists: dict[str, list[str]] = {}
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self._to_array = numpy_helper.to_array
        inferred = onnx.shape_inference.infer_shapes(model).graph
        self._shapes = {
            v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
            for v in (*inferred.input, *inferred.value_info)
        }

    def add(self, node: NodeProto) -> None:
        rules = {
            "SequenceEmpty": lambda _: [],
            "SequenceConstruct": lambda n: list(n.input),
            "SequenceInsert": self._inserted,
            "SequenceErase": self._erased,
            "SplitToSequence": self._dealt_out,
        }
        if node.op_type in rules:
            self._lists[node.output[0]] = rules[node.op_type](node)
        elif not self._lists.keys() & reads(node):
            self.new.add([node])
        elif node.op_type == "Identity":
            self._lists[node.output[0]] = self._lists[node.input[0]]
        elif node.op_type == "SequenceAt":
            items = self._lists[node.input[0]]
            item = items[self._place(node, 1, len(items))]
            self.new.add([self.new.node("Identity", [item], node.output[0])])
        elif node.op_type == "SequenceLength":
            length = self.new.constant(np.array(len(self._lists[node.input[0]]), np.int64))
            self.new.add([self.new.node("Identity", [length], node.output[0])])
        elif node.op_type == "ConcatFromSequence":
            self._join(node)
        else:
            raise NotUnrolled(f"it gives a list to {node.op_type} {node.name!r}")

    def _inserted(self, node: NodeProto) -> list[str]:
        items = list(self._lists[node.input[0]])
        place = self._place(node, 2, len(items)) if len(node.input) > 2 else len(items)
        items.insert(place, node.input[1])
        return items

    def _erased(self, node: NodeProto) -> list[str]:
        items = list(self._lists[node.input[0]])
        del items[self._place(node, 1, len(items)) if len(node.input) > 1 else -1]
        return items

    def _place(self, node: NodeProto, position: int, length: int) -> int:
        """Which item an operand names, counted from the front."""
        name = node.input[position]
        if name not in self._weights:
            raise NotUnrolled("it takes an item of a list that is not the same each time")
        place = int(self._to_array(self._weights[name]).reshape(-1)[0])
        return place + length if place < 0 else place

    def _dealt_out(self, node: NodeProto) -> list[str]:
        """The slices of a tensor, each of length 1."""
        axis = attribute(node, "axis", 0)
        length = self._shapes.get(node.input[0], [0] * (axis + 1))[axis]
        split = node.input[1] if len(node.input) > 1 else ""
        ones = not split or (
            split in self._weights and bool((self._to_array(self._weights[split]) == 1).all())
        )
        if not length or not ones:
            raise NotUnrolled("it deals frames out in parts of several, or of an open length")
        kept = bool(split) or attribute(node, "keepdims", 1)
        items = []
        for i in range(length):
            index = self.new.constant(np.array([i] if kept else i, np.int64))
            self.new.add([piece := self.new.node("Gather", [node.input[0], index], axis=axis)])
            items.append(str(piece.output[0]))
        return items

    def _join(self, node: NodeProto) -> None:
        items, axis = self._lists[node.input[0]], attribute(node, "axis", 0)
        if attribute(node, "new_axis", 0):
            self.new.stack(items, axis, node.output[0])
        else:
            self.new.add([self.new.node("Concat", items, node.output[0], axis=axis)])
