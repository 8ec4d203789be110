import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.clips import (
    FrameIndexSampler,
    IntervalSampler,
    NthFrameSampler,
    PairSampler,
    segment_indices,
    uniform_indices,
)
from edgevid.types import FrameTime


def times(pts: list[float]) -> list[FrameTime]:
    """FrameTimes with exact successors, as a file gives them."""
    ends = [*pts[1:], pts[-1] + (pts[-1] - pts[-2] if len(pts) > 1 else 0.04)]
    return [FrameTime(i, p, e) for i, (p, e) in enumerate(zip(pts, ends, strict=True))]


def taken(sampler, pts: list[float]) -> list[tuple[float, float]]:
    """(tick, pts of its frame) for every tick."""
    return [(tick, t.pts_s) for t in times(pts) for tick in sampler.pick(t).ticks_s]


@pytest.mark.parametrize(
    ("n", "t", "expected"),
    [
        (201, 20, [i * 10 for i in range(20)]),
        (7, 2, [0, 3]),
        (3, 5, [0, 1, 2, 2, 2]),
        (1, 1, [0]),
    ],
)
def test_uniform_is_the_published_rule(n, t, expected):
    assert uniform_indices(n, t) == expected


def test_segments_take_the_centre_of_each():
    # 10 frames in 2 segments of 5: centres 2 and 7. 9 frames in 3 segments of 3: 1, 4, 7.
    assert segment_indices(10, 2) == [2, 7]
    assert segment_indices(9, 3) == [1, 4, 7]


@given(st.integers(1, 5000), st.integers(1, 64))
def test_file_indices_are_sorted_and_inside(n, t):
    for indices in (uniform_indices(n, t), segment_indices(n, t)):
        assert len(indices) == t
        assert indices == sorted(indices)
        assert indices[0] >= 0
        assert indices[-1] < n


@given(
    st.lists(st.floats(0.001, 0.3), min_size=2, max_size=60),
    st.floats(0.02, 0.5),
)
def test_every_tick_gets_the_nearest_frame(steps, period):
    pts = [0.0]
    for step in steps:
        pts.append(pts[-1] + step)
    # A window this long never counts a hole as the end.
    pairs = taken(IntervalSampler(period, window_s=100.0), pts)

    for k, (tick, chosen) in enumerate(pairs):
        assert tick == pytest.approx(k * period)
        nearest = min(abs(p - tick) for p in pts)
        assert abs(chosen - tick) <= nearest + 1e-5
    # No tick inside the video is left out.
    assert len(pairs) >= math.floor((pts[-1] - 1e-5) / period) + 1


def test_a_25_fps_camera_repeats_frames_for_a_30_fps_model():
    pts = [i / 25 for i in range(26)]
    pairs = taken(IntervalSampler(1 / 30, 1 / 25), pts)
    assert len(pairs) == 31
    assert len({p for _, p in pairs}) == 26
    assert max(abs(t - p) for t, p in pairs) <= 0.02 + 1e-9


def test_decimation_takes_exactly_every_fourth_frame():
    pts = [i / 30 for i in range(120)]
    sampler = IntervalSampler(4 / 30, 1 / 30)
    used = [t.index for t in times(pts) if sampler.pick(t).ticks_s]
    assert used == list(range(0, 120, 4))


def test_a_short_hole_is_marked_and_a_long_one_starts_anew():
    # 10 fps, 0.1 s grid, window 0.8 s. Hole of 0.5 s after frame 4, of 2 s after frame 9.
    pts = [0.0, 0.1, 0.2, 0.3, 0.4, 0.9, 1.0, 1.1, 1.2, 1.3, 3.3, 3.4]
    sampler = IntervalSampler(0.1, 0.1, window_s=0.8)
    picks = [sampler.pick(t) for t in times(pts)]

    # Ticks 0.4, 0.5, 0.6 go to 0.4 (0.6 is too far), 0.7, 0.8, 0.9 to 0.9 (0.7 is too far).
    assert picks[4].gaps == (False, False, True)
    assert picks[5].gaps == (True, False, False)
    assert [p.restart for p in picks].index(True) == 10
    assert picks[10].ticks_s == (3.3,)
    assert picks[10].gaps == (False,)


