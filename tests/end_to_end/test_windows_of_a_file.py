"""Several windows of a file in a call, on a real engine."""

from __future__ import annotations

import time

import pytest

import edgevid
from edgevid import demo
from edgevid.engines import open_engine

pytestmark = pytest.mark.timeout(60)


class Noting:
    """An engine that notes the batch of every call."""

    def __init__(self, engine, pause_s=0.0):
        self._engine = engine
        self._pause_s = pause_s
        self.seconds = 0.0
        self.name, self.inputs, self.outputs = engine.name, engine.inputs, engine.outputs
        self.batches = []

    def infer(self, feeds):
        self.batches.append(len(next(iter(feeds.values()))))
        began = time.perf_counter()
        time.sleep(self._pause_s)
        try:
            return self._engine.infer(feeds)
        finally:
            self.seconds += time.perf_counter() - began

    def close(self):
        self._engine.close()


class Sized(Noting):
    max_batch = 1


@pytest.mark.parametrize(("kind", "largest"), [(Noting, 2), (Sized, 1)])
def test_calls_are_shared_on_engines_that_take_any_batch(bundles, kind, largest):
    bundle = edgevid.load(bundles("mobilenet-v2-imagenet", "fp32"))
    engine = kind(open_engine(bundle, "onnxruntime", threads=1))
    predictions = list(edgevid.stream(bundle, demo.CLIP, engine=engine, duration_s=5.0))
    assert max(engine.batches) == largest
    assert sum(engine.batches) == len(predictions) > 10
    checked = open_engine(bundle, "onnxruntime", threads=1)
    for one, again in zip(
        predictions,
        edgevid.stream(bundle, demo.CLIP, engine=Sized(checked), duration_s=5.0),
        strict=True,
    ):
        assert one.scores == pytest.approx(again.scores, abs=1e-6)


def test_the_parts_of_a_shared_call_are_the_call(bundles):
    bundle = edgevid.load(bundles("mobilenet-v2-imagenet", "fp32"))
    engine = Noting(open_engine(bundle, "onnxruntime", threads=1), pause_s=0.01)
    times = [p.timings for p in edgevid.stream(bundle, demo.CLIP, engine=engine, duration_s=5.0)]
    assert len(engine.batches) < len(times)
    # Were each window given all of it, four times as much: four go together.
    inferring_s = sum(t.infer_ms for t in times) / 1e3
    assert engine.seconds <= inferring_s < 2 * engine.seconds
    for one in times:
        assert one.queue_ms + one.infer_ms + one.post_ms <= one.total_ms + 0.01
