"""A split model in the pipeline: each frame goes through the backbone once."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from edgevid.engines.scripted import ScriptedEngine
from edgevid.engines.split_engine import SplitEngine
from edgevid.pipeline import CaptureJob, NamedSource, Stream
from edgevid.pipeline.executor import Request, new_executor
from edgevid.spec import ClipSpec, InputSpec
from edgevid.types import Clip, TensorInfo

T = 5
CLIP = InputSpec(name="clip", layout="NTCHW", size=(6, 8))
LABELS = ("sum", "last")


class Backbone(ScriptedEngine):
    """A frame's feature is its value; notes which frames it saw, call by call."""

    def __init__(self, on_call):
        self.calls = []
        self._on_call = on_call
        super().__init__(
            [TensorInfo("clip", (None, 6, 8, 3), "uint8")],
            [TensorInfo("features", (None, 1), "float32")],
            self.see,
        )

    def see(self, feeds):
        self._on_call()
        values = feeds["clip"][:, 0, 0, 0]
        self.calls.append(values.tolist())
        return values[:, np.newaxis] / 255


def split_engine(batch=None, count=T, positions=range(T), on_call=lambda: None):
    head = ScriptedEngine(
        [TensorInfo("features", (batch, count, 1), "float32")],
        [TensorInfo("scores", (batch, 2), "float32")],
        lambda feeds: [[f.mean(), f[-1, 0]] for f in feeds["features"]],
    )
    return SplitEngine(Backbone(on_call), head, positions)


def run(engine, *sources, hop_s=None, sampling="interval", slide=False):
    contract = {"num_frames": T, "sampling": sampling, "hop_s": hop_s}
    contract |= {"fps": 10.0} if sampling == "interval" else {"window_s": T / 10}
    job = CaptureJob(ClipSpec(**contract), (CLIP,), slide=slide)
    named = [[NamedSource(s.source_id, lambda s=s: s, s)] for s in sources]
    return list(Stream(engine, LABELS, named, job))


def scores(*windows):
    return pytest.approx(np.array([[np.mean(w) / 255, w[-1] / 255] for w in windows]))


def at_10_fps(count, start=0.0):
    return [start + i / 10 for i in range(count)]


@pytest.mark.parametrize(
    ("hop_s", "calls"),
    [
        (None, [[0, 1, 2, 3, 4], [5], [6], [7], [8], [9], [10], [11]]),
        (0.3, [[0, 1, 2, 3, 4], [5, 6, 7], [8, 9, 10]]),
        (0.6, [[0, 1, 2, 3, 4], [6, 7, 8, 9, 10]]),
    ],
)
def test_the_backbone_is_called_once_a_window_for_what_is_new(numbered, hop_s, calls):
    engine = split_engine()
    predictions = run(engine, numbered(at_10_fps(12)), hop_s=hop_s)
    assert engine.backbone.calls == calls
    starts = range(0, 8, round((hop_s or 0.1) * 10))
    assert [p.scores for p in predictions] == scores(*(range(s, s + T) for s in starts))


def test_a_gap_begins_anew(numbered):
    engine = split_engine()
    predictions = run(engine, numbered([*at_10_fps(6), *at_10_fps(6, start=30.0)]))
    assert engine.backbone.calls == [[0, 1, 2, 3, 4], [5], [6, 7, 8, 9, 10], [11]]
    windows = [range(5), range(1, 6), range(6, 11), range(7, 12)]
    assert [p.scores for p in predictions] == scores(*windows)


def test_a_whole_file_is_one_call_and_padding_costs_nothing(numbered):
    engine = split_engine()
    long, short = numbered(at_10_fps(20), name="long"), numbered(at_10_fps(3), name="short")
    predictions = run(engine, long, short, sampling="uniform")
    assert sorted(engine.backbone.calls) == [[0, 1, 2], [0, 4, 8, 12, 16]]
    by_source = {p.source_id: p for p in predictions}
    assert [by_source["long"].scores] == scores([0, 4, 8, 12, 16])
    assert [by_source["short"].scores] == scores([0, 1, 2, 2, 2])
    assert by_source["short"].padded == 2


def test_repeated_frames_are_computed_once(numbered):
    """Half as many frames a second as the model wants: each stands for two samples."""
    engine = split_engine()
    run(engine, numbered([i / 5 for i in range(8)], fps=5.0))
    seen = [frame for call in engine.backbone.calls for frame in call]
    assert seen == sorted(set(seen))


def request(executor, first, memory=None, count=T):
    frames = np.arange(first, first + count)
    pixels = np.broadcast_to(frames[:, None, None, None].astype(np.uint8), (count, 6, 8, 3))
    clip = Clip("a source", 0, frames / 10, frames, {"clip": pixels})
    return Request(clip, memory or executor.new_memory())


@pytest.mark.parametrize(("batch", "heads"), [(None, [2]), (1, [1, 1])])
def test_streams_share_calls_and_no_features(batch, heads):
    engine = split_engine(batch)
    executor = new_executor(engine)
    one, other = executor.new_memory(), executor.new_memory()
    executor.run([request(executor, 0, one)])
    engine.head.batches.clear()
    answers = executor.run([request(executor, 1, one), request(executor, 3, other)])
    assert engine.backbone.calls == [[0, 1, 2, 3, 4], [5, 3, 4, 5, 6, 7]]
    assert engine.head.batches == heads
    assert answers == scores(range(1, 6), range(3, 8))
    assert executor.run([]) == []


def test_a_pair_takes_the_first_and_the_last_frame_of_a_window():
    engine = split_engine(count=2, positions=range(0, T, T - 1))
    executor = new_executor(engine)
    memory = executor.new_memory()
    answers = []
    for first in range(7):
        at = request(executor, first, memory)
        clip = replace(at.clip, arrays={"clip": at.clip.arrays["clip"][:: T - 1]})
        answers += executor.run([Request(clip, memory)])
    assert answers == scores(*([first, first + 4] for first in range(7)))
    assert engine.backbone.calls == [[0, 4], [1, 5], [2, 6], [3, 7], [8], [9], [10]]


def test_whole_windows_still_go_through_the_one_seam():
    engine = split_engine()
    clip = np.arange(2 * T, dtype=np.uint8).reshape(2, T, 1, 1, 1)
    feeds = {"clip": np.ascontiguousarray(np.broadcast_to(clip, (2, T, 6, 8, 3)))}
    assert engine.inputs[0].shape == (None, T, 6, 8, 3)
    assert engine.infer(feeds)["scores"] == scores(range(5), range(5, 10))
    assert engine.name == "scripted, split"


def test_a_live_source_that_is_too_fast_costs_only_what_is_answered(numbered):
    """While the first window is computed, 195 frames come; of the backlog one window is due."""
    started, passed = threading.Event(), threading.Event()

    def pace(index):
        if index == T:
            assert started.wait(10)
        if index == 199:
            passed.set()

    def hold():
        started.set()
        assert passed.wait(10)

    engine = split_engine(on_call=hold)
    source = numbered(at_10_fps(200), live=True, on_read=pace)
    predictions = run(engine, source, hop_s=0.1)
    seen = [frame for call in engine.backbone.calls for frame in call]
    assert len(seen) == len(set(seen))
    assert len(seen) <= T * len(predictions) <= 5 * T
    assert [predictions[0].scores, predictions[-1].scores] == scores(range(T), range(195, 200))
