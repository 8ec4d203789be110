"""States of several streams in one call of a TensorRT engine, against ONNX Runtime."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from edgevid.convert import convert
from edgevid.engines import open_engine
from edgevid.engines.plans import FLAVOURS
from edgevid.engines.tensorrt_module import load_tensorrt
from edgevid.manifest import Bundle
from edgevid.states import States, gather, scatter

sys.path.append(str(Path(__file__).parents[1] / "convert"))
from test_state_batches import LSTM_SPEC, buffers
from test_states import SPEC, lstm

pytestmark = pytest.mark.gpu


@pytest.fixture(params=FLAVOURS)
def flavour(request, or_skip):
    or_skip(lambda: load_tensorrt(request.param))
    return request.param


@pytest.mark.parametrize("name", ["hidden states", "buffers"])
def test_streams_share_calls_with_states_along_either_axis(tmp_path, flavour, name):
    """Six streams on a plan for four: in pieces, along the axis of each state."""
    hidden = name == "hidden states"
    path = lstm(tmp_path / "m.onnx") if hidden else buffers(tmp_path / "m.onnx", "batch")
    out = tmp_path / "b.edgevid"
    convert(path, out, spec=LSTM_SPEC if hidden else SPEC, target="onnx")
    bundle = Bundle.load(out)
    states = bundle.manifest.states
    gpu = open_engine(bundle, flavour, max_batch=4, notify=lambda _: None)
    cpu = open_engine(bundle, "onnxruntime")
    shape = (6, 4, 8, 8, 3) if hidden else (6, 8, 8, 3)
    rng = np.random.default_rng(0)
    on_gpu, on_cpu = ([States(states) for _ in range(6)] for _ in range(2))
    for _ in range(5):
        frames = {bundle.manifest.inputs[0].name: rng.integers(0, 256, shape, np.uint8)}
        rows = []
        for engine, streams in ((gpu, on_gpu), (cpu, on_cpu)):
            outputs = engine.infer({**frames, **gather(streams)})
            assert all(scatter(outputs, streams))
            rows.append(outputs["scores"])
        assert np.abs(rows[0] - rows[1]).max() < 0.005
    gpu.close()
