"""Recurrent layers, and the answer after the last frame, for one frame with states.

X (T, N, F) ─► LSTM from zeros ─► Y (T, ...) ─► last ─► scores
X (1, N, F) ─► LSTM from h, c  ─► Y (1, ...) ─────────► scores;  h, c for the next frame
"""

from __future__ import annotations

import numpy as np

from edgevid.convert.streaming.layout import Layout, free
from edgevid.convert.streaming.one_frame import NotStepped, OneFrame, lone_time
from edgevid.convert.streaming.operation import Operation

LAYERS = ("LSTM", "GRU", "RNN")
_LENGTHS = 4
_HIDDEN, _CELL = 5, 6


def add_recurrent(op: Operation, one: OneFrame) -> bool:
    """An LSTM, GRU or RNN over the frames, `(T, N, features)`, from zeros forward."""
    if op.node.op_type not in LAYERS:
        return False
    _check(op, one)
    node = one.copied(op.node)
    name, time, batch = op.node.output[0], op.data.axes[0], op.data.axes[1]
    hidden = op.attribute("hidden_size", 0)
    node.input.extend([""] * (_HIDDEN + 1 - len(node.input)))
    node.output.extend([""] * (2 - len(node.output)))
    carried = [(_HIDDEN, 1, "hidden")]
    if op.node.op_type == "LSTM":
        node.input.extend([""] * (_CELL + 1 - len(node.input)))
        node.output.extend([""] * (3 - len(node.output)))
        carried.append((_CELL, 2, "cell"))
    one.new.add([node])
    for takes, gives, kind in carried:
        state = one.new_state(kind, (1, 1, hidden), batch_axis=1)
        node.input[takes] = state.input
        if node.output[gives]:
            one.newest.add(node.output[gives])
            one.new.add([one.new.node("Identity", [node.output[gives]], state.output)])
        else:
            node.output[gives] = state.output
    if name:
        one.put_window(name, Layout((time, free(1), batch, free(hidden))))
    one.layers[op.node.op_type] += 1
    return True


def _check(op: Operation, one: OneFrame) -> None:
    """Raise NotStepped where the layer needs more than the past."""
    what = f"{op.node.op_type} {op.node.name!r}"
    direction = op.attribute("direction", b"forward").decode()
    if direction != "forward":
        raise NotStepped(f"{what} is {direction}: it reads the window from its end too")
    if op.attribute("layout", 0) or lone_time(op.data) != 0 or len(op.data.axes) != 3:
        raise NotStepped(f"{what} does not run over the frames")
    inputs = list(op.node.input) + [""] * (_CELL + 1)
    if inputs[_LENGTHS]:
        raise NotStepped(f"{what} takes lengths of its sequences")
    for position in (_HIDDEN, _CELL) if op.node.op_type == "LSTM" else (_HIDDEN,):
        if not inputs[position]:
            continue
        values = one.values(inputs[position])
        if values is None or np.any(values):
            raise NotStepped(f"{what} does not begin with zeros")


def add_pick(op: Operation, one: OneFrame) -> bool:
    """The last frame, taken out of all by Gather or Slice."""
    layout = op.data
    time = lone_time(layout)
    if time is None or op.node.op_type not in ("Gather", "Slice"):
        return False
    if op.node.op_type == "Gather":
        if op.axis(0) != time or 1 not in op.constants or op.constants[1].size != 1:
            return False
        start, shape = int(op.constants[1].reshape(-1)[0]), op.constants[1].shape
        kept = [1] * len(shape)
    else:
        starts, axes = op.integers("starts", 1) or [], op.integers("axes", 3)
        if [axis % len(layout.axes) for axis in axes or range(len(starts))] != [time]:
            return False
        start, kept = starts[0], [1]
        if op.out_shapes[0][time] != 1:
            return False
    if start % one.num_frames != one.num_frames - 1:
        raise NotStepped(
            f"{op.node.op_type} {op.node.name!r} takes frame {start % one.num_frames} of "
            f"{one.num_frames}, not the last"
        )
    target = layout.target(1)
    target[time : time + 1] = kept
    one.new.add([one.new.reshape(one.window(op.node.input[0]), target, op.node.output[0])])
    one.newest.add(op.node.output[0])
    return True
