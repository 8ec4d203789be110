"""TensorRT on a real GPU against ONNX Runtime, on the model that ships with edgevid."""

from __future__ import annotations

import numpy as np
import pytest

import edgevid.demo
from edgevid.convert import convert
from edgevid.engines import open_engine
from edgevid.engines.plans import FLAVOURS
from edgevid.engines.tensorrt_engine import TensorRTEngine
from edgevid.engines.tensorrt_module import load_tensorrt
from edgevid.manifest import Bundle

pytestmark = pytest.mark.gpu

TOLERANCE = {"fp32": 0.005, "fp16": 0.02}
"""Largest difference in a probability; TensorRT's FP32 convolutions use TF32."""


@pytest.fixture(params=FLAVOURS)
def flavour(request, or_skip):
    or_skip(lambda: load_tensorrt(request.param))
    return request.param


@pytest.fixture(params=TOLERANCE)
def bundle(request, tmp_path):
    out = tmp_path / "demo.edgevid"
    convert(
        edgevid.demo.MODEL,
        out,
        spec=edgevid.demo.SPEC,
        precision=request.param,
        target="onnx",
    )
    return Bundle.load(out)


def clips(bundle: Bundle, batch: int) -> dict[str, np.ndarray]:
    """Random grey levels in large blocks: the scores differ from clip to clip."""
    spec = bundle.manifest.inputs[0]
    height, width = spec.size
    rng = np.random.default_rng(batch)
    shape = (batch, bundle.manifest.clip.num_frames, height // 8, width // 8, 3)
    blocks = rng.integers(0, 256, shape, dtype=np.uint8)
    return {spec.name: np.ascontiguousarray(blocks.repeat(8, axis=2).repeat(8, axis=3))}


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
