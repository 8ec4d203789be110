"""ONNX Runtime's GPU providers against its CPU, on the model that ships with edgevid."""

from __future__ import annotations

import numpy as np
import pytest
from gpu_bundles import TOLERANCE, clips, demo_bundle

from edgevid.engines import open_engine

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module", params=TOLERANCE)
def bundle(request, tmp_path_factory):
    return demo_bundle(tmp_path_factory.mktemp("ort"), request.param)


@pytest.mark.parametrize("batch", [1, 2, 4, 8, 16, 32, 64, 128, 256])
def test_cuda_gives_the_cpus_answers(bundle, batch, or_skip):
    gpu = or_skip(lambda: open_engine(bundle, "onnxruntime-cuda"))
    cpu = open_engine(bundle, "onnxruntime")
    assert "CUDA" in gpu.name
    feeds = clips(bundle, batch)
    (expected,) = cpu.infer(feeds).values()
    for _ in range(3):  # the first call of a batch binds, the others use what is bound
        (actual,) = gpu.infer(feeds).values()
        assert actual.shape == expected.shape
        assert np.abs(actual - expected).max() < TOLERANCE[bundle.manifest.precision]
    gpu.close()


def test_new_pixels_in_the_same_array_are_seen(bundle, or_skip):
    gpu = or_skip(lambda: open_engine(bundle, "onnxruntime-cuda"))
    feeds = clips(bundle, 2)
    gpu.infer(feeds)
    (array,) = feeds.values()
    array[:] = 255 - array
    (expected,) = open_engine(bundle, "onnxruntime").infer(feeds).values()
    (actual,) = gpu.infer(feeds).values()
    assert np.abs(actual - expected).max() < TOLERANCE[bundle.manifest.precision]
    gpu.close()
