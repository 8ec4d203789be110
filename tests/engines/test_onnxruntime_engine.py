"""The CPU engine: right numbers, and one clear sentence for every way to misuse it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgevid.engines.onnxruntime_engine import OnnxRuntimeEngine
from edgevid.engines.threads import default_threads
from edgevid.errors import EngineError
from edgevid.protocols import Engine
from edgevid.types import TensorInfo

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"


def frames(batch: int = 2, size: int = 8) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)


def numpy_answer(model: Path, pixels: np.ndarray) -> np.ndarray:
    """The graph of conftest, written out in NumPy."""
    weights = numpy_helper.to_array(onnx.load(model).graph.initializer[0]).astype(np.float64)
    x = np.pad(pixels.astype(np.float64) / 16, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    logits = np.einsum("nhwcij,kcij->nk", windows, weights) / (pixels.shape[1] * pixels.shape[2])
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


def test_gives_the_graphs_own_answer(make_graph):
    path = make_graph()
    engine = OnnxRuntimeEngine(path)
    pixels = frames(batch=3)
    out = engine.infer({"frames": pixels})
    assert set(out) == {"probs"}
    assert out["probs"].dtype == np.float32
    np.testing.assert_allclose(out["probs"], numpy_answer(path, pixels), atol=1e-6)
    assert np.ptp(out["probs"], axis=1).min() > 0.01


def test_says_what_it_takes_and_gives(make_graph):
    engine = OnnxRuntimeEngine(make_graph(), threads=1)
    assert list(engine.inputs) == [TensorInfo("frames", (None, 8, 8, 3), "uint8")]
    assert list(engine.outputs) == [TensorInfo("probs", (None, 5), "float32")]
    assert isinstance(engine, Engine)
    assert engine.name.startswith("onnxruntime ")
    assert engine.name.endswith("(CPU, 1 thread)")


def test_bytes_and_path_give_the_same(make_graph):
    path = make_graph()
    pixels = frames()
    from_path = OnnxRuntimeEngine(path).infer({"frames": pixels})["probs"]
    from_bytes = OnnxRuntimeEngine(path.read_bytes()).infer({"frames": pixels})["probs"]
    np.testing.assert_array_equal(from_path, from_bytes)


def test_outputs_belong_to_the_caller(make_graph):
    engine = OnnxRuntimeEngine(make_graph())
    first = engine.infer({"frames": frames()})["probs"]
    kept = first.copy()
    engine.infer({"frames": 255 - frames()})
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize(("cores", "threads"), [({0}, 1), ({0, 1}, 1), (set(range(6)), 5)])
def test_one_core_is_left_to_the_decoder(monkeypatch, cores, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: cores)
    assert default_threads() == threads


@pytest.mark.parametrize(
    ("feed", "parts"),
    [
        ({"frames": frames().astype(np.float32)}, ["uint8", "float32"]),
        ({"frames": frames(size=9)}, ["[?, 8, 8, 3]", "[2, 9, 9, 3]"]),
        ({"frames": frames()[0]}, ["[?, 8, 8, 3]", "[8, 8, 3]"]),
        ({"frames": frames()[:, :, ::-1]}, ["C-contiguous", "ascontiguousarray"]),
        ({"frames": frames()[:0]}, ["empty", "[0, 8, 8, 3]"]),
        ({"clip": frames()}, ["['frames']", "['clip']"]),
        ({}, ["['frames']", "[]"]),
    ],
)
def test_a_feed_that_does_not_fit_is_named(make_graph, feed, parts):
    engine = OnnxRuntimeEngine(make_graph())
    with pytest.raises(EngineError) as caught:
        engine.infer(feed)
    for part in parts:
        assert part in str(caught.value)


def test_inputs_of_different_batch_are_refused():
    one = helper.make_tensor_value_info("a", TensorProto.FLOAT, ["N", 2])
    two = helper.make_tensor_value_info("b", TensorProto.FLOAT, ["N", 2])
    out = helper.make_tensor_value_info("c", TensorProto.FLOAT, ["N", 2])
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["c"])], "g", [one, two], [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    engine = OnnxRuntimeEngine(model.SerializeToString())
    with pytest.raises(EngineError, match=r"'a': 2, 'b': 1"):
        engine.infer({"a": np.ones((2, 2), np.float32), "b": np.ones((1, 2), np.float32)})


def test_a_failure_inside_the_graph_is_an_engine_error(capfd):
    """A Reshape to a fixed batch fails at run time, not before."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    shape = numpy_helper.from_array(np.array([1, 4], np.int64), "shape")
    node = helper.make_node("Reshape", ["x", "shape"], ["y"], name="fixed")
    model = helper.make_model(
        helper.make_graph([node], "g", [x], [y], [shape]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    engine = OnnxRuntimeEngine(model.SerializeToString())
    engine.infer({"x": np.ones((1, 4), np.float32)})
    with pytest.raises(EngineError, match="fixed"):
        engine.infer({"x": np.ones((3, 4), np.float32)})
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n"])
def test_a_file_that_is_no_graph(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(EngineError, match=r"cannot load .*model\.onnx"):
        OnnxRuntimeEngine(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(EngineError, match=r"no such file: .*gone\.onnx"):
        OnnxRuntimeEngine(tmp_path / "gone.onnx")


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_must_be_positive(make_graph, threads):
    with pytest.raises(EngineError, match=f"threads is {threads}"):
        OnnxRuntimeEngine(make_graph(), threads=threads)


def test_a_closed_engine_says_so(make_graph):
    engine = OnnxRuntimeEngine(make_graph())
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.infer({"frames": frames()})


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared test data is not here")
@pytest.mark.parametrize(("picture", "label"), [("cat.bmp", 286), ("parrot.jpg", 89)])
def test_real_mobilenet_knows_a_picture(picture, label):
    """A real photograph, preprocessed as the model's authors say, gives their own answer."""
    folder = DATA / "models" / "mobilenet-v2-imagenet"
    answers = json.loads((folder / "reference.json").read_text())
    (expected,) = (
        top5[0][1]
        for key, top5 in answers["mobilenet_v2_1_0_224_imagenet1001_fp32"].items()
        if picture in key
    )
    bgr = cv2.resize(cv2.imread(str(DATA / "images" / picture)), (224, 224))
    x = ((bgr[:, :, ::-1].astype(np.float32) - 128) / 128).transpose(2, 0, 1)[None]
    engine = OnnxRuntimeEngine(folder / "model.onnx")
    probs = engine.infer({"input": np.ascontiguousarray(x)})["probs"]
    assert probs.shape == (1, 1001)
    assert int(probs.argmax()) == label
    assert probs.max() == pytest.approx(expected, abs=0.01)
