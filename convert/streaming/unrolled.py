"""Frames that are picked out of all: the last one for the answer, or every one for its branch.

    frames (N, T, ...) ─┬─► Gather 0 ─► CNN ─┬─► Concat (N, T, F) ─► LSTM ─► Gather T-1 ─► scores
                        ├─► Gather 1 ─► CNN ─┤
                        └─► Gather 2 ─► CNN ─┘

For one frame, all branches of an unrolled loop do the same: the last one is kept. That they do
the same in the original too is left to the comparison of scores after T frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevid.convert.graph import reads
from edgevid.convert.streaming.layout import Atom, Layout, free
from edgevid.convert.streaming.one_frame import NotStepped, OneFrame, lone_time
from edgevid.convert.streaming.operation import Mixes, Operation
from edgevid.convert.streaming.rules import layouts_after

if TYPE_CHECKING:
    from onnx import NodeProto


def is_of_last(name: str, one: OneFrame) -> bool:
    """True for what is made of the last frame alone."""
    return name in one.picked and one.picked[name][0] == one.last


def add_pick(op: Operation, one: OneFrame) -> bool:
    """One frame, or each on its own, taken out of all by Gather, Slice or Split."""
    time = lone_time(op.data)
    starts = [] if time is None else _starts(op, time, one.num_frames)
    if time is None or not starts:
        return False
    scalar = op.node.op_type == "Gather" and not op.in_shapes[1]
    kept = [] if scalar else [1]
    axes = op.data.axes
    layout = Layout((*axes[:time], *(free(1) for _ in kept), *axes[time + 1 :]))
    target = op.data.target(1)
    target[time : time + 1] = kept
    for name, start in zip(op.node.output, starts, strict=True):
        one.new.add([one.new.reshape(one.window(op.node.input[0]), target, name)])
        one.picked[name] = start % one.num_frames, layout
    return True


def _starts(op: Operation, time: int, num_frames: int) -> list[int]:
    """The frame that each output is; none where an output is several."""
    if op.node.op_type == "Gather" and op.axis(0) == time and 1 in op.constants:
        index = op.constants[1]
        return [int(index.reshape(-1)[0])] if index.size == 1 and index.ndim < 2 else []
    if op.node.op_type == "Split" and op.axis(0) == time:
        return list(range(num_frames)) if len(op.out_shapes) == num_frames else []
    if op.node.op_type == "Slice" and op.out_shapes[0][time] == 1:
        starts, axes = op.integers("starts", 1) or [], op.integers("axes", 3)
        taken = [axis % len(op.data.axes) for axis in axes or range(len(starts))]
        return starts if taken == [time] else []
    return []


def add_branch(node: NodeProto, one: OneFrame) -> None:
    """A node of one branch, or the one that puts all branches together again.

    Raises:
        NotStepped: It combines some of the frames.
    """
    what = f"{node.op_type} {node.name!r}"
    read = reads(node)
    frames = {one.picked[name][0] for name in read & one.picked.keys()}
    if read & one.newest or (len(frames) > 1 and not _is_stack(node, one)):
        if frames != {one.last}:
            raise NotStepped(f"{what} combines frame {min(frames)} of the window with others")
        one.newest.update(node.output)
        one.new.add([node])
        return
    if node.op_type in ("Shape", "Size"):
        one.new.add([node])
        return
    try:
        op = one.operation(node)
        if len(frames) > 1:
            _stack(op, one)
            return
        layouts = layouts_after(op)
    except Mixes as how:
        raise NotStepped(f"{what} {how}") from None
    (frame,) = frames
    one.new.add([node])
    for name, layout in zip(node.output, layouts, strict=False):
        one.picked[name] = frame, layout


def _is_stack(node: NodeProto, one: OneFrame) -> bool:
    """True for all frames in their order, each once."""
    places = [one.picked.get(name, (-1,))[0] for name in node.input]
    return node.op_type == "Concat" and places == list(range(one.num_frames))


def _stack(op: Operation, one: OneFrame) -> None:
    """The branches of all frames side by side, along an axis of their own."""
    name, shape = op.node.output[0], op.out_shapes[0]
    axis = int(op.attribute("axis", 0)) % len(shape)
    layout = op.layouts[-1]
    if layout is None or layout.axes[axis] != free(1):
        raise Mixes("puts the features of several frames on one axis")
    axes = (*layout.axes[:axis], (Atom("t", one.num_frames),), *layout.axes[axis + 1 :])
    one.new.add([one.new.node("Identity", [op.node.input[-1]], one.put_window(name, Layout(axes)))])
