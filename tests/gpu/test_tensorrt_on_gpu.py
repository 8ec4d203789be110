"""TensorRT on a real GPU against ONNX Runtime, on the model that ships with edgevid."""

from __future__ import annotations

import numpy as np
import pytest
from gpu_bundles import TOLERANCE, clips, demo_bundle

from edgevid.engines import open_engine
from edgevid.engines.plans import FLAVOURS
from edgevid.engines.tensorrt_engine import TensorRTEngine
from edgevid.engines.tensorrt_module import load_tensorrt
from edgevid.manifest import Bundle

pytestmark = pytest.mark.gpu


@pytest.fixture(params=FLAVOURS)
def flavour(request, or_skip):
    or_skip(lambda: load_tensorrt(request.param))
    return request.param


@pytest.fixture(params=TOLERANCE)
def bundle(request, tmp_path):
    return demo_bundle(tmp_path, request.param)


def test_the_gpu_gives_onnxruntimes_answers(bundle, flavour):
    """Every batch up to twice the plan's: alone, full, and in pieces."""
    told: list[str] = []
    gpu = open_engine(bundle, flavour, max_batch=4, notify=told.append)
    cpu = open_engine(bundle, "onnxruntime")
    assert isinstance(gpu, TensorRTEngine)
    assert any("Building" in line for line in told)
    assert list(gpu.inputs) == list(cpu.inputs)
    for batch in (1, 4, 3, 8, 9):
        feeds = clips(bundle, batch)
        (expected,) = cpu.infer(feeds).values()
        (actual,) = gpu.infer(feeds).values()
        assert actual.shape == expected.shape
        assert np.abs(actual - expected).max() < TOLERANCE[bundle.manifest.precision]
    gpu.close()


def test_the_second_opening_takes_the_kept_plan(bundle, flavour):
    open_engine(bundle, flavour, notify=lambda _text: None).close()
    told: list[str] = []
    engine = open_engine(Bundle.load(bundle.path), flavour, notify=told.append)
    assert not any("Building" in line for line in told)
    assert engine.infer(clips(bundle, 1))
    engine.close()


def test_lent_submitted_and_captured_give_the_same(bundle, flavour):
    """Page-locked input, two batches in flight, and graphs from the third call on."""
    told: list[str] = []
    gpu = open_engine(bundle, flavour, max_batch=4, notify=told.append)
    assert isinstance(gpu, TensorRTEngine)
    feeds = {batch: clips(bundle, batch) for batch in (1, 4)}
    expected = {batch: gpu.infer(feeds[batch]) for batch in feeds}
    for turn in range(6):
        batch = 4 if turn % 3 else 1
        room = gpu.lend(batch)
        for name, array in feeds[batch].items():
            room[name][:] = array
        gpu.submit(room)
        gpu.submit(feeds[1])
        for wanted in (batch, 1):
            for name, actual in gpu.collect().items():
                np.testing.assert_allclose(actual, expected[wanted][name], atol=1e-3)
    print(*(line for line in told if "graphs" in line))
    gpu.close()
