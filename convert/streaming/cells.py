"""Recurrent cells that an exporter unrolled into one copy for each frame, rolled up again.

    zeros ─► cell(x0) ─► h0 ─► cell(x1) ─► h1 ─► ... ─► cell(x of T-1) ─► classes

The copies of the first and second frame are laid over each other, from the frames on: where the
first has zeros and the second what the first made, there is a state. The copies of the first
and last frame tell where the answer is made of. Only the first copy is kept. Whether all of
this is so is left to the comparison of scores after T frames.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgevid.convert.graph import reads
from edgevid.convert.streaming.axes import describe
from edgevid.convert.streaming.cut import ancestors
from edgevid.convert.streaming.probe import Probe
from edgevid.types import Array

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


@dataclass(frozen=True)
class Rolled:
    """A graph of which one copy of a cell is left.

    Attributes:
        model: It reads the states by the names in `states`, without declaring them.
        states: Name of each state as the copy reads it, to the tensor that is the next one.
    """

    model: ModelProto
    states: dict[str, str]


def roll_up(model: ModelProto, probe: Probe) -> Rolled | None:
    """One copy of unrolled cells; None where there are none.

    Args:
        model: Nodes have names, constants are initializers.
        probe: Of one window.
    """
    num_frames = probe.shapes[model.graph.input[0].name][1]
    for picks in _picks(model, probe, num_frames):
        second = _Overlay(model, probe, picks[0], picks[1])
        last = _Overlay(model, probe, picks[0], picks[num_frames - 1])
        states = set(second.states.values())
        if states and states <= second.same.keys():
            return _rolled(model, second, last)
    return None


def _picks(model: ModelProto, probe: Probe, num_frames: int) -> list[list[str]]:
    """Tensors that are one frame each, all T of a source in their order."""
    found: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    for node in model.graph.node:
        if node.op_type == "Split" and len(node.output) == num_frames:
            found[node.input[0], node.name] = dict(enumerate(node.output))
        if node.op_type == "Gather" and node.input[1] in probe.constants:
            index = probe.constants[node.input[1]]
            if index.size == 1:
                key = node.input[0], describe(node)
                found[key][int(index.reshape(-1)[0]) % num_frames] = node.output[0]
    whole = range(num_frames)
    return [[ks[k] for k in whole] for ks in found.values() if all(k in ks for k in whole)]


class _Overlay:
    """Two copies of a cell, laid over each other from one frame and another on.

    Attributes:
        same: Tensors of the one copy, and what stands for them in the other.
        states: Where the one copy reads zeros, (node, position), and what the other reads.
    """

    def __init__(self, model: ModelProto, probe: Probe, one: str, other: str) -> None:
        self._values: dict[str, Array] = dict(probe.constants)
        self._makers: dict[str, NodeProto] = {}
        self._readers: dict[str, list[tuple[NodeProto, int]]] = defaultdict(list)
        self._moving = {value.name for value in model.graph.input}
        for node in model.graph.node:
            self._makers.update(dict.fromkeys(node.output, node))
            for i, name in enumerate(node.input):
                self._readers[name].append((node, i))
            if node.op_type not in ("Shape", "Size") and reads(node) & self._moving:
                self._moving.update(node.output)
        self.same = {one: other}
        self.states: dict[tuple[str, int], str] = {}
        self._left = [one]
        while self._left:
            self._follow(self._left.pop())

    def _follow(self, name: str) -> None:
        for node, i in self._readers[name]:
            twins = [
                twin
                for twin, j in self._readers[self.same[name]]
                if i == j and self._are_alike(node, twin)
            ]
            if len(twins) == 1:
                self._match(node, twins[0])

    def _match(self, node: NodeProto, twin: NodeProto) -> bool:
        """Lay a node over another where their operands lie over each other too."""
        if node.output[0] in self.same:
            return bool(self.same[node.output[0]] == twin.output[0])
        if not self._are_alike(node, twin):
            return False
        states: dict[tuple[str, int], str] = {}
        for i, (name, other) in enumerate(zip(node.input, twin.input, strict=True)):
            if name == other or self.same.get(name) == other or self._made_alike(name, other):
                continue
            values = None if name in self._moving else self._values.get(name)
            if values is None or np.any(values) or other not in self._moving:
                return False
            states[node.name, i] = other
        self.states |= states
        for name, other in zip(node.output, twin.output, strict=True):
            self.same[name] = other
            self._left.append(name)
        return True

    def _are_alike(self, node: NodeProto, twin: NodeProto) -> bool:
        """True for the same operator with the same weights."""
        pairs = list(zip(node.input, twin.input, strict=False))
        weights = [(a, b) for a, b in pairs if a not in self._makers or b not in self._makers]
        return (
            describe(node) == describe(twin)
            and len(node.input) == len(twin.input)
            and all(a == b or (a in self._values and b in self._moving) for a, b in weights)
        )

    def _made_alike(self, name: str, other: str) -> bool:
        maker, twin = self._makers.get(name), self._makers.get(other)
        return maker is not None and twin is not None and self._match(maker, twin)


def _rolled(model: ModelProto, second: _Overlay, last: _Overlay) -> Rolled:
    import onnx

    answers = {other: name for name, other in last.same.items()}
    states = {next_one: f"{next_one}/before" for next_one in second.states.values()}
    rolled = onnx.ModelProto()
    rolled.CopyFrom(model)
    for node in rolled.graph.node:
        copied = node.output[0] in answers or node.output[0] in second.same
        for i, name in enumerate(node.input):
            if (node.name, i) in second.states:
                node.input[i] = states[second.states[node.name, i]]
            elif not copied and name in answers:
                node.input[i] = answers[name]
    ends = [value.name for value in rolled.graph.output]
    kept = [
        onnx.NodeProto.FromString(node.SerializeToString())
        for node in ancestors(rolled, [*ends, *states])
    ]
    del rolled.graph.node[:]
    rolled.graph.node.extend(kept)
    return Rolled(rolled, {before: next_one for next_one, before in states.items()})
