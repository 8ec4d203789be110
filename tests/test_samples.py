"""Nothing is computed twice on the way from frames to samples."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgevid import samples
from edgevid.clips import IntervalSampler, PairSampler, Pick, WindowBuilder
from edgevid.errors import SourceError
from edgevid.preprocess.flow import no_motion
from edgevid.samples import SampleMaker, check_motion
from edgevid.spec import ClipSpec, InputSpec
from edgevid.types import Frame, FrameTime

FPS = 10.0


def made(name="x", **fields) -> InputSpec:
    return InputSpec(**{"name": name, "layout": "NTCHW", "size": (32, 48), **fields})


def frame(i: int) -> Frame:
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    moved = np.roll(cv2.GaussianBlur(noise, (0, 0), 2), 2 * i, axis=1)
    return Frame(moved, FrameTime(i, i / FPS, (i + 1) / FPS, received_ns=1000 * i), "made")


@pytest.fixture
def counted(monkeypatch):
    """How often pictures were resized and flow was computed."""
    counts = {"resize": 0, "flow": 0}
    resize, open_flow = cv2.resize, samples.open_flow

    def counting_resize(*args, **kwargs):
        counts["resize"] += 1
        return resize(*args, **kwargs)

    def counting_flow(method):
        flow = open_flow(method)

        def compute(first, second):
            counts["flow"] += 1
            return flow(first, second)

        return compute

    monkeypatch.setattr(cv2, "resize", counting_resize)
    monkeypatch.setattr(samples, "open_flow", counting_flow)
    return counts


def play(inputs, clip: ClipSpec, sampler, count: int) -> list:
    """The windows of `count` frames, one with every sample."""
    maker, builder = SampleMaker(inputs), WindowBuilder(clip, inputs, 1, "made")
    windows = []
    for i in range(count):
        shown = frame(i)
        pick = sampler.pick(shown.time)
        if pick.taken:
            windows += [w for s in maker.push(shown, pick) if (w := builder.push(s)) is not None]
    return windows


def test_pathways_and_flow_of_one_size_are_resized_once_and_flow_is_computed_once(counted):
    inputs = [made("fast"), made("slow", every=4), made("flow", modality="flow")]
    windows = play(inputs, ClipSpec(num_frames=8, fps=FPS), IntervalSampler(1 / FPS), 20)
    assert len(windows) == 13
    assert counted == {"resize": 20, "flow": 19}
    assert windows[-1].arrays["flow"].shape == (7, 32, 48, 2)


def test_flow_to_the_next_frame_takes_two_frames_a_sample(counted):
    large = made("large", size=(50, 50))
    inputs = [made("rgb"), made("flow", modality="flow", flow_interval=1), large]
    clip = ClipSpec(num_frames=2, fps=FPS, frame_interval=4)
    windows = play(inputs, clip, PairSampler(IntervalSampler(0.4), 1, FPS), 18)
    assert [[round(s * FPS) for s in w.pts_s] for w in windows] == [
        [0, 4], [4, 8], [8, 12], [12, 16]
    ]  # fmt: skip
    assert counted == {"resize": 5 + 2 * 5, "flow": 5}, "a second frame has flow alone"
    # It is ready when the last second frame is there.
    assert [w.newest_received_ns for w in windows] == [5000, 9000, 13000, 17000]
    moved = windows[-1].arrays["flow"][0, 8:24, 12:36].astype(float) * 40 / 255 - 20
    assert np.median(moved[..., 0]) == pytest.approx(2 * 48 / 90, abs=0.3)


def test_where_every_frame_is_sampled_the_next_one_serves_twice(counted):
    inputs = [made(modality="flow", flow_interval=1)]
    clip = ClipSpec(num_frames=4, fps=FPS)
    windows = play(inputs, clip, PairSampler(IntervalSampler(1 / FPS), 1, FPS), 10)
    assert len(windows) == 6
    assert counted == {"resize": 10, "flow": 9}


def test_a_frame_that_stands_for_two_instants_moves_once():
    maker = SampleMaker([made(modality="flow")])
    maker.push(frame(0), Pick((0.0,), (False,)))
    first, again = maker.push(frame(1), Pick((0.1, 0.2), (False, False)))
    assert np.ptp(first.arrays["x"]) > 0
    assert np.array_equal(again.arrays["x"], no_motion(32, 48))


def test_nothing_flows_across_a_cut():
    maker = SampleMaker([made("own", modality="flow")])
    maker.push(frame(0), Pick((0.0,), (False,)))
    [cut] = maker.push(frame(9), Pick((5.0,), (False,), restart=True))
    assert np.array_equal(cut.arrays["own"], no_motion(32, 48))
    maker = SampleMaker([made("next", modality="flow", flow_interval=1)])
    assert maker.push(frame(0), Pick((0.0,), (False,))) == []
    assert maker.push(frame(9), Pick((5.0,), (False,), restart=True)) == []
    [sample] = maker.push(frame(10), Pick(second=True))
    assert (sample.time.index, sample.restart, sample.gap) == (9, True, False)


def test_the_cost_of_reading_a_second_frame_counts_once():
    maker = SampleMaker([made(modality="flow", flow_interval=1)])
    maker.push(frame(0), Pick((0.0, 0.1), (False, False)), capture_ms=3.0)
    samples_made = maker.push(frame(1), Pick(second=True), capture_ms=4.0)
    assert [s.capture_ms for s in samples_made] == [7.0, 0.0]


def test_flow_to_a_frame_that_comes_late_marks_its_sample():
    maker = SampleMaker([made(modality="flow", flow_interval=1)])
    maker.push(frame(0), Pick((0.0,), (False,)))
    [sample] = maker.push(frame(8), Pick(second=True, late=True))
    assert sample.gap


@pytest.mark.parametrize(("count", "refused"), [(1, True), (0, True), (2, False), (None, False)])
def test_flow_needs_two_frames(count, refused):
    check_motion([made()], "still.png", count)
    if not refused:
        check_motion([made(modality="flow")], "clip.mp4", count)
        return
    with pytest.raises(SourceError, match=r"still.png is a single picture.*needs two frames"):
        check_motion([made(modality="flow")], "still.png", count)
