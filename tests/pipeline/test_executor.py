"""Windows to scores: which share a call of the engine, and whose memory is whose."""

import numpy as np
import pytest

from edgevid.engines.feeds import check_feeds
from edgevid.engines.scripted import ScriptedEngine
from edgevid.pipeline.executor import Request, new_executor
from edgevid.spec import StateSpec
from edgevid.types import Clip, TensorInfo


def window(value, num_frames=3):
    pixels = np.full((2 * num_frames, 4, 5, 3), value, np.uint8)
    return Clip(
        source_id=f"source {value}",
        index=0,
        pts_s=np.arange(num_frames, dtype=float),
        frames=np.arange(num_frames),
        arrays={"clip": pixels[::2]},
    )


def engine(batch):
    return ScriptedEngine(
        [TensorInfo("clip", (batch, 3, 4, 5, 3), "uint8")],
        [TensorInfo("scores", (batch, 2), "float32")],
        lambda feeds: [[clip.flat[0], 1.0] for clip in feeds["clip"]],
    )


@pytest.mark.parametrize(("batch", "calls"), [(None, [4]), (1, [1, 1, 1, 1])])
def test_windows_share_a_call_where_the_batch_is_open(batch, calls):
    scripted = engine(batch)
    executor = new_executor(scripted)
    requests = [Request(window(value), executor.new_memory()) for value in (7, 3, 9, 1)]
    assert [scores.tolist() for scores in executor.run(requests)] == [
        [7.0, 1.0],
        [3.0, 1.0],
        [9.0, 1.0],
        [1.0, 1.0],
    ]
    assert scripted.batches == calls


@pytest.mark.parametrize("batch", [None, 1])
def test_nothing_due_calls_nothing(batch):
    scripted = engine(batch)
    assert new_executor(scripted).run([]) == []
    assert scripted.batches == []


class CountingEngine:
    """Counts the calls of each stream in its state; breaks where a picture is black."""

    outputs = (TensorInfo("count_out", (1,), "float32"), TensorInfo("scores", (1, 1), "float32"))
    inputs = ()

    def infer(self, feeds):
        count = feeds["count_in"] + 1 if feeds["clip"].any() else np.full(1, np.nan, np.float32)
        return {"count_out": count, "scores": count[np.newaxis]}


class NanScores:
    """Its scores tell of a break that its state hides."""

    outputs = (TensorInfo("count_out", (1,), "float32"), TensorInfo("scores", (1, 1), "float32"))
    inputs = ()

    def infer(self, feeds):
        count = feeds["count_in"] + 1
        scores = count[np.newaxis] if count[0] != 2 else np.full((1, 1), np.nan, np.float32)
        return {"count_out": count, "scores": scores}


def test_scores_that_are_no_numbers_begin_anew():
    states = [StateSpec(input="count_in", output="count_out", shape=(1,), dtype="float32")]
    executor = new_executor(NanScores(), states)
    memory = executor.new_memory()
    rows = [executor.run([Request(window(1), memory)])[0] for _ in range(4)]
    assert [None if row is None else float(row[0]) for row in rows] == [1, None, 1, None]


class BatchedCountingEngine:
    """The same for several streams in one call, whose counts stand along the second axis."""

    outputs = (
        TensorInfo("count_out", (2, None), "float32"),
        TensorInfo("scores", (None, 1), "float32"),
    )
    inputs = (
        TensorInfo("clip", (None, 3, 4, 5, 3), "uint8"),
        TensorInfo("count_in", (2, None), "float32"),
    )

    def __init__(self):
        self.batches = []

    def infer(self, feeds):
        self.batches.append(check_feeds(self.inputs, feeds))
        black = ~feeds["clip"].any(axis=(1, 2, 3, 4))
        count = np.where(black, np.float32(np.nan), feeds["count_in"] + 1)
        return {"count_out": count, "scores": count[:1].T}


def test_streams_share_a_call_and_keep_their_states_apart():
    state = StateSpec(
        input="count_in", output="count_out", shape=(2, 1), dtype="float32", batch_axis=1
    )
    engine = BatchedCountingEngine()
    executor = new_executor(engine, [state])
    one, two, three = (executor.new_memory() for _ in range(3))

    def run(*requests):
        rows = executor.run([Request(window(value), memory) for value, memory in requests])
        return [None if row is None else float(row[0]) for row in rows]

    assert run((1, one), (1, two)) == [1, 1]
    assert run((1, two)) == [2]
    assert run((1, three), (0, two), (1, one)) == [1, None, 2]
    assert run((1, one), (1, two), (1, three)) == [3, 1, 2]
    assert run() == []
    assert engine.batches == [2, 1, 3, 3]


def test_each_request_has_the_states_of_its_own_stream():
    states = [StateSpec(input="count_in", output="count_out", shape=(1,), dtype="float32")]
    executor = new_executor(CountingEngine(), states)
    one, other = executor.new_memory(), executor.new_memory()
    first = executor.run([Request(window(1), one), Request(window(1), other)])
    second = executor.run([Request(window(1), one), Request(window(0), other)])
    third = executor.run([Request(window(1), one), Request(window(1), other)])
    assert [float(scores[0]) for scores in first] == [1, 1]
    assert float(second[0][0]) == 2
    assert second[1] is None
    assert [float(scores[0]) for scores in third] == [3, 1]
    one.reset()
    [again] = executor.run([Request(window(1), one)])
    assert float(again[0]) == 1


class Lender(ScriptedEngine):
    """Lends one array, and asks that it be fed with that."""

    max_batch = 3

    def lend(self, batch):
        self.room = np.zeros((self.max_batch, *self.inputs[0].shape[1:]), np.uint8)[:batch]
        return {self.inputs[0].name: self.room}

    def infer(self, feeds):
        (array,) = feeds.values()
        self.fed_from_room = array is getattr(self, "room", None)
        return super().infer(feeds)


@pytest.mark.parametrize(("count", "lent"), [(1, True), (3, True), (4, False)])
def test_windows_are_written_where_the_engine_reads_them(count, lent):
    takes = [TensorInfo("clip", (None, 3, 4, 5, 3), "uint8")]
    gives = [TensorInfo("scores", (None, 2), "float32")]
    engine = Lender(takes, gives, lambda feeds: [[clip.flat[0], 1.0] for clip in feeds["clip"]])
    executor = new_executor(engine)
    requests = [Request(window(value), executor.new_memory()) for value in range(count)]
    scores = executor.run(requests)
    assert engine.fed_from_room is lent
    assert [float(row[0]) for row in scores] == [float(value) for value in range(count)]
