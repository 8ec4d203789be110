"""Windows become steps: after T frames from zeros a step answers what the window does."""

import numpy as np
import pytest
from causal_nets import (
    Ahead,
    CausalX3d,
    Excited,
    GlobalPooled,
    Head,
    Loop,
    Stacked,
    Strided,
    Tcn,
    Unpadded,
    WindowPooled,
)
from clip_nets import Attention, Clip, Full3d, Recurrent, Unbound, Unrolled, baked, clips, nn

from edgevid.convert.graph import SCORES
from edgevid.convert.session import Session
from edgevid.convert.streaming.one_frame import NotStepped
from edgevid.convert.streaming.step import make_step

RECURRENT = {
    "LSTM": lambda: Clip(Recurrent(nn.LSTM)),
    "GRU": lambda: Clip(Recurrent(nn.GRU)),
    "two layers of LSTM": lambda: Clip(Stacked(nn.LSTM)),
    "two layers of GRU": lambda: Clip(Stacked(nn.GRU)),
    "unrolled LSTM cell": lambda: Clip(Loop(nn.LSTMCell)),
    "unrolled GRU cell": lambda: Clip(Loop(nn.GRUCell)),
    "two unrolled LSTM cells": lambda: Clip(Loop(nn.LSTMCell, 2)),
    "all unrolled": lambda: Unrolled(Loop(nn.GRUCell)),
    "unrolled backbone": lambda: Unrolled(Recurrent(nn.LSTM)),
    "unbound backbone": lambda: Unbound(Recurrent(nn.GRU)),
    "every output classified": lambda: Clip(Head(lambda y: y[:, -1])),
}
CAUSAL = {
    "depthwise 3x3x3": CausalX3d,
    "depthwise 3x1x1": lambda: CausalX3d((3, 1, 1)),
    "dilated": lambda: CausalX3d((3, 3, 3), 2),
    "global pool": GlobalPooled,
    "pool of the window's size": WindowPooled,
    "TCN": lambda: Clip(Tcn()),
}


def steps_of(step, windows):
    """`(windows, T, C)`: the scores after every frame, from zero states."""
    session = Session(step.graph)
    return np.array(
        [[out[SCORES][0] for out in session.run_steps({"clip": w["clip"][0]})] for w in windows]
    )


CASES = [(name, False) for name in (*RECURRENT, *CAUSAL)]
CASES += [(name, True) for name in ("LSTM", "depthwise 3x3x3", "TCN")]


@pytest.mark.parametrize(
    ("name", "dynamo"), CASES, ids=[f"{n}, {'exported' if d else 'traced'}" for n, d in CASES]
)
def test_after_t_frames_a_step_answers_what_the_window_does(name, dynamo):
    make = {**RECURRENT, **CAUSAL}[name]
    layout = "NTCHW" if isinstance(make(), Clip) else "NCTHW"
    model = baked(make(), 8, layout, dynamo=dynamo)
    windows = clips(8)
    step = make_step(model, windows)
    assert step.num_frames == 8
    assert step.is_recurrent == (name in RECURRENT)
    expected = Session(model).run_each(windows, SCORES)
    actual = steps_of(step, windows)
    assert np.abs(actual[:, -1] - expected).max() <= 1e-5
    assert np.abs(actual[:, 0] - expected).max() > 1e-4


REFUSED = {
    "bidirectional": (
        lambda: Clip(Head(lambda y: y[:, -1], bidirectional=True)),
        "LSTM .* is bidirectional: it reads the window from its end too",
    ),
    "mean over outputs": (
        lambda: Clip(Head(lambda y: y.mean(1))),
        "mean over the outputs of a recurrent layer, not the last",
    ),
    "maximum over outputs": (
        lambda: Clip(Head(lambda y: y.amax(1))),
        "ReduceMax .* is taken over the frames",
    ),
    "the first output": (lambda: Clip(Head(lambda y: y[:, 0])), "no answer for the newest frame"),
    "two outputs": (
        lambda: Clip(Head(lambda y: y[:, 0] + y[:, -1])),
        "combines frame 0 of the window with others",
    ),
    "attention": (lambda: Clip(Attention(8)), "depends on a frame's place in the window"),
    "looks ahead": (Ahead, "over 3 frames looks 1 frame ahead: .* not causal"),
    "full 3D": (Full3d, "over 3 frames looks 1 frame ahead: .* not causal"),
    "no padding": (Unpadded, "over 3 frames has no padding"),
    "strided": (Strided, "skips frames: its stride over time is 2"),
    "excited by the whole clip": (Excited, "mixes the frames with what was made of the whole"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_more_than_the_past_is_refused_with_the_reason(name):
    make, reason = REFUSED[name]
    net = make()
    model = baked(net, 8, "NTCHW" if isinstance(net, Clip) else "NCTHW")
    with pytest.raises(NotStepped, match=reason):
        make_step(model, clips(8))
