"""Find nodes whose result has a shape that depends on the pictures, which no engine can plan.

Values are followed from the graph's inputs through every node but those that read only a
shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevid.errors import ModelError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_SHAPE_READERS = ("Shape", "Size")

_DECIDING: dict[str, tuple[int, ...]] = {
    "Compress": (0, 1),
    "NonMaxSuppression": (0, 1),
    "NonZero": (0,),
    "Unique": (0,),
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "OneHot": (1,),
    "Pad": (1,),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (2, 3),
    "Tile": (1,),
    "TopK": (1,),
}
"""Operators, and which of their operands decide the shape of the result."""


def refuse_data_dependent_shapes(model: ModelProto, source: str) -> None:
    """Raise ModelError, naming the node, where a shape depends on values of an input."""
    node = data_dependent_node(model)
    if node is not None:
        raise data_dependent(source, f"{node.op_type} node {node.name or node.output[0]!r}")


def data_dependent(source: str, where: str) -> ModelError:
    """The error for a model whose shapes, or whose steps, depend on the pictures."""
    return ModelError(
        f"what {source} computes depends on values in the picture, not only on its size ({where})",
        "Make it the same for every picture: torch.where instead of if and of x[mask], a fixed "
        "number of results instead of all above a threshold",
    )


def data_dependent_node(model: ModelProto) -> NodeProto | None:
    """The first node whose result's shape depends on the values of a graph input."""
    values = {value.name for value in model.graph.input}
    for node in model.graph.node:
        if node.op_type in _SHAPE_READERS:
            continue
        deciding = _DECIDING.get(node.op_type, ())
        if any(name in values for i, name in enumerate(node.input) if i in deciding):
            return node
        if any(name in values for name in node.input):
            values.update(node.output)
    return None
