"""Which nodes of a graph carry its states on.

    pool_buffer ──► Add ──► pool_buffer of the next call
                     └────► Div by the frames so far ──► the rest of the graph

Nodes on a way from a state to its own next value are the recurrence. Where they calculate
(and do not just move values, as a buffer of past frames does), the state may grow with every
call; then what reads it first has to bear that as well.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from edgevid.convert.graph import carried_states

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_MOVES = (
    "Cast",
    "Concat",
    "Expand",
    "Flatten",
    "Gather",
    "Identity",
    "Pad",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
)
"""Operators that move or pick values, and do not change them."""


def carrying_nodes(model: ModelProto) -> dict[str, str]:
    """Names of the nodes that FP16 must leave alone for the states' sake, with the reason.

    Args:
        model: Every node with a name of its own.
    """
    readers: dict[str, list[NodeProto]] = defaultdict(list)
    producers: dict[str, NodeProto] = {}
    for node in model.graph.node:
        producers.update(dict.fromkeys(node.output, node))
        for name in node.input:
            readers[name].append(node)
    found: dict[str, str] = {}
    for state in carried_states(model):
        ahead = _reach(state.input, readers, forward=True)
        behind = _reach(state.output, {n: [p] for n, p in producers.items()}, forward=False)
        loop = [ahead[name] for name in ahead.keys() & behind.keys()]
        if state.output in producers:
            loop.append(producers[state.output])
        found.update(dict.fromkeys((n.name for n in loop), "carries a state on"))
        if any(node.op_type not in _MOVES for node in loop):
            for node in loop:
                found.update(_first_readers(node, readers, found))
    return found


def _reach(start: str, steps: dict[str, list[NodeProto]], *, forward: bool) -> dict[str, NodeProto]:
    """Every node that can be reached from a tensor, by name."""
    reached: dict[str, NodeProto] = {}
    tensors = [start]
    while tensors:
        for node in steps.get(tensors.pop(), []):
            if node.name not in reached:
                reached[node.name] = node
                tensors += node.output if forward else node.input
    return reached


def _first_readers(
    node: NodeProto, readers: dict[str, list[NodeProto]], known: dict[str, str]
) -> dict[str, str]:
    """What reads a growing state, seen through what only moves it."""
    found: dict[str, str] = {}
    tensors = list(node.output)
    while tensors:
        for reader in readers[tensors.pop()]:
            if reader.name in known or reader.name in found:
                continue
            found[reader.name] = "reads a state that may grow"
            if reader.op_type in _MOVES:
                tensors += reader.output
    return found
