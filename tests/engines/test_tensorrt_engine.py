"""The TensorRT engine's own logic on a GPU of NumPy: numbers and memory."""

from __future__ import annotations

import numpy as np
import pytest
from fake_gpu import FakeCuda, FakeTensorRT, answer, plan_bytes

from edgevid.engines.plans import PlanKey
from edgevid.engines.tensorrt_engine import TensorRTEngine
from edgevid.errors import EngineError
from edgevid.protocols import Engine
from edgevid.types import TensorInfo

KEY = PlanKey("tensorrt", "10.3.0", "8.7", "fp32", 1, 4, False, "0a1b2c3d")


def frames(batch: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"frames": rng.integers(0, 256, (batch, 8, 8, 3), dtype=np.uint8)}


def engine_on(cuda: FakeCuda, **plan: object) -> tuple[TensorRTEngine, FakeTensorRT]:
    trt = FakeTensorRT(cuda)
    loaded = trt.Runtime(None).deserialize_cuda_engine(plan_bytes(**plan))
    return TensorRTEngine(trt, cuda, loaded, KEY), trt


@pytest.mark.parametrize("integrated", [False, True])
@pytest.mark.parametrize("batch", [1, 3, 4, 5, 9])
def test_right_numbers_for_every_batch(batch, integrated):
    """A launch takes at most 4; larger feeds come back whole and in order."""
    engine, trt = engine_on(FakeCuda(integrated=integrated))
    feeds = frames(batch)
    out = engine.infer(feeds)["probs"]
    assert out.shape == (batch, 5)
    np.testing.assert_array_equal(out, answer(feeds["frames"]))
    launches = [size for call, size in trt.calls if call == "execute"]
    assert launches == [4] * (batch // 4) + [batch % 4] * (batch % 4 > 0)


def test_tells_what_each_layer_takes_and_the_first_call_does_not_count():
    engine, trt = engine_on(FakeCuda())
    assert engine.layer_times(frames(2), calls=3) == {"conv + relu": 0.75, "softmax": 0.25}
    assert [call for call, _ in trt.calls].count("execute") == 4


def test_says_what_it_takes_and_gives():
    engine, _ = engine_on(FakeCuda())
    assert isinstance(engine, Engine)
    assert list(engine.inputs) == [TensorInfo("frames", (None, 8, 8, 3), "uint8")]
    assert list(engine.outputs) == [TensorInfo("probs", (None, 5), "float32")]
    assert engine.name == "tensorrt 10.3.0 (fp32, Fake Orin)"
    assert engine.max_batch == 4


@pytest.mark.parametrize("integrated", [False, True])
def test_memory_is_taken_once_and_given_back(integrated):
    cuda = FakeCuda(integrated=integrated)
    engine, _ = engine_on(cuda)
    assert len(cuda.live) == (2 if integrated else 4)
    engine.infer(frames(7))  # two launches that overlap: a second slot
    taken = sorted(cuda.live)
    for batch in (1, 4, 2, 7, 4, 4, 4):
        engine.infer(frames(batch))
    assert sorted(cuda.live) == taken
    assert len(taken) == (4 if integrated else 8)
    assert ("copy_to_device" in cuda.calls) is not integrated
    engine.close()
    engine.close()
    assert cuda.live == {}
    assert cuda.queues == {}
    with pytest.raises(EngineError, match="closed"):
        engine.infer(frames(1))


def test_shapes_are_set_only_when_the_batch_changes():
    engine, trt = engine_on(FakeCuda())
    trt.calls.clear()
    for batch in (4, 2, 2, 2, 4):
        engine.infer(frames(batch))
    shapes = [shape[0] for call, shape in trt.calls if call == "set_input_shape"]
    assert shapes == [2, 2, 4]  # the second of the context that the graph is captured in


def test_one_launch_in_order():
    cuda = FakeCuda()
    engine, _ = engine_on(cuda)
    cuda.calls.clear()
    engine.infer(frames(2))
    assert cuda.calls == ["copy_to_device", "copy_to_host", "sync_stream"]


def test_results_belong_to_the_caller():
    engine, _ = engine_on(FakeCuda(integrated=True))
    first = engine.infer(frames(2, seed=1))["probs"]
    kept = first.copy()
    engine.infer(frames(2, seed=2))
    np.testing.assert_array_equal(first, kept)


def test_a_fixed_batch_runs_and_refuses_others():
    engine, _ = engine_on(FakeCuda(), batch=2, max=2)
    feeds = frames(2)
    np.testing.assert_array_equal(engine.infer(feeds)["probs"], answer(feeds["frames"]))
    with pytest.raises(EngineError, match=r"takes shape \[2, 8, 8, 3\]; fed was \[3, 8, 8, 3\]"):
        engine.infer(frames(3))


def test_feeds_are_checked_before_the_gpu_sees_them():
    engine, trt = engine_on(FakeCuda())
    trt.calls.clear()
    with pytest.raises(EngineError, match="C-contiguous"):
        engine.infer({"frames": frames(2)["frames"][:, ::-1]})
    with pytest.raises(EngineError, match="takes dtype uint8; fed was float32"):
        engine.infer({"frames": np.zeros((1, 8, 8, 3), np.float32)})
    assert trt.calls == []


def test_a_failed_launch_is_an_error():
    engine, trt = engine_on(FakeCuda())
    trt.fail_launch = True
    with pytest.raises(EngineError, match="failed in the graph"):
        engine.infer(frames(1))


def test_no_context_is_an_error():
    trt = FakeTensorRT(FakeCuda())
    trt.fail_context = True
    loaded = trt.Runtime(None).deserialize_cuda_engine(plan_bytes())
    with pytest.raises(EngineError, match="execution context"):
        TensorRTEngine(trt, trt.cuda, loaded, KEY)


@pytest.mark.parametrize("room", [100, 1000, 1600, 1690])
def test_too_little_memory_leaves_nothing_behind(room):
    """Frames take 768 bytes twice, scores 80 twice: each step is refused in turn."""
    cuda = FakeCuda(room=room)
    with pytest.raises(EngineError, match="cudaErrorMemoryAllocation"):
        engine_on(cuda)
    assert cuda.live == {}


def test_outputs_whose_shape_depends_on_data_are_refused():
    cuda = FakeCuda()
    with pytest.raises(EngineError, match="'probs' depends on the data"):
        engine_on(cuda, out=[-1, 5])
    assert cuda.live == {}
