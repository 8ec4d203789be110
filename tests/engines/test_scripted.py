"""The public fake engine behaves like an engine."""

from __future__ import annotations

import numpy as np
import pytest

from edgevid.engines.scripted import ScriptedEngine
from edgevid.errors import EngineError
from edgevid.protocols import Engine
from edgevid.types import TensorInfo

TAKES = [TensorInfo("frames", (None, 2, 2, 3), "uint8")]
GIVES = [TensorInfo("probs", (None, 2), "float32")]


def frames(*values: int) -> dict[str, np.ndarray]:
    return {"frames": np.stack([np.full((2, 2, 3), v, np.uint8) for v in values])}


def test_a_list_goes_round():
    engine = ScriptedEngine(TAKES, GIVES, [[1, 0], [0, 1], [0.5, 0.5]])
    assert isinstance(engine, Engine)
    np.testing.assert_array_equal(engine.infer(frames(0, 0))["probs"], [[1, 0], [0, 1]])
    np.testing.assert_array_equal(engine.infer(frames(0, 0))["probs"], [[0.5, 0.5], [1, 0]])
    assert engine.batches == [2, 2]


def test_a_function_sees_the_feeds():
    def brightness(feeds):
        mean = feeds["frames"].mean(axis=(1, 2, 3)) / 255
        return np.stack([mean, 1 - mean], axis=1)

    out = ScriptedEngine(TAKES, GIVES, brightness).infer(frames(255, 0, 51))["probs"]
    assert out.dtype == np.float32
    np.testing.assert_allclose(out[:, 0], [1, 0, 0.2], atol=1e-6)


def test_service_time_is_slept_once_a_call():
    slept: list[float] = []
    engine = ScriptedEngine(TAKES, GIVES, [[1, 0]], service_s=0.25, sleep=slept.append)
    engine.infer(frames(1, 2, 3))
    engine.infer(frames(1))
    assert slept == [0.25, 0.25]


def test_misuse_is_refused():
    engine = ScriptedEngine(TAKES, GIVES, [[1, 0, 0]])
    with pytest.raises(EngineError, match="uint8"):
        engine.infer({"frames": np.zeros((1, 2, 2, 3), np.float32)})
    with pytest.raises(EngineError, match=r"shape \(1, 3\); expected \(1, 2\)"):
        engine.infer(frames(0))
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.infer(frames(0))
    with pytest.raises(EngineError, match="empty"):
        ScriptedEngine(TAKES, GIVES, [])
    with pytest.raises(EngineError, match="one output"):
        ScriptedEngine(TAKES, [], [[1.0]])
