"""One node of a graph as a rule sees it: operands, shapes, attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgevid.convert.streaming.layout import Layout
from edgevid.types import Array

if TYPE_CHECKING:
    from onnx import NodeProto


class Mixes(Exception):
    """The frames meet in this node; the text says how."""


@dataclass
class Operation:
    """One node, and what is known around it.

    Attributes:
        layouts: Of each input that depends on the frames; None for the others.
        in_shapes, out_shapes: Of each input and output.
        constants: Values of the inputs that are known, by position.
        opset: Of the graph.
        thin: Filled by rules: inputs of which the first slice along an axis does for all.
    """

    node: NodeProto
    layouts: Sequence[Layout | None]
    in_shapes: Sequence[tuple[int, ...]]
    out_shapes: Sequence[tuple[int, ...]]
    constants: dict[int, Array]
    opset: int
    thin: list[tuple[int, int]] = field(default_factory=list)

    @property
    def data(self) -> Layout:
        """Of the first input, which must depend on the frames."""
        if not self.layouts or self.layouts[0] is None:
            raise Mixes("reads frames in an unusual place")
        return self.layouts[0]

    def attribute(self, name: str, default: Any) -> Any:
        return attribute(self.node, name, default)

    def integers(self, name: str, position: int) -> list[int] | None:
        """From the attribute, or in later opsets the input; None where it is left out."""
        said = self.attribute(name, None)
        if said is not None:
            return [int(value) for value in said]
        if position >= len(self.node.input) or not self.node.input[position]:
            return None
        if position not in self.constants:
            raise Mixes(f"takes {name} that depend on the frames")
        return [int(value) for value in self.constants[position].reshape(-1)]

    def axis(self, default: int) -> int:
        """The attribute `axis`, counted from the front."""
        return int(self.attribute("axis", default)) % len(self.data.axes)

    def only_data_is_first(self) -> None:
        if any(layout is not None for layout in self.layouts[1:]):
            raise Mixes("takes a parameter that depends on the frames")


def attribute(node: NodeProto, name: str, default: Any) -> Any:
    """The value of an attribute, or the default."""
    from onnx import helper

    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)
