"""Follow the frames through a graph: up to where does a value depend on one frame alone?

A tensor is one of
    steady    the same for all frames: weights, shapes, and what is made of them
    all       holds all T frames, each for itself; its layout says on which axis
    frame k   made of frame k alone: graphs that are unrolled pick frames first
    mixed     everything behind the first node where frames meet

Unrolled branches that do the same to different frames are told by a key: a hash of the
operators and weights that a tensor was made with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edgevid.convert.graph import reads
from edgevid.convert.streaming.layout import Atom, Layout, free
from edgevid.convert.streaming.operation import Mixes, Operation
from edgevid.convert.streaming.probe import Probe
from edgevid.convert.streaming.rules import layouts_after

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


@dataclass(frozen=True)
class Fact:
    """A tensor that depends on one frame, for each of its rows.

    Attributes:
        layout: Of all T frames; of an unrolled branch the batch alone.
        frame: Which frame, of an unrolled branch; None: all of them.
        key: The same for tensors that are made in the same way, of other frames or not.
    """

    layout: Layout
    frame: int | None
    key: str


@dataclass
class Analysis:
    """What is known of a graph.

    Attributes:
        num_frames: T.
        facts: Tensors of which each row depends on one frame.
        thin: By node and input position: the axes of a constant of which the first slice does
            for every frame.
        picks: Names of nodes that pick one frame of all.
        first_merge: Where frames first meet, in words; empty where they never do.
    """

    num_frames: int
    facts: dict[str, Fact]
    thin: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    picks: set[str] = field(default_factory=set)
    first_merge: str = ""

    def families(self) -> list[tuple[str, ...]]:
        """Tensors that can be cut at: one that holds all frames, or T branches that do the same.

        In the order of the graph.
        """
        branches: dict[str, dict[int, str]] = {}
        for name, fact in self.facts.items():
            key, frame = (name, -1) if fact.frame is None else (fact.key, fact.frame)
            branches.setdefault(key, {}).setdefault(frame, name)
        whole = range(self.num_frames)
        return [
            (found[-1],) if -1 in found else tuple(found[k] for k in whole)
            for found in branches.values()
            if -1 in found or all(k in found for k in whole)
        ]


def analyse(model: ModelProto, probe: Probe) -> Analysis:
    """Follow the frames of the one input.

    Args:
        model: From uint8 `(N, T, H, W, 3)`; nodes have names, constants are initializers.
        probe: Taken on such frames.
    """
    return _Walk(model, probe).run()


class _Walk:
    def __init__(self, model: ModelProto, probe: Probe) -> None:
        (value,) = model.graph.input
        batch, num_frames, *rest = probe.shapes[value.name]
        axes = ((Atom("n", batch),), (Atom("t", num_frames),), *map(free, rest))
        start = Fact(Layout(axes), None, f"all {value.name}")
        self._model = model
        self._probe = probe
        self._opset = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        self._found = Analysis(num_frames, {value.name: start})
        self._mixed: set[str] = set()
        self._steady = _SteadyKeys(model, self._found.facts)

    def run(self) -> Analysis:
        for node in self._model.graph.node:
            if node.op_type not in ("Shape", "Size"):
                self._step(node)
        return self._found

    def _step(self, node: NodeProto) -> None:
        known = {name: self._found.facts[name] for name in reads(node) & self._found.facts.keys()}
        mixed = reads(node) & self._mixed
        if not known and not mixed:
            return
        try:
            if mixed:
                raise Mixes("")
            self._follow(node, known)
        except Mixes as how:
            if not self._mixed:
                self._found.first_merge = f"{node.op_type} {node.name!r} {how}"
            self._mixed.update(node.output)

    def _follow(self, node: NodeProto, known: Mapping[str, Fact]) -> None:
        frames = {fact.frame for fact in known.values()}
        if node.op_type in ("Loop", "Scan"):
            raise Mixes("stays a loop")
        if len(frames) > 1:
            raise Mixes("combines frames")
        if set(known) - set(node.input):
            raise Mixes("reads frames inside a nested graph")
        (frame,) = frames
        op = self._operation(node, known)
        picked = self._picked(op) if frame is None else []
        if picked:
            key = _digest("pick", known[op.node.input[0]].key, str(op.out_shapes[0]))
            self._found.picks.add(node.name)
            for name, (k, layout) in zip(node.output, picked, strict=True):
                self._found.facts[name] = Fact(layout, k, key)
            return
        layouts = layouts_after(op)
        for position, axis in op.thin:
            self._found.thin.setdefault((node.name, position), []).append(axis)
        for i, (name, layout) in enumerate(zip(node.output, layouts, strict=False)):
            self._found.facts[name] = Fact(layout, frame, self._key(node, known, i))

    def _operation(self, node: NodeProto, known: Mapping[str, Fact]) -> Operation:
        shapes, constants = self._probe.shapes, self._probe.constants
        if any(name not in shapes for name in (*node.input, *node.output) if name):
            raise Mixes("is an operator that is not followed")
        return Operation(
            node=node,
            layouts=[known[name].layout if name in known else None for name in node.input],
            in_shapes=[shapes.get(name, ()) for name in node.input],
            out_shapes=[shapes[name] for name in node.output if name],
            constants={i: constants[n] for i, n in enumerate(node.input) if n in constants},
            opset=self._opset,
        )

    def _picked(self, op: Operation) -> list[tuple[int, Layout]]:
        """The frame that each output takes out of all of them; nothing where it is no pick."""
        layout, count = op.layouts[0], self._found.num_frames
        if layout is None or layout.time is None or len(layout.axes[layout.time]) != 1:
            return []
        time = layout.time
        starts = _pick_starts(op, time, count)
        lengths = {(*shape, 0)[time] for shape in op.out_shapes}
        scalar = op.node.op_type == "Gather" and op.in_shapes[1] == ()
        if not starts or (not scalar and lengths != {1}):
            return []
        kept = () if scalar else (free(1),)
        left = Layout((*layout.axes[:time], *kept, *layout.axes[time + 1 :]))
        return [(start % count, left) for start in starts]

    def _key(self, node: NodeProto, known: Mapping[str, Fact], output: int) -> str:
        operands = [known[n].key if n in known else self._steady.key(n) for n in node.input]
        return _digest(describe(node), *operands, str(output))


def _pick_starts(op: Operation, time: int, count: int) -> list[int]:
    """Where on the time axis each output of a Gather, Slice or Split begins."""
    if op.node.op_type == "Gather" and op.axis(0) == time and 1 in op.constants:
        return [int(op.constants[1].reshape(-1)[0])] if op.constants[1].size == 1 else []
    if op.node.op_type == "Split" and op.axis(0) == time:
        return list(range(count)) if len(op.out_shapes) == count else []
    if op.node.op_type == "Slice":
        starts = op.integers("starts", 1) or []
        axes = op.integers("axes", 3) or list(range(len(starts)))
        return starts if [axis % len(op.data.axes) for axis in axes] == [time] else []
    return []


class _SteadyKeys:
    """Keys of tensors that are the same for all frames: of their contents or their making."""

    def __init__(self, model: ModelProto, facts: Mapping[str, Fact]) -> None:
        self._facts = facts
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._makers = {out: node for node in model.graph.node for out in node.output}
        self._keys: dict[str, str] = {}

    def key(self, name: str) -> str:
        if name not in self._keys:
            self._keys[name] = self._make(name)
        return self._keys[name]

    def _make(self, name: str) -> str:
        from onnx import numpy_helper

        if name in self._tensors:
            values = numpy_helper.to_array(self._tensors[name])
            contents = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
            return _digest("weight", str(values.dtype), str(values.shape), contents)
        maker = self._makers.get(name)
        if maker is None:
            return _digest("outside", name)
        if maker.op_type in ("Shape", "Size"):
            fact = self._facts.get(maker.input[0])
            return _digest("outside", name) if fact is None else _digest(describe(maker), fact.key)
        operands = [self.key(operand) for operand in maker.input]
        return _digest(describe(maker), *operands, str(list(maker.output).index(name)))


def describe(node: NodeProto) -> str:
    """Operator and attributes, without names."""
    attributes = sorted(a.SerializeToString(deterministic=True) for a in node.attribute)
    return _digest(node.domain, node.op_type, *(a.hex() for a in attributes))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