def test_time_running_backwards_starts_anew():
    sampler = IntervalSampler(0.1, 0.1, window_s=1.0)
    first = [sampler.pick(FrameTime(i, i * 0.1, i * 0.1 + 0.1)) for i in range(5)]
    jumped = sampler.pick(FrameTime(5, 0.05, 0.15))
    assert not any(p.restart for p in first)
    assert jumped.restart
    assert jumped.ticks_s == (0.05,)


def test_nth_frame_ignores_time():
    sampler = NthFrameSampler(3)
    used = [t.index for t in times([0.0, 0.5, 0.6, 5.0, 5.1, 5.2, 9.0]) if sampler.pick(t).ticks_s]
    assert used == [0, 3, 6]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=20))
def test_file_index_sampler_gives_each_index_as_often_as_listed(indices):
    sampler = FrameIndexSampler(sorted(indices))
    got = [t.index for t in times([i * 0.04 for i in range(31)]) for _ in sampler.pick(t).ticks_s]
    assert got == sorted(indices)


def paired(sampler, pts: list[float]) -> dict[float, int]:
    """Instant sampled to the number of the frame that its flow goes to."""
    found, last = {}, ()
    for time in times(pts):
        pick = sampler.pick(time)
        if pick.second:
            found |= dict.fromkeys(last, time.index)
        last = pick.ticks_s or last
    return found


@given(
    st.lists(st.floats(0.01, 0.1), min_size=4, max_size=50),
    st.integers(1, 6),
    st.integers(1, 6),
    st.floats(5, 40),
)
def test_flow_goes_to_the_frame_nearest_to_its_interval(steps, interval, frames, fps):
    frames = min(frames, interval)
    pts = [sum(steps[:i]) for i in range(len(steps))]
    plain = taken(IntervalSampler(interval / fps), pts)
    seconds = paired(PairSampler(IntervalSampler(interval / fps), frames, fps), pts)
    sampled = [pts.index(at) for _, at in plain]
    for (tick, at), number in zip(plain, sampled, strict=True):
        later = range(number + 1, len(pts))
        following = next((n for n in sampled if n > number), len(pts) - 1)
        due = [t for t, a in plain if a == at][-1] + frames / fps
        # Float sums may put a frame that is equally near on either side.
        near = min((abs(pts[n] - due) for n in later), default=0)
        if tick not in seconds:
            assert not later or due > pts[-1] - 1e-9, "left without a second frame"
            continue
        found = seconds[tick]
        assert number < found <= following
        if found < following:
            assert abs(pts[found] - due) <= near + 1e-5


def test_flow_between_consecutive_frames_of_a_sparse_sampling():
    pts = [i / 30 for i in range(10)]
    sampler = PairSampler(IntervalSampler(4 / 30), 1, 30)
    assert list(paired(sampler, pts).values()) == [1, 5, 9]


def test_flow_by_frames_of_the_source_as_it_comes():
    pts = [i / 30 for i in range(10)]
    assert list(paired(PairSampler(NthFrameSampler(4), 2), pts).values()) == [2, 6]
    assert list(paired(PairSampler(FrameIndexSampler([0, 3, 3, 9]), 5), pts).values()) == [3, 8]


def test_no_flow_goes_across_a_cut():
    pts = [0, 0.1, 0.2, 5.0, 5.1, 5.2]
    sampler = PairSampler(IntervalSampler(0.2), 1, 10)
    picks = [sampler.pick(t) for t in times(pts)]
    assert [p.second for p in picks] == [False, True, False, False, True, False]
    assert [p.restart for p in picks] == [False, False, False, True, False, False]


def test_a_second_frame_behind_a_hole_is_late():
    pts = [0, 0.1, 0.2, 0.9, 1.0, 1.1]
    sampler = PairSampler(IntervalSampler(0.2, window_s=2), 1, 10, 0.1)
    late = [(t.index, p.late) for t in times(pts) if (p := sampler.pick(t)).second]
    assert late == [(1, False), (3, True), (4, False), (5, False)]
    slow = PairSampler(IntervalSampler(0.5), 1, 10, source_period_s=0.5)
    assert [slow.pick(t).late for t in times([0, 0.5, 1.0, 1.5])] == [False] * 4
