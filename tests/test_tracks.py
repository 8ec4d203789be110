"""Which samples feed which input, and what inputs share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgevid.spec import ClipSpec, InputSpec, check_time_axes
from edgevid.tracks import Tracks, stacked

MODALITIES = st.sampled_from(["rgb", "rgb_diff", "flow"])


def made(name="x", **fields) -> InputSpec:
    return InputSpec(**{"name": name, "layout": "NTCHW", "size": (16, 20), **fields})


@given(
    st.integers(1, 64), st.integers(1, 9), st.sampled_from(["all", "pair", "first", "last"]),
    MODALITIES, st.none() | st.just(1),
)  # fmt: skip
def test_positions_lie_in_the_window_and_make_the_depth(count, every, frames, modality, interval):
    assume(frames == "all" or every == 1)
    assume(interval is None or modality == "flow")
    spec = made(modality=modality, frames=frames, every=every, flow_interval=interval)
    try:
        check_time_axes(ClipSpec(num_frames=count, fps=10), (spec,))
    except ValueError:
        return
    at = list(spec.positions(count))
    fields = modality == "flow" and interval is None
    there = list(range(count))[1:] if fields else list(range(count))
    expected = {
        "all": [n for i, n in enumerate(there) if i % every == 0],
        "pair": [there[0], there[-1]],
        "first": there[:1],
        "last": there[-1:],
    }
    assert at == expected[frames]
    assert spec.depth(count) == len(at) - (modality == "rgb_diff") >= 1
    assert spec.feed_shape(count) == (len(at), 16, 20, spec.channels)

    window = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
    cut = Tracks([spec], count).cut({"x": window})["x"]
    assert cut.ravel().tolist() == at
    assert cut.base is window.base or cut.base is window, "a copy was made"


def test_pathways_of_one_size_share_a_track_and_others_do_not():
    inputs = [
        made("fast"),
        made("slow", every=4),
        made("small", size=(16, 16)),
        made("fovea", crop="fovea"),
        made("flow", modality="flow"),
        made("flow, too", modality="flow", frames="last"),
        made("another flow", modality="flow", flow_method="farneback"),
    ]
    tracks = Tracks(inputs, 8)
    assert list(tracks.specs) == ["fast", "small", "fovea", "flow", "another flow"]
    assert tracks.shapes["flow"] == (16, 20, 2)
    windows = {name: np.zeros((8, *shape), np.uint8) for name, shape in tracks.shapes.items()}
    cut = tracks.cut(windows)
    assert np.shares_memory(cut["fast"], cut["slow"])
    assert [len(cut[i.name]) for i in inputs] == [8, 2, 8, 8, 7, 1, 7]


def test_one_frame_of_a_window_has_no_time_axis():
    first, last = (made(f, layout="NCHW", frames=f) for f in ("first", "last"))
    window = stacked([{"first": np.full((16, 20, 3), n, np.uint8)} for n in range(5)])
    cut = Tracks([first, last], 5).cut(window)
    assert cut["first"].shape == (16, 20, 3)
    assert (cut["first"].max(), cut["last"].max()) == (0, 4)


def test_a_frame_out_of_many_must_be_said():
    with pytest.raises(ValueError, match='frames = "first" or frames = "last"'):
        check_time_axes(ClipSpec(num_frames=2, fps=1), (made(layout="NCHW"),))
