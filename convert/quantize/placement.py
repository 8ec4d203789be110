"""Where a graph gets its QuantizeLinear/DequantizeLinear pairs.

The rules are those of NVIDIA's "Working with Quantized Types" for TensorRT and of its Model
Optimizer; docs/quantisation.md lists each with its source. In short: the operands of weighted
operators become INT8, their results do not; a pair stands right in front of its reader, so
behind an activation function; of a residual Add the shortcut alone.

A group is a weighted node with all the quantised operands that it brings about: what
TensorRT makes one INT8 kernel of, and what is kept in float as a whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from edgevid.convert.graph import PREFIX
from edgevid.convert.quantize.centre import find_centrable
from edgevid.convert.quantize.graph_view import GraphView
from edgevid.convert.quantize.groups import Edge, Group, Placement
from edgevid.convert.quantize.weighted import (
    CONVOLUTIONS,
    WEIGHTED,
    Weight,
    check_weighted,
    weight_of,
)

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_SAME_VALUES = (
    "Flatten",
    "Identity",
    "MaxPool",
    "Reshape",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
)
"""Operators that only move or pick values: Q/DQ is the same before and behind them."""

_IN_FLOAT = {
    "LSTM": "a recurrent layer: TensorRT has no INT8 for it",
    "GRU": "a recurrent layer: TensorRT has no INT8 for it",
    "RNN": "a recurrent layer: TensorRT has no INT8 for it",
    "AveragePool": "takes a mean: its sum would be rounded to INT8 again",
    "GlobalAveragePool": "takes a mean: its sum would be rounded to INT8 again",
    "ReduceMean": "takes a mean: its sum would be rounded to INT8 again",
    "Einsum": "not among the operators that are quantised",
    "If": "its inner graphs stay as they are",
    "Loop": "its inner graph stays as it is",
    "Scan": "its inner graph stays as it is",
}
_PROBABILITIES = ("Softmax", "Sigmoid", "HardSigmoid")


def plan_placement(model: ModelProto, *, depthwise: bool = False) -> Placement:
    """Decide what becomes INT8.

    Args:
        model: FP32, from `prepare`.
        depthwise: Quantise depthwise convolutions too. They have few operations for each
            byte, so INT8 seldom makes them faster, and often costs accuracy.
    """
    return _Planner(GraphView(model), depthwise).plan()


class _Planner:
    def __init__(self, view: GraphView, depthwise: bool) -> None:
        self._view = view
        self._left_alone: dict[str, str] = {}
        self._weighted: dict[str, tuple[NodeProto, Weight | None]] = {}
        for node in view.nodes:
            reason = self._reason(node, depthwise)
            if reason is not None:
                self._left_alone[view.title(node)] = reason
            elif node.op_type in WEIGHTED:
                self._weighted[node.output[0]] = node, weight_of(node, view)
        self._depths = _depths(view)
        self._ties: list[set[str]] = []

    def plan(self) -> Placement:
        groups = tuple(
            Group(self._view.title(node), node.op_type, tuple(self._edges(node)), weight)
            for node, weight in self._weighted.values()
        )
        tensors = list(dict.fromkeys(edge.tensor for group in groups for edge in group.edges))
        tied = self._tied(tensors)
        centrable = find_centrable(groups, tied, self._view)
        return Placement(groups, tied, self._bounds(tensors), centrable, self._left_alone)

    def _reason(self, node: NodeProto, depthwise: bool) -> str | None:
        """Why a node stays in float, where that is worth telling."""
        if node.name.startswith(PREFIX):
            return "prepares the frames, or makes the scores"
        if node.op_type in WEIGHTED:
            return check_weighted(node, self._view, depthwise)
        if node.op_type in _PROBABILITIES and self._view.leaves(node.output[0]):
            return "makes the scores"
        return _IN_FLOAT.get(node.op_type)

    def _edges(self, node: NodeProto) -> Iterator[Edge]:
        for i, name in enumerate(node.input[:2]):
            if self._view.is_activation(name):
                yield from self._concat_edges(name)
                yield Edge(node.output[0], i, name)
        if node.op_type in CONVOLUTIONS:
            yield from self._shortcut(node)

    def _concat_edges(self, name: str) -> Iterator[Edge]:
        """The operands of a Concat that ends up in INT8 and nowhere else."""
        concat = self._view.producers.get(self._source(name))
        if concat is None or concat.op_type != "Concat":
            return
        operands_fit = all(self._view.is_activation(operand) for operand in concat.input)
        if not operands_fit or not self._ends_in_int8(concat.output[0]):
            return
        for i, operand in enumerate(concat.input):
            self._tie(concat.output[0], operand)
            yield from self._concat_edges(operand)
            yield Edge(concat.output[0], i, operand)

    def _ends_in_int8(self, name: str) -> bool:
        """True where all that reads the tensor quantises it."""
        if self._view.leaves(name):
            return False
        return all(
            (node.output[0] in self._weighted and i < 2)
            or node.op_type == "Shape"
            or (
                (node.op_type in _SAME_VALUES or node.op_type == "Concat")
                and self._ends_in_int8(node.output[0])
            )
            for node, i in self._view.readers[name]
        )

    def _shortcut(self, conv: NodeProto) -> Iterator[Edge]:
        """The other operand of the Add that the convolution is fused with."""
        add = self._view.only_reader(conv.output[0])
        if add is None or add.op_type != "Add":
            return
        mine = list(add.input).index(conv.output[0])
        other = add.input[1 - mine]
        if not self._view.is_activation(other) or not self._is_main(conv, mine, other, add):
            return
        yield Edge(add.output[0], 1 - mine, other)

    def _is_main(self, conv: NodeProto, mine: int, other: str, add: NodeProto) -> bool:
        """Where two convolutions meet, that with more layers behind it takes the Add in."""
        rival = self._view.producers.get(other)
        if (
            rival is None
            or rival.op_type not in CONVOLUTIONS
            or rival.output[0] not in self._weighted
            or self._view.only_reader(other) is not add
        ):
            return True
        depths = self._depths[conv.output[0]], self._depths[other]
        return depths[0] > depths[1] or (depths[0] == depths[1] and mine == 0)

    def _source(self, name: str) -> str:
        """The tensor that `name` has its values from."""
        producer = self._view.producers.get(name)
        while producer is not None and producer.op_type in _SAME_VALUES:
            name = producer.input[0]
            producer = self._view.producers.get(name)
        return name

    def _tie(self, one: str, other: str) -> None:
        """Merge the sets of the two tensors' sources."""
        joined = {self._source(one), self._source(other)}
        apart = []
        for known in self._ties:
            if known & joined:
                joined |= known
            else:
                apart.append(known)
        self._ties = [*apart, joined]

    def _tied(self, tensors: Sequence[str]) -> tuple[frozenset[str], ...]:
        """Of `tensors`, those with one source, or with sources that a Concat joins."""
        sets: dict[frozenset[str], list[str]] = defaultdict(list)
        for tensor in tensors:
            source = self._source(tensor)
            joined = next((t for t in self._ties if source in t), {source})
            sets[frozenset(joined)].append(tensor)
        return tuple(frozenset(tied) for tied in sets.values() if len(tied) > 1)

    def _bounds(self, tensors: Sequence[str]) -> dict[str, float]:
        bounds = {}
        for tensor in tensors:
            producer = self._view.producers.get(self._source(tensor))
            if producer is not None and producer.op_type in _PROBABILITIES:
                bounds[tensor] = 1.0
        return bounds


def _depths(view: GraphView) -> dict[str, int]:
    """Tensor to the most weighted nodes on a way to it."""
    depths: dict[str, int] = {}
    for node in view.nodes:
        depth = max((depths.get(name, 0) for name in node.input), default=0)
        depth += node.op_type in WEIGHTED
        depths.update(dict.fromkeys(node.output, depth))
    return depths
