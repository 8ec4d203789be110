"""Successive windows of a file share calls; nothing else changes for it."""

from __future__ import annotations

import threading
import time
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgevid.pipeline import Batching, CaptureJob, NamedSource, Stream
from edgevid.pipeline.due import Due
from edgevid.smoothing import parse_smoother
from edgevid.spec import ClipSpec, InputSpec, StateSpec
from edgevid.types import Clip, Frame, Prediction, TensorInfo

pytestmark = pytest.mark.timeout(60)

LABELS = ("dark", "bright")
FOURS = Batching(of_a_file=4)


class NewestEngine:
    """The second score is the window's newest frame; notes the batch of every call."""

    name = "newest"
    inputs = (TensorInfo("clip", (None, None, 6, 8, 3), "uint8"),)
    outputs = (TensorInfo("scores", (None, 2), "float32"),)

    def __init__(self, seconds=0.0):
        self.batches = []
        self._pause = threading.Event()
        self._seconds = seconds

    def infer(self, feeds):
        clips = feeds["clip"]
        self.batches.append(len(clips))
        self._pause.wait(self._seconds)
        second = clips.reshape(len(clips), clips.shape[1], -1)[:, -1, 0] / 255
        return {"scores": np.stack([1 - second, second], axis=1).astype(np.float32)}

    def close(self):
        pass


def job(num_frames=1, hop_s=None, **more) -> CaptureJob:
    clip = ClipSpec(num_frames=num_frames, fps=10.0, hop_s=hop_s)
    return CaptureJob(clip, (InputSpec(name="clip", layout="NTHWC", size=(6, 8)),), **more)


def lane(source) -> list[NamedSource]:
    return [NamedSource(source.source_id, lambda: source)]


def stream(engine, sources, batching, smooth="none", **more) -> Stream:
    lanes = [lane(source) for source in sources]
    return Stream(engine, LABELS, lanes, job(**more), parse_smoother(smooth), batching=batching)


def facts(prediction: Prediction) -> tuple:
    """All of it but the timings."""
    kept = {f.name: getattr(prediction, f.name) for f in fields(prediction) if f.name != "timings"}
    kept |= {name: tuple(kept[name]) for name in ("scores", "smoothed")}
    return tuple(kept.values())


def clip(lane: int, index: int) -> Clip:
    arrays = {"clip": np.full((2, 1), index, np.uint8)}
    return Clip(str(lane), index, (index / 10, index / 10 + 0.1), (index, index + 1), arrays)


_STEPS = st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.floats(0, 0.2)), max_size=60)


@given(_STEPS, st.integers(1, 4), st.integers(1, 3), st.floats(0, 200))
def test_every_window_goes_into_one_call_in_order_and_none_too_large(
    steps, max_batch, of_a_file, max_wait_ms
):
    due = Due(Batching(max_batch, max_wait_ms, of_a_file))
    due.took(0.001, 1)
    counts, calls, now_s = [0] * 4, [], 0.0
    for number, more, passed_s in steps:
        now_s += passed_s
        if number in due.held:
            continue
        due.add(number, clip(number, counts[number]), now_s, more=more)
        counts[number] += 1
        assert due.until_s is not None
        assert due.until_s <= now_s + max(0.1, max_wait_ms / 1e3)
        calls.append(due.full())
        assert len(due.held) < max_batch
    assert all(len({n for n, _ in call}) in (0, max_batch) for call in calls)
    calls += due.all()
    assert due.until_s is None
    assert not due.all()
    for call in calls:
        lanes = [number for number, _ in call]
        assert len(set(lanes)) <= max_batch
        assert all(lanes.count(number) <= of_a_file for number in lanes)
    for number, count in enumerate(counts):
        answered = [one.index for call in calls for n, one in call if n == number]
        assert answered == list(range(count))


@pytest.mark.parametrize(
    ("seconds", "windows", "together"),
    [
        (0.001, 1, 4),
        (0.025, 1, 4),
        (0.1, 4, 4),
        (0.026, 1, 3),
        (0.05, 1, 2),
        (0.051, 1, 1),
        (9, 1, 1),
    ],
)
def test_as_many_windows_share_a_call_as_are_answered_in_a_tenth_of_a_second(
    seconds, windows, together
):
    due = Due(FOURS)
    due.took(seconds, windows)
    for index in range(together):
        assert not due.full()
        due.add(0, clip(0, index), 7.0 + index / 100, more=True)
        assert due.until_s == pytest.approx(7.0 + index / 100 if index == together - 1 else 7.1)
    assert [one.index for _, one in due.full()] == list(range(together))


def test_the_first_window_waits_for_no_other():
    due = Due(FOURS)
    due.add(0, clip(0, 0), 5.0, more=True)
    assert len(due.full()) == 1, "nothing is known of calls yet"


