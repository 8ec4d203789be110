"""Make a graph over T frames one that takes one frame and remembers what it needs of the others.

    windows  (N, T, H, W, 3)        ──────────────────────────► scores
    step     (N, H, W, 3), states   ──────────────────────────► scores, states

What sees each frame alone is done for one frame. Where frames meet, it must be in a way that
needs the past alone: a recurrent layer, a convolution with its padding before the first frame,
the mean over the window, the last frame picked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgevid.convert.frames import Window
from edgevid.convert.graph import note_states, reads
from edgevid.convert.half import name_nodes
from edgevid.convert.streaming import causal, cells, recurrent, unrolled
from edgevid.convert.streaming.build import with_one_frame
from edgevid.convert.streaming.flat_rules import add_flat
from edgevid.convert.streaming.one_frame import NotStepped, OneFrame
from edgevid.convert.streaming.operation import Mixes, Operation
from edgevid.convert.streaming.probe import probe
from edgevid.convert.streaming.rules import layouts_after
from edgevid.spec import StateSpec

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_MEETINGS = (recurrent.add_recurrent, causal.add_convolution, causal.add_padding,
             causal.add_trimming, causal.add_mean, unrolled.add_pick)  # fmt: skip
"""Ways in which frames may meet. Each makes its nodes and says True, or False where it is
another; it raises NotStepped where it is one that needs more than the past."""


@dataclass(frozen=True)
class Step:
    """A graph of one frame.

    Attributes:
        graph: From `(N, H, W, 3)` uint8 and states to scores and states.
        states: What it hands from one call to the next.
        num_frames: T of the window that it was made of.
        layers: What carries the states, as `{"LSTM": 1}`.
    """

    graph: ModelProto
    states: tuple[StateSpec, ...]
    num_frames: int
    layers: dict[str, int]

    @property
    def is_recurrent(self) -> bool:
        """True where a layer remembers without an end."""
        return any(name in self.layers for name in (*recurrent.LAYERS, recurrent.CELL))


def make_step(model: ModelProto, windows: Sequence[Window]) -> Step:
    """The step of a graph over windows.

    Args:
        model: From one input, uint8 `(N, T, H, W, 3)`, to scores; FP32.
        windows: Real frames; one is enough.

    Raises:
        NotStepped: Its frames meet in a way that needs more than the past.
    """
    if len(model.graph.input) != 1:
        raise NotStepped("it takes several inputs")
    named = name_nodes(model)
    try:
        figures = probe(named, windows[0])
    except RuntimeError as exc:
        raise NotStepped(f"its shapes cannot be measured ({exc})") from None
    rolled = cells.roll_up(named, figures)
    if rolled is not None:
        named = rolled.model
    one = OneFrame(named, figures)
    if rolled is not None:
        recurrent.add_cells(rolled.states, one)
    for node in named.graph.node:
        _add(node, one)
    scores = named.graph.output[0].name
    if scores not in one.newest and not unrolled.is_of_last(scores, one):
        raise NotStepped("it gives no answer for the newest frame")
    if not one.states:
        raise NotStepped("it carries nothing from frame to frame")
    graph = one.graph()
    note_states(graph, one.states)
    return Step(graph, tuple(one.states), one.num_frames, dict(one.layers))


def _add(node: NodeProto, one: OneFrame) -> None:
    read = reads(node)
    frames, newest = read & one.layouts.keys(), read & one.newest
    loose = read & (one.padded.keys() | one.trimmed.keys())
    picked = read & one.picked.keys()
    if picked and not frames and not loose:
        unrolled.add_branch(node, one)
        return
    if not frames and not newest and not loose:
        one.new.add([node])
        return
    if node.op_type in ("Shape", "Size") and not loose:
        one.new.add([one.copied(node)])
        return
    if not frames and not loose:
        one.newest.update(node.output)
        one.new.add([node])
        return
    what = f"{node.op_type} {node.name!r}"
    if newest or picked:
        raise NotStepped(f"{what} mixes the frames with what was made of the whole window")
    try:
        op = one.operation(node)
        if loose or not _add_alone(op, one):
            _meet(op, one)
    except Mixes as how:
        raise NotStepped(f"{what} {how}") from None


def _add_alone(op: Operation, one: OneFrame) -> bool:
    """Make a node that sees each frame alone; False where it does not."""
    try:
        layouts = layouts_after(op)
    except Mixes:
        return False
    for position, axis in op.thin:
        one.analysis.thin.setdefault((op.node.name, position), []).append(axis)
    if add_flat(op, layouts, one):
        return True
    for name, layout in zip(op.node.output, layouts, strict=False):
        one.put_window(name, layout)
    for node in with_one_frame(op.node, one.analysis, one.probe, one.new):
        one.new.add([one.copied(node)])
    return True


def _meet(op: Operation, one: OneFrame) -> None:
    """Make a node in which frames meet; raises NotStepped, or Mixes with how they meet."""
    for meeting in _MEETINGS:
        if meeting(op, one):
            return
    layouts_after(op)
    raise Mixes("combines frames")
