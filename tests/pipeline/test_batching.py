import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgevid.pipeline import Batching, CaptureJob, NamedSource, Stream
from edgevid.pipeline.queues import Inbox
from edgevid.spec import ClipSpec, InputSpec
from edgevid.types import FrameTime, SampledFrame, TensorInfo

pytestmark = pytest.mark.timeout(60)

LABELS = ("dark", "bright")


class MeanEngine:
    """The second score is the mean of the window; notes the batch of every call."""

    name = "mean"
    outputs = (TensorInfo("scores", (None, 2), "float32"),)

    def __init__(self, batch=None, seconds=0.0):
        self.inputs = (TensorInfo("clip", (batch, None, 6, 8, 3), "uint8"),)
        self.batches = []
        self._seconds = seconds

    def infer(self, feeds):
        clips = feeds["clip"]
        self.batches.append(len(clips))
        time.sleep(self._seconds)
        second = clips.reshape(len(clips), -1).mean(axis=1) / 255
        return {"scores": np.stack([1 - second, second], axis=1).astype(np.float32)}

    def close(self):
        pass


def job(num_frames=4, hop_s=None, **more) -> CaptureJob:
    clip = ClipSpec(num_frames=num_frames, fps=10.0, hop_s=hop_s)
    return CaptureJob(clip, (InputSpec(name="clip", layout="NTHWC", size=(6, 8)),), **more)


def lanes_of(numbered, lengths, **more):
    sources = [
        numbered([i / 10 for i in range(n)], name=f"lane {k}", **more)
        for k, n in enumerate(lengths)
    ]
    return [[NamedSource(s.source_id, lambda s=s: s)] for s in sources]


def answers(predictions):
    return {(p.source_id, p.index): tuple(p.scores) for p in predictions}


@pytest.mark.parametrize("max_batch", [2, 3, 8])
@pytest.mark.parametrize("hop_s", [None, 0.3])
def test_answers_do_not_depend_on_the_batch(numbered, max_batch, hop_s):
    lengths = (25, 60, 4, 3, 41)
    alone, shared = MeanEngine(), MeanEngine()
    expected = list(Stream(alone, LABELS, lanes_of(numbered, lengths), job(hop_s=hop_s)))
    batching = Batching(max_batch, max_wait_ms=1000.0)
    stream = Stream(
        shared, LABELS, lanes_of(numbered, lengths), job(hop_s=hop_s), batching=batching
    )
    got = list(stream)
    assert answers(got) == answers(expected)
    for lane in range(len(lengths)):
        indices = [p.index for p in got if p.source_id == f"lane {lane}"]
        assert indices == sorted(indices)
    assert set(alone.batches) == {1}
    assert max(shared.batches) <= max_batch
    assert len(shared.batches) < len(alone.batches)


def test_one_lane_never_waits_for_another(numbered):
    engine = MeanEngine()
    stream = Stream(
        engine, LABELS, lanes_of(numbered, [40]), job(), batching=Batching(8, max_wait_ms=60_000)
    )
    assert len(list(stream)) == 37
    assert set(engine.batches) == {1}


def test_a_window_waits_no_longer_than_it_may(numbered):
    # The second lane is open and silent: the first must not wait for it.
    silent = threading.Event()
    talks = numbered([i / 10 for i in range(5)], name="talks")
    mute = numbered([0.0], name="mute", live=True, on_read=lambda _: silent.wait(20))
    lanes = [[NamedSource(s.source_id, lambda s=s: s)] for s in (talks, mute)]
    stream = Stream(MeanEngine(), LABELS, lanes, job(), batching=Batching(2, max_wait_ms=50.0))
    first = next(stream)
    assert first.source_id == "talks"
    assert not silent.is_set()
    silent.set()
    assert sorted(p.source_id for p in stream) == ["mute", "talks"]


def test_a_graph_with_a_fixed_batch_is_called_one_by_one_and_at_once(numbered):
    engine = MeanEngine(batch=1)
    stream = Stream(
        engine, LABELS, lanes_of(numbered, [9, 9]), job(), batching=Batching(2, max_wait_ms=60_000)
    )
    assert len(list(stream)) == 12
    assert set(engine.batches) == {1}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=4),
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(1, 6),
    st.booleans(),
)
def test_every_frame_is_used_skipped_or_dropped(
    numbered, lengths, max_batch, num_frames, hop, live
):
    def sources(pts, **more):
        return numbered(pts, live=live, **more)

    engine = MeanEngine(seconds=0.0002 if live else 0.0)
    stream = Stream(
        engine,
        LABELS,
        lanes_of(sources, lengths),
        job(num_frames, hop / 10),
        batching=Batching(max_batch, max_wait_ms=1.0),
    )
    predictions = list(stream)
    for number, length in enumerate(lengths):
        (entry,) = [s for s in stream.summary.sources if s.source == f"lane {number}"]
        assert entry.frames_read == length
        assert length == entry.frames_used + entry.frames_skipped + entry.frames_dropped
        own = [p for p in predictions if p.source_id == entry.source]
        assert entry.clips == len(own)
        if not live and length >= num_frames:
            assert len(own) == 1 + (length - num_frames) // hop
            assert entry.frames_dropped == 0


@pytest.mark.parametrize("strict", [False, True])
def test_windows_that_miss_frames_are_marked_or_left_out(numbered, strict):
    # Ten frames a second, but for a hole of half a second: less than a window of eight.
    pts = [t for t in (i / 10 for i in range(40)) if not 1.95 < t < 2.45]
    lanes = [[NamedSource("n", lambda: numbered(pts, name="n"))]]
    stream = Stream(MeanEngine(), LABELS, lanes, job(num_frames=8, strict_time=strict))
    predictions = list(stream)
    (entry,) = stream.summary.sources
    gaps = sum(p.gap for p in predictions)
    if strict:
        assert gaps == 0
        assert entry.clips_refused > 0
    else:
        assert gaps == entry.clips_with_gap > 0
        assert entry.clips_refused == 0
    assert len(predictions) + entry.clips_refused == 33


@given(st.lists(st.integers(1, 5), min_size=2, max_size=5), st.integers(20, 200))
def test_busy_lanes_are_served_in_proportion_to_their_priorities(priorities, turns):
    inbox = Inbox(1000, priorities)
    for lane in range(len(priorities)):
        for i in range(200):
            inbox.put(lane, SampledFrame({}, FrameTime(i, i / 10, i / 10 + 0.1), i / 10))
    served = [0] * len(priorities)
    for _ in range(min(turns, 200)):
        lane, _ = inbox.get()
        served[lane] += 1
    for lane, priority in enumerate(priorities):
        assert abs(served[lane] - sum(served) * priority / sum(priorities)) < len(priorities)


def test_a_slow_lane_is_served_as_soon_as_it_has_something():
    inbox = Inbox(1000, 2)
    for i in range(500):
        inbox.put(0, SampledFrame({}, FrameTime(i, i / 10, i / 10 + 0.1), i / 10))
    for _ in range(300):
        assert inbox.get()[0] == 0
    inbox.put(1, SampledFrame({}, FrameTime(0, 0.0, 0.1), 0.0))
    assert 1 in {inbox.get()[0], inbox.get()[0]}
    # Its silence before did not save up turns: from now on they alternate.
    for i in range(10):
        inbox.put(1, SampledFrame({}, FrameTime(i, i / 10, i / 10 + 0.1), i / 10))
    lanes = [inbox.get()[0] for _ in range(10)]
    assert lanes.count(1) == 5
