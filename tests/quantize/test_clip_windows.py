"""Which windows are drawn from a video, and which pixels: those of the runtime."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_videos import (
    FLOW_2,
    SMALL,
    TIMES_4,
    UNIFORM_4,
    frames_of,
    input_spec,
    make_video,
    runtime_windows,
)
from hypothesis import given
from hypothesis import strategies as st

from edgevid.clips import segment_indices, uniform_indices
from edgevid.clips.timeline import WHOLE, Timeline, padded, starts, window
from edgevid.convert.quantize.clipset import draw
from edgevid.convert.quantize.window_plan import choose, fair_shares
from edgevid.errors import SourceError
from edgevid.spec import ClipSpec, InputSpec

# Window arithmetic

CLIPS = st.builds(
    lambda n, sampling: ClipSpec(
        num_frames=n, sampling=sampling, fps=10 if sampling == "interval" else None
    ),
    st.integers(1, 12),
    st.sampled_from(["interval", "uniform", "segments"]),
)
TIMELINES = st.builds(
    lambda n, breaks: Timeline(n, tuple(sorted(b for b in breaks if b < n))),
    st.integers(1, 60),
    st.sets(st.integers(1, 60), max_size=4),
)


@given(CLIPS, TIMELINES)
def test_every_window_lies_within_the_video_and_crosses_no_break(clip: ClipSpec, line: Timeline):
    possible = starts(clip, line)
    assert len(set(possible)) == len(possible) > 0
    for start in possible:
        numbers = window(clip, line, start)
        assert len(numbers) == clip.num_frames
        assert 0 <= numbers[0] <= numbers[-1] < line.num_samples
        assert list(numbers) == sorted(numbers)
        if clip.sampling == "interval":
            assert not any(numbers[0] < b <= numbers[-1] for b in line.breaks)
            assert padded(clip, line) == (len(set(numbers)) < clip.num_frames)


@given(CLIPS, TIMELINES)
def test_interval_windows_are_those_that_the_runtime_slides_over(clip: ClipSpec, line: Timeline):
    if clip.sampling != "interval":
        assert starts(clip, line)[0] == WHOLE
        indices = uniform_indices if clip.sampling == "uniform" else segment_indices
        assert list(window(clip, line, WHOLE)) == indices(line.num_samples, clip.num_frames)
        return
    fitting = [
        k
        for k in range(line.num_samples - clip.num_frames + 1)
        if not any(k < b < k + clip.num_frames for b in line.breaks)
    ]
    if fitting:
        assert starts(clip, line) == fitting
    else:
        assert starts(clip, line) == [max((0, *line.breaks))]


def test_parts_of_a_uniform_video_reach_its_end_and_are_taken_as_files():
    line = Timeline(100)
    possible = starts(UNIFORM_4, line)
    assert list(possible) == list(range(-1, 51))
    assert window(UNIFORM_4, line, 0) == (0, 12, 24, 36)
    assert window(UNIFORM_4, line, 50) == (50, 62, 74, 86)


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 99))
def test_chosen_starts_are_one_from_each_equal_share(available: int, count: int, seed: int):
    chosen = choose(range(available), count, np.random.default_rng(seed))
    count = min(count, available)
    assert len(chosen) == len(set(chosen)) == count
    for i, start in enumerate(chosen):
        assert available * i // count <= start < available * (i + 1) // count


@given(st.integers(0, 100), st.lists(st.integers(0, 30), max_size=8))
def test_shares_are_as_equal_as_the_room_allows(total: int, room: list[int]):
    shares = fair_shares(total, room)
    assert sum(shares) == min(total, sum(room))
    assert all(share <= limit for share, limit in zip(shares, room, strict=True))
    unfilled = [s for s, limit in zip(shares, room, strict=True) if s < limit]
    assert not unfilled or max(shares) - min(unfilled) <= 1


# What the runtime would feed


@pytest.mark.parametrize(
    ("clip", "inputs"),
    [
        (TIMES_4, (SMALL,)),
        (ClipSpec(num_frames=4, fps=30), (input_spec(), input_spec(name="slow", every=2))),
        (
            ClipSpec(fps=8),
            (input_spec(layout="NCHW", resize="short_side", short_side=28, crop="center"),),
        ),
        (ClipSpec(frame_interval=3), (input_spec(layout="NHWC"),)),
        (UNIFORM_4, (SMALL,)),
        (ClipSpec(num_frames=4, sampling="segments"), (SMALL,)),
        (ClipSpec(num_frames=80, fps=50), (SMALL,)),
        (
            ClipSpec(num_frames=8, fps=25),
            (input_spec(frames="pair"), input_spec(name="fovea", crop="fovea", size=(32, 20))),
        ),
        (TIMES_4, (SMALL, input_spec(name="flow", modality="flow"))),
        (
            ClipSpec(num_frames=3, fps=25, frame_interval=4),
            (SMALL, input_spec(name="flow", modality="flow", flow_interval=1)),
        ),
        (
            ClipSpec(num_frames=3, fps=12, frame_interval=3),
            (input_spec(modality="flow", flow_interval=3), SMALL.model_copy(update={"name": "x"})),
        ),
        (ClipSpec(frame_interval=3), (input_spec(layout="NCHW", **FLOW_2),)),
        (UNIFORM_4, (input_spec(**FLOW_2),)),
        (ClipSpec(num_frames=4, sampling="segments"), (input_spec(**FLOW_2), input_spec(name="x"))),
        (ClipSpec(num_frames=80, fps=50), (input_spec(modality="flow"),)),
        (ClipSpec(num_frames=70, fps=25), (input_spec(modality="flow", flow_interval=1),)),
    ],
    ids=[
        "interval", "two-rates", "one-frame", "no-fps", "uniform", "segments", "too-short",
        "pair-and-fovea", "flow", "flow-to-next", "flow-at-another-rate", "flow-of-one-frame",
        "flow-uniform", "flow-segments", "flow-too-short", "flow-to-next-too-short",
    ],
)  # fmt: skip
def test_clips_are_the_windows_of_the_runtime_pixel_by_pixel(
    videos: Path, clip: ClipSpec, inputs: tuple[InputSpec, ...]
):
    sources = [*map(str, sorted(videos.iterdir())), "synthetic:?seconds=0.3&motions=left,grow"]
    drawn = draw(sources, clip, inputs, len(sources) * (3 if clip.sampling == "interval" else 1))
    assert set(drawn.sources) == set(sources)
    for uri in sources:
        expected = {
            (round(w.start_s, 9), *(a.tobytes() for a in w.arrays.values()))
            for w in runtime_windows(uri, clip, inputs)
        }
        for found in (c for c in drawn if c.source == uri):
            assert list(found.feeds) == [i.name for i in inputs]
            assert all(a.dtype == np.uint8 and len(a) == 1 for a in found.feeds.values())
            pixels = (a.tobytes() for a in found.feeds.values())
            assert (round(found.start_s, 9), *pixels) in expected


def test_videos_smaller_than_the_fovea_are_left_out_and_said(videos: Path):
    large = make_video(videos / "large.mp4", 20)
    inputs = (input_spec(crop="fovea", size=(40, 40)),)
    with pytest.raises(SourceError, match=r"a.mp4: its picture is 48x32, and the fovea of input"):
        draw([str(videos / "a.mp4")], TIMES_4, inputs, 2)
    drawn = draw([str(large), "synthetic:?seconds=2"], TIMES_4, inputs, 4)
    assert drawn.sources == ("synthetic:?seconds=2",)
    assert "1 of 2 videos are left out" in drawn.notes[0]
    assert "takes the centre 40x40" in drawn.notes[0]


def test_flow_of_a_still_image_is_left_out_and_said(videos: Path):
    image = videos / "still.png"
    cv2.imwrite(str(image), np.zeros((40, 40, 3), np.uint8))
    inputs = (input_spec(modality="flow"),)
    with pytest.raises(SourceError, match=r"still.png is a single picture.* takes optical flow"):
        draw([str(image)], TIMES_4, inputs, 2)
    drawn = draw([str(image), str(videos / "a.mp4")], TIMES_4, inputs, 2)
    assert drawn.sources == (str(videos / "a.mp4"),)


def test_windows_of_a_file_are_spread_over_its_time(videos: Path):
    drawn = draw([str(videos / "b.mkv")], TIMES_4, [SMALL], 6)
    begin = [frames_of(c)[0] for c in drawn]
    # 30 samples, 27 starts: one in each sixth.
    assert all(9 * i - 2 <= frame <= 9 * (i + 1) for i, frame in enumerate(begin))
    assert all(np.diff(frames_of(c)).tolist() == [2, 2, 2] for c in drawn)
    assert [c.start_s for c in drawn] == [frame / 25 for frame in begin]


def test_a_uniform_contract_takes_whole_files_first_then_parts(videos: Path):
    whole = draw([str(videos)], UNIFORM_4, [SMALL], 3)
    assert [frames_of(c) for c in whole] == [
        list(uniform_indices(n, 4)) for n in (50, 60, 40)
    ]  # fmt: skip
    more = draw([str(videos)], UNIFORM_4, [SMALL], 9)
    assert Counter(Path(c.source).name for c in more) == {"a.mp4": 3, "b.mkv": 3, "c.mp4": 3}
    steps = [np.diff(frames_of(c)).tolist() for c in more if c.source.endswith("a.mp4")]
    assert sorted(steps) == [[6, 6, 6], [6, 6, 6], [12, 12, 12]]
