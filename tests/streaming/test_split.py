"""Models whose backbone sees each frame alone are cut there, and answer the same."""

import numpy as np
import pytest
from clip_nets import (
    Attention,
    ChannelsLast,
    Clip,
    Full3d,
    Fusion,
    MaxInside,
    Mean,
    Patches,
    Recurrent,
    Shift,
    TimeFirst,
    Training,
    TwoLevels,
    Unbound,
    Unrolled,
    Volume,
    baked,
    clips,
    nn,
)

from edgevid.convert.session import Session
from edgevid.convert.streaming.nodes import FEATURES
from edgevid.convert.streaming.split import NotSplit, difference, split

SPLIT = {
    "TSN": (lambda: Clip(Mean()), 6, "NTCHW", 5),
    "late fusion of two frames": (lambda: Unrolled(Fusion(2)), 2, "NTCHW", 12),
    "late fusion": (lambda: Clip(Fusion(4)), 4, "NTCHW", 12),
    "CNN + LSTM": (lambda: Clip(Recurrent(nn.LSTM)), 6, "NTCHW", 12),
    "CNN + GRU": (lambda: Clip(Recurrent(nn.GRU)), 6, "NTCHW", 12),
    "CNN + attention": (lambda: Clip(Attention(6)), 6, "NTCHW", 12),
    "transformer of frames": (lambda: Clip(Mean(), Patches), 4, "NTCHW", 5),
    "unrolled": (lambda: Unrolled(Recurrent(nn.LSTM)), 5, "NTCHW", 12),
    "unbound": (lambda: Unbound(Attention(5)), 5, "NTCHW", 12),
    "T * N": (lambda: TimeFirst(Recurrent(nn.GRU)), 6, "NTCHW", 12),
    "channels last": (lambda: ChannelsLast(Mean()), 6, "NTHWC", 5),
    "Conv3d of 1 in time": (lambda: Volume(nn.MaxPool3d((6, 1, 1))), 6, "NCTHW", None),
}


CASES = [
    *((name, False, True) for name in SPLIT),
    *((name, False, False) for name in ("CNN + LSTM", "T * N", "unbound", "transformer of frames")),
    *((name, True, True) for name in ("CNN + GRU", "unrolled")),
]


@pytest.mark.parametrize(
    ("name", "dynamo", "batch"),
    [pytest.param(*c, id=f"{c[0]}, {'exported' if c[1] else 'traced'}, {c[2]}") for c in CASES],
)
def test_is_split_and_equal(name, dynamo, batch):
    make, num_frames, layout, features = SPLIT[name]
    model = baked(make(), num_frames, layout, dynamo=dynamo, batch=batch)
    windows = clips(num_frames)
    pair = split(model, windows)
    assert pair.share > 0.9
    assert difference(pair, model, windows) <= 1e-5
    if features is not None:
        assert pair.shape == (features,)
    takes = pair.backbone.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_value for d in takes] == [0, 24, 24, 3]
    frames = windows[0]["clip"][0]
    given = Session(pair.backbone).run({"clip": frames})[FEATURES]
    assert given.shape == (num_frames, *pair.shape)
    # Each row depends on its own frame alone.
    assert np.array_equal(Session(pair.backbone).run({"clip": frames[::-1]})[FEATURES], given[::-1])


REFUSED = {
    "3D CNN": (Full3d, "NCTHW", "Conv .* spans 3 frames"),
    "temporal shift": (Shift, "NTCHW", "work is done before frames meet"),
    "temporal max inside": (MaxInside, "NTCHW", "ReduceMax .* is taken over the frames"),
    "features of two levels": (TwoLevels, "NTCHW", "9.% of its work .* read in several places"),
    "training mode": (Training, "NTCHW", "normalises over the batch"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_is_left_whole_with_a_reason(name):
    make, layout, reason = REFUSED[name]
    model = baked(make(), 4, layout)
    with pytest.raises(NotSplit, match=reason):
        split(model, clips(4))
