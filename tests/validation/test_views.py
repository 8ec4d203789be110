"""Which windows a test protocol looks at: index arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.clips import segment_indices, uniform_indices
from edgevid.clips.timeline import Timeline
from edgevid.errors import SpecError
from edgevid.spec import ClipSpec, InputSpec
from edgevid.validation import Views

INTERVAL = ClipSpec(num_frames=4, fps=10.0)
UNIFORM = ClipSpec(num_frames=4, sampling="uniform")
SEGMENTS = ClipSpec(num_frames=4, sampling="segments")
STRETCHED = (InputSpec(name="x", layout="NTCHW", size=(32, 32)),)
CROPPED = (
    InputSpec(
        name="x", layout="NTCHW", size=(32, 32), resize="short_side", short_side=40, crop="center"
    ),
)


def starts(views, samples, breaks=(), clip=INTERVAL):
    return [w[0] for w in views.windows(clip, Timeline(samples, breaks))]


def test_the_centres_of_equal_shares_of_all_starts():
    # 13 samples: starts 0 to 9, as in the module's drawing.
    assert starts(Views(), 13) == [5]
    assert starts(Views(clips=2), 13) == [2, 7]
    assert starts(Views(clips=5), 13) == [1, 3, 5, 7, 9]
    assert starts(Views(clips=10), 13) == list(range(10))


def test_a_short_video_gives_fewer_windows():
    assert starts(Views(clips=10), 5) == [0, 1]
    assert Views(clips=10).windows(INTERVAL, Timeline(2)) == [(0, 1, 1, 1)]


def test_windows_that_overlap_go_from_beginning_to_end():
    assert starts(Views(overlap=0.0), 13) == [0, 4, 8]
    assert starts(Views(overlap=0.5), 13) == [0, 2, 4, 6, 8]
    assert starts(Views(overlap=0.9), 6) == [0, 1, 2]


def test_no_window_spans_a_break():
    for views in (Views(clips=50), Views(overlap=0.75)):
        assert starts(views, 12, (6,)) == [0, 1, 2, 6, 7, 8]


def test_uniform_windows_are_shifted_by_shares_of_the_step():
    # 16 frames, step 4.
    assert Views().windows(UNIFORM, Timeline(16)) == [(0, 4, 8, 12)]
    assert Views(clips=2).windows(UNIFORM, Timeline(16)) == [(0, 4, 8, 12), (2, 6, 10, 14)]
    assert len(Views(clips=10).windows(UNIFORM, Timeline(16))) == 4


def test_segment_windows_are_spread_within_their_segments():
    # 16 frames, segments of 4: the centre; for two clips the centres of their halves.
    assert Views().windows(SEGMENTS, Timeline(16)) == [(2, 6, 10, 14)]
    assert Views(clips=2).windows(SEGMENTS, Timeline(16)) == [(1, 5, 9, 13), (3, 7, 11, 15)]


@given(st.integers(1, 300), st.integers(1, 20), st.sampled_from([UNIFORM, SEGMENTS, INTERVAL]))
def test_windows_are_inside_and_in_order(samples, clips, clip):
    windows = Views(clips=clips).windows(clip, Timeline(samples))
    assert 1 <= len(windows) <= clips
    assert windows == sorted(set(windows))
    for window in windows:
        assert len(window) == clip.num_frames
        assert list(window) == sorted(window)
        assert window[0] >= 0
        assert window[-1] < samples


@given(st.integers(1, 1000), st.integers(1, 32))
def test_one_window_is_the_one_that_the_runtime_takes(samples, frames):
    for sampling, indices in (("uniform", uniform_indices), ("segments", segment_indices)):
        clip = ClipSpec(num_frames=frames, sampling=sampling)
        assert Views().windows(clip, Timeline(samples)) == [tuple(indices(samples, frames))]


@pytest.mark.parametrize(
    ("views", "clip", "inputs", "message"),
    [
        (Views(clips=0), INTERVAL, CROPPED, "--clips 0 is not from 1 to 1000"),
        (Views(clips=1001), INTERVAL, CROPPED, "--clips 1001"),
        (Views(crops=2), INTERVAL, CROPPED, "--crops 2 is neither 1 nor 3"),
        (Views(overlap=1.0), INTERVAL, CROPPED, "--overlap 1 must be at least 0 and below 1"),
        (Views(overlap=float("nan")), INTERVAL, CROPPED, "--overlap nan must"),
        (Views(clips=2, overlap=0.5), INTERVAL, CROPPED, "exclude each other"),
        (Views(overlap=0.5), UNIFORM, CROPPED, "every window spans the whole video"),
        (Views(crops=3), INTERVAL, STRETCHED, "--crops 3 does not apply"),
    ],
)
def test_protocols_that_cannot_be(views, clip, inputs, message):
    with pytest.raises(SpecError, match=message):
        views.check(clip, inputs)


def test_protocols_that_can_be():
    for views in (Views(), Views(clips=10, crops=3), Views(overlap=0.5, crops=3)):
        views.check(INTERVAL, CROPPED)
