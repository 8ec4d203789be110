"""Recurrent layers for one frame with states.

X (T, N, F) ─► LSTM from zeros ─► Y (T, ...) ─► last ─► scores
X (1, N, F) ─► LSTM from h, c  ─► Y (1, ...) ─────────► scores;  h, c for the next frame
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgevid.convert.streaming.layout import Layout, free
from edgevid.convert.streaming.one_frame import NotStepped, OneFrame, lone_time
from edgevid.convert.streaming.operation import Operation

LAYERS = ("LSTM", "GRU", "RNN")
CELL = "cell state"
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


def add_cells(states: Mapping[str, str], one: OneFrame) -> None:
    """The states of a cell of which one copy is left.

    Args:
        states: As in `cells.Rolled`.
        one: Its frames are picked; that of the copy, the first, is the newest now.
    """
    one.last = 0
    for before, after in states.items():
        state = one.new_state("hidden", (1, *one.probe.shapes[after][1:]), batch_axis=0)
        one.new.add([one.new.node("Identity", [state.input], before)])
        one.ends[state.output] = after
        one.newest.add(before)
        one.layers[CELL] += 1


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
