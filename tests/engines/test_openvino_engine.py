"""OpenVINO gives ONNX Runtime's answers, in FP32 and INT8, whole and with states."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from edgevid.engines import open_engine
from edgevid.engines.onnxruntime_engine import OnnxRuntimeEngine
from edgevid.engines.openvino_engine import OpenVinoEngine
from edgevid.engines.trial import trial_feeds
from edgevid.errors import EngineError, MissingDependencyError
from edgevid.protocols import Engine
from edgevid.types import TensorInfo

DATA = Path(__file__).parents[2] / ".." / "shared" / "data" / "models"

real = pytest.mark.skipif(not DATA.is_dir(), reason="the shared test data is not here")


def frames(batch: int = 2, size: int = 8) -> np.ndarray:
    return np.random.default_rng(batch).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize("batch", [1, 3, 2])
def test_any_batch_gives_onnxruntimes_answer(make_graph, batch):
    path = make_graph()
    engine = OpenVinoEngine(path, threads=1)
    assert isinstance(engine, Engine)
    assert list(engine.inputs) == [TensorInfo("frames", (None, 8, 8, 3), "uint8")]
    assert list(engine.outputs) == [TensorInfo("probs", (None, 5), "float32")]
    assert engine.name.startswith("openvino ")
    assert engine.name.endswith("(CPU, 1 thread)")
    feeds = {"frames": frames(batch)}
    expected = OnnxRuntimeEngine(path).infer(feeds)["probs"]
    np.testing.assert_allclose(engine.infer(feeds)["probs"], expected, atol=1e-6)


def test_outputs_belong_to_the_caller(make_graph):
    engine = OpenVinoEngine(make_graph())
    first = engine.infer({"frames": frames()})["probs"]
    kept = first.copy()
    engine.infer({"frames": 255 - frames()})
    np.testing.assert_array_equal(first, kept)


def test_int8_in_the_graph_stays_int8(make_int8_graph):
    path = make_int8_graph()
    feeds = {"frames": frames(3)}
    expected = OnnxRuntimeEngine(path).infer(feeds)["probs"]
    actual = OpenVinoEngine(path).infer(feeds)["probs"]
    assert np.abs(actual - expected).max() <= 0.02 * np.ptp(expected)


@real
@pytest.mark.parametrize("name", ["lrcn-ucf50", "conv3d-ucf101", "mobilenet-v2-imagenet"])
def test_real_fp32_models_are_computed_in_fp32(name):
    """With bfloat16, OpenVINO's own choice on CPUs that have it, they are off by 1e-3."""
    path = DATA / name / "model.onnx"
    reference, engine = OnnxRuntimeEngine(path, threads=1), OpenVinoEngine(path, threads=1)
    rng = np.random.default_rng(0)
    for batch in (1, 2):
        feeds = {
            i.name: rng.random([batch if d is None else d for d in i.shape], np.float32)
            for i in reference.inputs
        }
        for key, expected in reference.infer(feeds).items():
            np.testing.assert_allclose(engine.infer(feeds)[key], expected, atol=1e-5)


@real
def test_a_real_int8_model_names_the_same_classes():
    path = DATA / "mobilenet-v1-025-imagenet-int8" / "model.onnx"
    reference, engine = OnnxRuntimeEngine(path, threads=1), OpenVinoEngine(path, threads=1)
    feeds = trial_feeds(reference, 1)
    (expected,), (actual,) = reference.infer(feeds).values(), engine.infer(feeds).values()
    assert np.abs(actual.astype(int) - expected.astype(int)).max() <= 3  # of 255
    assert int(actual.argmax()) == int(expected.argmax())


@real
def test_a_graph_that_it_does_not_take_is_one_sentence():
    """MoViNet's transposes have no rank that OpenVINO can tell."""
    with pytest.raises(EngineError, match=r"OpenVINO .* cannot load .*movinet") as caught:
        OpenVinoEngine(DATA / "movinet-a0-stream" / "model.onnx")
    assert "\n" not in str(caught.value)


def test_states_go_in_and_come_out(tmp_path):
    """A running sum: `h` and the frame in, `sum` out."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["wide", "h"], ["sum"]),
            helper.make_node("ReduceMean", ["sum"], ["scores"], axes=[1], keepdims=1),
        ],
        "sums",
        [value("x", TensorProto.UINT8, ["N", 4]), value("h", TensorProto.FLOAT, ["N", 4])],
        [value("scores", TensorProto.FLOAT, ["N", 1]), value("sum", TensorProto.FLOAT, ["N", 4])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "sums.onnx"
    path.write_bytes(model.SerializeToString())
    engine = OpenVinoEngine(path)
    state, total = np.zeros((2, 4), np.float32), np.zeros((2, 4))
    for turn in range(5):
        x = np.random.default_rng(turn).integers(0, 256, (2, 4), dtype=np.uint8)
        outputs = engine.infer({"x": x, "h": state})
        state, total = outputs["sum"], total + x
        np.testing.assert_array_equal(state, total)
        np.testing.assert_allclose(outputs["scores"], total.mean(axis=1, keepdims=True))


def test_open_engine_takes_it_by_name(make_bundle):
    told: list[str] = []
    engine = open_engine(make_bundle(), "openvino", threads=2, notify=told.append)
    assert engine.name.endswith("(CPU, 2 threads)")
    assert told == [f"Engine: {engine.name}"]


def test_misuse_is_one_sentence(make_graph, tmp_path, monkeypatch):
    path = make_graph()
    engine = OpenVinoEngine(path)
    with pytest.raises(EngineError, match="takes dtype uint8; fed was float32"):
        engine.infer({"frames": frames().astype(np.float32)})
    with pytest.raises(EngineError, match=r"takes shape \[\?, 8, 8, 3\]; fed was \[2, 9, 9, 3\]"):
        engine.infer({"frames": frames(size=9)})
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.infer({"frames": frames()})
    with pytest.raises(EngineError, match="threads is 0"):
        OpenVinoEngine(path, threads=0)
    (tmp_path / "no.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(EngineError, match=r"cannot load .*no\.onnx") as caught:
        OpenVinoEngine(tmp_path / "no.onnx")
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingDependencyError, match=r"edgevid\[openvino\]"):
        OpenVinoEngine(path)
