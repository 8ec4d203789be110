"""States of streaming models in the runtime: one set for each stream, anew where it begins."""

import numpy as np
import pytest

import edgevid.states
from edgevid.pipeline import CaptureJob, NamedSource, Stream
from edgevid.spec import ClipSpec, InputSpec, StateSpec
from edgevid.types import TensorInfo

STATES = (
    StateSpec(input="sum_in", output="sum_out", shape=(1, 1), dtype="float32"),
    StateSpec(input="count_in", output="count_out", shape=(1,), dtype="int32"),
)
PICTURE = InputSpec(name="picture", layout="NCHW", size=(6, 8))


class SummingEngine:
    """The second score is the mean value of the frames so far, over 255."""

    name = "summing"
    outputs = (
        TensorInfo("sum_out", (1, 1), "float32"),
        TensorInfo("count_out", (1,), "int32"),
        TensorInfo("scores", (1, 2), "float32"),
    )
    inputs = ()

    def __init__(self, break_at=None):
        self.calls = 0
        self.counts = []
        self._break_at = break_at

    def infer(self, feeds):
        assert feeds["count_in"].dtype == np.int32
        total = feeds["sum_in"] + np.float32(feeds["picture"].flat[0])
        count = feeds["count_in"] + 1
        self.counts.append(int(count[0]))
        second = float(total[0, 0]) / float(count[0]) / 255
        if self.calls == self._break_at:
            total = np.full_like(total, np.nan)
        self.calls += 1
        scores = np.array([[1 - second, second]], np.float32)
        return {"sum_out": total, "count_out": count, "scores": scores}

    def close(self):
        pass


def stream(engine, *lanes):
    job = CaptureJob(ClipSpec(fps=10.0), (PICTURE,))
    named = [[NamedSource(s.source_id, lambda s=s: s, s) for s in lane] for lane in lanes]
    return Stream(engine, ("no", "yes"), named, job, states=STATES)


def means(count):
    """Of the frames 0 .. n, for n < count."""
    return [np.mean(range(n + 1)) / 255 for n in range(count)]


def answers(predictions, source_id):
    return [float(p.scores[1]) for p in predictions if p.source_id == source_id]


def at_10_fps(count, start=0.0):
    return [start + i / 10 for i in range(count)]


def test_each_stream_sees_its_own_past_alone(numbered):
    one = numbered(at_10_fps(20), name="one")
    other = numbered(at_10_fps(9), name="other")
    engine = SummingEngine()
    predictions = list(stream(engine, [one], [other]))
    assert answers(predictions, "one") == pytest.approx(means(20))
    assert answers(predictions, "other") == pytest.approx(means(9))
    assert sorted(engine.counts) == sorted([*range(1, 21), *range(1, 10)])


def test_the_next_source_of_a_lane_starts_from_zeros(numbered):
    sources = [numbered(at_10_fps(5), name=name) for name in ("first", "second")]
    predictions = list(stream(SummingEngine(), sources))
    assert answers(predictions, "first") == pytest.approx(means(5))
    assert answers(predictions, "second") == pytest.approx(means(5))


def test_a_hole_in_time_starts_from_zeros(numbered):
    source = numbered([*at_10_fps(6), *at_10_fps(4, start=30.0)])
    engine = SummingEngine()
    predictions = list(stream(engine, [source]))
    assert engine.counts == [1, 2, 3, 4, 5, 6, 1, 2, 3, 4]
    after = [np.mean(range(6, 7 + n)) / 255 for n in range(4)]
    assert answers(predictions, "numbered") == pytest.approx([*means(6), *after])


def test_nan_in_a_state_begins_anew_and_is_told(numbered):
    engine = SummingEngine(break_at=3)
    running = stream(engine, [numbered(at_10_fps(8))])
    predictions = list(running)
    assert engine.counts == [1, 2, 3, 4, 1, 2, 3, 4]
    assert len(predictions) == 7
    assert np.isfinite([p.scores for p in predictions]).all()
    (source,) = running.summary.sources
    assert source.clips == 7
    assert any("NaN or infinite 1 time" in note for note in source.notes)


def test_states_are_taken_whole_or_not_at_all():
    states = edgevid.states.States(STATES)
    assert states.feeds["sum_in"].shape == (1, 1)
    new = {"sum_out": np.full((1, 1), 5, np.float32), "count_out": np.array([7], np.int32)}
    assert states.take(new)
    assert int(states.feeds["count_in"][0]) == 7
    assert not states.take({**new, "sum_out": np.full((1, 1), np.inf, np.float32)})
    assert not any(array.any() for array in states.feeds.values())


def test_a_model_without_states_has_nothing_to_feed():
    states = edgevid.states.States(())
    assert states.take({"scores": np.full((1, 2), np.nan)})
    assert states.feeds == {}
