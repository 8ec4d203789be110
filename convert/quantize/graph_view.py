"""Look-ups that quantising needs: who makes a tensor, who reads it, what it is."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from edgevid.convert.graph import all_names, carried_states, subgraphs
from edgevid.types import Array

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

_MOVES = ("Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")
"""Operators on one tensor that move or pick its values."""


class GraphView:
    """A graph, indexed; it must not change while it is looked at.

    Attributes:
        nodes: In the graph's own order, which is topological.
        constants: Initializers by name.
        producers: Tensor name to the node that makes it.
        readers: Tensor name to every (node, operand number) that reads it.
    """

    def __init__(self, model: ModelProto) -> None:
        import onnx

        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        self.nodes: list[NodeProto] = list(model.graph.node)
        self.constants: dict[str, TensorProto] = {t.name: t for t in model.graph.initializer}
        self.producers: dict[str, NodeProto] = {}
        self.readers: dict[str, list[tuple[NodeProto, int]]] = defaultdict(list)
        for node in self.nodes:
            self.producers.update(dict.fromkeys(node.output, node))
            for i, name in enumerate(node.input):
                if name:
                    self.readers[name].append((node, i))
        self._states = _states(model)
        values = (*graph.input, *graph.output, *graph.value_info)
        self._types = {value.name: value.type.tensor_type for value in values}
        self._leaving = {value.name for value in graph.output} | _read_inside(model)
        self._uses_of_name = Counter(node.name for node in self.nodes)

    def is_activation(self, name: str) -> bool:
        """True for an FP32 tensor that is neither a constant nor a state as it came in."""
        from onnx import TensorProto

        if name not in self._types or name in self.constants or name in self._states:
            return False
        return bool(self._types[name].elem_type == TensorProto.FLOAT)

    def value(self, name: str) -> Array:
        """Of an initializer."""
        from onnx import numpy_helper

        array: Array = numpy_helper.to_array(self.constants[name])
        return array

    def only_reader(self, name: str) -> NodeProto | None:
        """The one node that reads the tensor; None where others do, or it leaves the graph."""
        readers = self.readers[name]
        return readers[0][0] if len(readers) == 1 and not self.leaves(name) else None

    def leaves(self, name: str) -> bool:
        """True where the tensor is an output of the graph, or a nested graph reads it."""
        return name in self._leaving

    def title(self, node: NodeProto) -> str:
        """The node's name where it has one of its own, else its first output's."""
        own = node.name and self._uses_of_name[node.name] == 1
        return str(node.name if own else node.output[0])


def attribute(node: NodeProto, name: str, default: Any) -> Any:
    """Value of an attribute, as Python's own type."""
    from onnx import helper

    found = (helper.get_attribute_value(a) for a in node.attribute if a.name == name)
    return next(found, default)


def drop_unused_constants(model: ModelProto) -> None:
    """Take out the initializers that nothing reads any more."""
    used = {name for node in model.graph.node for name in node.input}
    used |= {value.name for value in model.graph.output} | _read_inside(model)
    kept = [t for t in model.graph.initializer if t.name in used]
    if len(kept) < len(model.graph.initializer):
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)


def _states(model: ModelProto) -> set[str]:
    """Tensors that hold a state's values, as they came in."""
    states = {state.input for state in carried_states(model)}
    for node in model.graph.node:
        if node.op_type in _MOVES and node.input[0] in states:
            states.update(node.output)
    return states


def _read_inside(model: ModelProto) -> set[str]:
    """Every name that occurs in a nested graph."""
    return {
        name for node in model.graph.node for inner in subgraphs(node) for name in all_names(inner)
    }