@pytest.mark.parametrize("hop_s", [None, 0.1, 0.5])
def test_windows_of_a_file_share_calls(numbered, hop_s):
    engine = NewestEngine()
    pts = [i / 10 for i in range(40)]
    predictions = list(stream(engine, [numbered(pts)], FOURS, hop_s=hop_s))
    hop = round(10 * (hop_s or 0.1))
    assert [p.index for p in predictions] == list(range(1 + (40 - 1) // hop))
    assert [round(p.scores[1] * 255) for p in predictions] == list(range(0, 40, hop))
    assert engine.batches[0] == 1
    assert max(engine.batches) == 2
    assert sum(engine.batches) == len(predictions)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from([0.1, 0.1, 0.1, 0.05, 0.4, 3.0, -2.0]), min_size=3, max_size=50),
    st.integers(1, 4),
    st.sampled_from([0.1, 0.2, 0.7]),
    st.booleans(),
    st.sampled_from(["none", "mean:3", "hmm:0.9"]),
)
def test_sharing_changes_nothing_but_timings(numbered, steps, num_frames, hop_s, strict, smooth):
    pts = np.cumsum([0.0, *steps]).round(3).tolist()
    more = {"num_frames": num_frames, "hop_s": hop_s, "strict_time": strict, "smooth": smooth}
    alone = stream(NewestEngine(), [numbered(pts)], Batching(), **more)
    paired = stream(NewestEngine(), [numbered(pts)], FOURS, **more)
    assert [facts(p) for p in paired] == [facts(p) for p in alone]
    for name in ("frames_read", "frames_used", "clips_refused", "clips_with_gap"):
        assert paired.summary.total(name) == alone.summary.total(name)


def test_a_source_that_is_slow_holds_no_answer_back(numbered):
    # Window 5 is complete, and the frame after it does not come before its answer is read.
    answered = threading.Event()
    waited = []

    def on_read(index):
        if index == 6:
            waited.append(answered.wait(20))

    playing = stream(
        NewestEngine(), [numbered([i / 10 for i in range(20)], on_read=on_read)], FOURS
    )
    for prediction in playing:
        if prediction.index == 5:
            answered.set()
    assert waited == [True]


def test_windows_of_several_frames_are_fed_alone(numbered):
    engine = NewestEngine()
    predictions = list(stream(engine, [numbered([i / 10 for i in range(30)])], FOURS, num_frames=2))
    assert len(predictions) == 29
    assert set(engine.batches) == {1}


def test_what_is_live_is_answered_at_once(numbered):
    engine = NewestEngine()
    pts = [i / 10 for i in range(40)]
    source = numbered(pts, live=True, on_read=lambda _: time.sleep(0.01))
    assert len(list(stream(engine, [source], FOURS))) > 10
    assert set(engine.batches) == {1}


def test_slow_calls_are_not_shared(numbered):
    engine = NewestEngine(seconds=0.055)
    assert len(list(stream(engine, [numbered([i / 10 for i in range(10)])], FOURS))) == 10
    assert set(engine.batches) == {1}


def test_lanes_that_share_no_call_do_not_wait_for_each_other(numbered):
    engine = NewestEngine()
    sources = [numbered([i / 10 for i in range(30)], name=f"lane {k}") for k in range(3)]
    predictions = list(stream(engine, sources, FOURS))
    assert max(engine.batches) == 2
    for source in sources:
        own = [p.index for p in predictions if p.source_id == source.source_id]
        assert own == list(range(30))


def test_with_frames_each_answer_comes_before_the_next_frame(numbered):
    playing = stream(
        NewestEngine(), [numbered([i / 10 for i in range(20)])], FOURS, want_frames=True
    )
    shown = -1
    answers = 0
    for result in playing.results():
        if isinstance(result, Frame):
            shown = result.time.index
        if isinstance(result, Prediction):
            answers += 1
            assert result.index == shown
    assert answers == 20


class CountingEngine(NewestEngine):
    """The second score is how many windows of the stream came so far, as its state says."""

    inputs = (*NewestEngine.inputs, TensorInfo("count_in", (None, 1), "float32"))
    outputs = (*NewestEngine.outputs, TensorInfo("count_out", (None, 1), "float32"))

    def infer(self, feeds):
        count = feeds["count_in"] + 1
        super().infer(feeds)
        return {"count_out": count, "scores": np.concatenate([0 * count, count], axis=1)}


def test_a_graph_with_states_gets_one_window_of_a_stream(numbered):
    engine = CountingEngine()
    state = StateSpec(
        input="count_in", output="count_out", shape=(1, 1), dtype="float32", batch_axis=0
    )
    lanes = [lane(numbered([i / 10 for i in range(20)]))]
    playing = Stream(engine, LABELS, lanes, job(), states=[state], batching=FOURS)
    assert [float(p.scores[1]) for p in playing] == [*range(1, 21)]
    assert set(engine.batches) == {1}
