import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.clips import ClipRing, WindowBuilder
from edgevid.spec import ClipSpec, InputSpec
from edgevid.types import FrameTime, SampledFrame


def sample(number: int, **facts) -> SampledFrame:
    picture = np.full((2, 3, 3), number % 256, np.uint8)
    time = FrameTime(number, number * 0.1, number * 0.1 + 0.1, received_ns=number)
    return SampledFrame({"clip": picture}, time, tick_s=number * 0.1, **facts)


def builder(num_frames: int, hop: int, every: int = 1) -> WindowBuilder:
    layout = "NTHWC" if num_frames > 1 else "NHWC"
    spec = InputSpec(name="clip", layout=layout, size=(2, 3), every=every)
    clip = ClipSpec(num_frames=num_frames, fps=10.0)
    return WindowBuilder(clip, [spec], hop, "a source")


def numbers(clip) -> list[int]:
    array = clip.arrays["clip"]
    return [int(a.flat[0]) for a in (array if array.ndim == 4 else [array])]


@given(st.integers(1, 9), st.integers(1, 40))
def test_ring_window_is_the_last_t_samples_and_contiguous(t, pushed):
    ring = ClipRing(t, (2, 2))
    for i in range(pushed):
        ring.push(np.full((2, 2), i, np.uint8))
        assert int(ring.last()[0, 0]) == i
        if i + 1 >= t:
            window = ring.window()
            assert window[:, 0, 0].tolist() == list(range(i + 1 - t, i + 1))
            assert window.flags.c_contiguous
            assert window.base is not None
    assert len(ring) == min(t, pushed)


def test_ring_refuses_a_window_before_it_is_full():
    ring = ClipRing(3, (1,))
    ring.push(np.zeros(1, np.uint8))
    with pytest.raises(ValueError, match="holds 1 of 3"):
        ring.window()
    ring.clear()
    with pytest.raises(ValueError, match="empty"):
        ring.last()


@given(st.integers(1, 8), st.integers(1, 12), st.integers(0, 60))
def test_windows_start_every_hop_samples(t, hop, pushed):
    build = builder(t, hop)
    clips = []
    for i in range(pushed):
        clip = build.push(sample(i))
        if clip is not None:
            clips.append((i, numbers(clip), clip.index, list(clip.pts_s)))
    starts = range(0, max(pushed - t + 1, 0), hop)
    assert [c[1] for c in clips] == [list(range(s, s + t)) for s in starts]
    assert [c[2] for c in clips] == list(range(len(clips)))
    for last, shown, _, pts in clips:
        assert last == shown[-1]
        assert pts == pytest.approx([n * 0.1 for n in shown])


def test_a_source_shorter_than_a_window_repeats_its_last_frame():
    build = builder(5, 1)
    for i in range(3):
        assert build.push(sample(i)) is None
    clip = build.finish()
    assert numbers(clip) == [0, 1, 2, 2, 2]
    assert clip.padded == 2


def test_no_padding_after_a_full_window_or_without_any_frame():
    build = builder(2, 4)
    assert build.finish() is None
    for i in range(5):
        build.push(sample(i))
    assert build.finish() is None


def test_a_restart_forgets_older_frames_and_a_gap_is_kept():
    build = builder(3, 1)
    for i in range(4):
        build.push(sample(i))
    assert build.push(sample(10, restart=True)) is None
    assert build.push(sample(11, gap=True)) is None
    clip = build.push(sample(12))
    assert numbers(clip) == [10, 11, 12]
    assert clip.gap
    assert [build.push(sample(i)).gap for i in (13, 14)] == [True, False]


def test_every_other_frame_for_a_slow_pathway():
    build = builder(4, 1, every=2)
    shown = []
    for i in range(5):
        clip = build.push(sample(i))
        shown.append(None if clip is None else numbers(clip))
    assert shown == [None, None, None, [0, 2], [1, 3]]


def test_costs_of_skipped_samples_are_counted_once():
    build = builder(1, 2)
    costs = [build.push(sample(i, capture_ms=1.0, preprocess_ms=0.5)) for i in range(5)]
    emitted = [(c.capture_ms, c.preprocess_ms) for c in costs if c is not None]
    assert emitted == [(1.0, 0.5), (2.0, 1.0), (2.0, 1.0)]
    assert costs[2].arrays["clip"].shape == (2, 3, 3)


def test_frames_are_told_apart_even_where_a_source_counts_anew():
    build = builder(3, 1)
    shown = []
    for number, second in [(7, 0.7), (8, 0.8), (8, 0.8), (0, 0.9), (1, 1.0), (2, 1.1)]:
        time = FrameTime(number, second, second + 0.1)
        clip = build.push(SampledFrame({"clip": np.zeros((2, 3, 3), np.uint8)}, time, second))
        shown.append(None if clip is None else list(clip.frames))
    assert shown == [None, None, [0, 1, 1], [1, 1, 2], [1, 2, 3], [2, 3, 4]]


def test_frames_that_pad_a_window_are_the_last_one_again():
    build = builder(4, 1)
    for i in range(2):
        build.push(sample(i))
    build.push(sample(9, restart=True))
    assert build.finish().frames == (2, 2, 2, 2)
