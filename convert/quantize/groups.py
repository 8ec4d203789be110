"""What a placement says: which operands of which nodes become INT8."""

from __future__ import annotations

from dataclasses import dataclass

from edgevid.convert.quantize.weighted import Weight


@dataclass(frozen=True)
class Edge:
    """One operand that is to be read in INT8.

    Attributes:
        reader: First output of the node that reads it; names the node.
        operand: Which of its inputs.
        tensor: What it reads.
    """

    reader: str
    operand: int
    tensor: str


@dataclass(frozen=True)
class Group:
    """A weighted node with the Q/DQ that it brings about.

    Attributes:
        name: The node's name, or its output's where it has no name of its own.
        op_type: Its operator.
        edges: The activations that become INT8: its own operands, the shortcut of the
            residual Add that it is fused with, the operands of a Concat in front of it.
        weight: Its constant operand; None where it multiplies two activations.
    """

    name: str
    op_type: str
    edges: tuple[Edge, ...]
    weight: Weight | None


@dataclass(frozen=True)
class Placement:
    """What becomes INT8 in a graph, and what does not.

    Attributes:
        groups: In the graph's order.
        tied: Sets of tensors that share one scale, as Q/DQ moves from one to the other.
        bounds: Largest magnitude that a tensor can have, where its operator says so.
        centrable: Tensors that may be rounded around another value than zero.
        left_alone: Node to the reason why it stays in float.
    """

    groups: tuple[Group, ...]
    tied: tuple[frozenset[str], ...]
    bounds: dict[str, float]
    centrable: frozenset[str]
    left_alone: dict[str, str]

    @property
    def tensors(self) -> tuple[str, ...]:
        """Every activation that becomes INT8, once each: the ranges that are needed."""
        return tuple(dict.fromkeys(e.tensor for g in self.groups for e in g.edges))
