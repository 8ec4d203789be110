"""Two slots and their graphs: right numbers whatever is lent, submitted, captured or refused."""

from __future__ import annotations

import numpy as np
import pytest
from fake_gpu import FakeCuda, FakeTensorRT, answer, plan_bytes
from hypothesis import given
from hypothesis import strategies as st

from edgevid.engines.engine_layers import load_engine
from edgevid.engines.plans import PlanKey
from edgevid.engines.tensorrt_engine import TensorRTEngine
from edgevid.errors import EngineError

KEY = PlanKey("tensorrt", "10.3.0", "8.7", "fp32", 1, 4, fixed_batch=False, model_hash="0" * 8)


def engine_on(cuda: FakeCuda, notify=lambda _text: None):
    trt = FakeTensorRT(cuda)
    return TensorRTEngine(trt, cuda, load_engine(trt, plan_bytes(), KEY), KEY, notify), trt


def frames(batch: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng((batch, seed))
    return {"frames": rng.integers(0, 256, (batch, 8, 8, 3), dtype=np.uint8)}


def scores(outputs: dict[str, np.ndarray]) -> np.ndarray:
    return outputs["probs"]


@given(
    st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=12),
    st.booleans(),
)
def test_any_order_of_batches_lent_or_not_gives_right_numbers(calls, integrated):
    engine, _ = engine_on(FakeCuda(integrated=integrated))
    for seed, (batch, lent) in enumerate(calls):
        feeds = frames(batch, seed)
        expected = answer(feeds["frames"])
        if lent and batch <= 4:
            room = engine.lend(batch)
            room["frames"][:] = feeds["frames"]
            feeds = room
        np.testing.assert_array_equal(scores(engine.infer(feeds)), expected)
    engine.close()


@given(st.lists(st.integers(1, 4), min_size=1, max_size=12))
def test_two_in_flight_come_back_in_order(batches):
    cuda = FakeCuda()
    engine, _ = engine_on(cuda)
    waiting: list[np.ndarray] = []
    for seed, batch in enumerate(batches):
        feeds = frames(batch, seed)
        engine.submit(feeds)
        waiting.append(answer(feeds["frames"]))
        feeds["frames"][:] = 0  # the caller's own again
        if len(waiting) == 2:
            np.testing.assert_array_equal(scores(engine.collect()), waiting.pop(0))
    for expected in waiting:
        np.testing.assert_array_equal(scores(engine.collect()), expected)
    engine.close()
    assert cuda.live == {}
    assert cuda.queues == {}


def test_the_second_copy_starts_before_the_first_result_is_asked_for():
    cuda = FakeCuda()
    engine, _ = engine_on(cuda)
    engine.submit(frames(2))
    engine.submit(frames(3))
    assert "sync_stream" not in cuda.calls
    assert cuda.calls.count("copy_to_device") == 2
    assert len(cuda.queues) == 2


def test_from_the_third_call_on_one_graph_is_launched():
    cuda = FakeCuda()
    engine, trt = engine_on(cuda)
    engine.infer(frames(2, 0))
    engine.infer(frames(2, 1))
    cuda.calls.clear()
    trt.calls.clear()
    for seed in (2, 3):
        feeds = frames(2, seed)
        np.testing.assert_array_equal(scores(engine.infer(feeds)), answer(feeds["frames"]))
    assert cuda.calls == ["launch_graph", "sync_stream"] * 2
    assert trt.calls == []


def test_lent_memory_is_page_locked_and_not_copied_on_the_host():
    cuda = FakeCuda()
    engine, _ = engine_on(cuda)
    room = engine.lend(3)["frames"]
    assert any(np.shares_memory(room, block) for block in cuda.live.values())
    assert room.shape == (3, 8, 8, 3)
    assert engine.lend(3)["frames"].ctypes.data == room.ctypes.data


def test_where_capture_fails_it_is_said_once_and_the_answers_stay_right():
    cuda, told = FakeCuda(), []

    def refuse(_stream):
        raise EngineError(
            "CUDA: cudaStreamEndCapture failed with cudaErrorStreamCaptureInvalidated"
        )

    cuda.end_capture = refuse
    engine, _ = engine_on(cuda, told.append)
    for seed in range(5):
        # A capture that ends in an error leaves nothing queued.
        feeds = frames(2, seed)
        np.testing.assert_array_equal(scores(engine.infer(feeds)), answer(feeds["frames"]))
    assert told == [
        "Launches are not captured in CUDA graphs: CUDA: cudaStreamEndCapture failed with "
        "cudaErrorStreamCaptureInvalidated"
    ]


def test_a_layer_without_graphs_works_without():
    cuda = FakeCuda()
    cuda.graphs = False
    engine, _ = engine_on(cuda)
    for seed in range(4):
        engine.infer(frames(2, seed))
    assert "begin_capture" not in cuda.calls


def test_misuse_is_one_sentence():
    engine, _ = engine_on(FakeCuda())
    with pytest.raises(EngineError, match="nothing was submitted"):
        engine.collect()
    with pytest.raises(EngineError, match="a batch of 5 is more than one launch takes"):
        engine.submit(frames(5))
    for batch in (0, 5):
        with pytest.raises(EngineError, match=f"cannot lend room for a batch of {batch}"):
            engine.lend(batch)
    engine.submit(frames(1))
    with pytest.raises(EngineError, match="not collected yet"):
        engine.infer(frames(1))
    engine.submit(frames(2))
    with pytest.raises(EngineError, match="2 batches are running already"):
        engine.submit(frames(1))
    with pytest.raises(EngineError, match="2 batches are running already"):
        engine.lend(1)
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.lend(1)
