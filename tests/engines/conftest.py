"""Small graphs made here: uint8 frames in, probabilities out, as `convert` writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgevid._version import __version__
from edgevid.engines.plan_summary import plan_constants
from edgevid.files import sha256_file
from edgevid.manifest import Artifact, Bundle, Manifest, ModelInfo, dump
from edgevid.spec import InputSpec, OutputSpec

GraphMaker = Callable[..., Path]


def uint8_graph(
    *, half: bool = False, batch: int | str = "N", size: int = 8, classes: int = 5, seed: int = 0
) -> onnx.ModelProto:
    """Frames `(N, size, size, 3)` uint8 to probabilities `(N, classes)` float32.

    Cast, transpose, convolution, mean over the picture, softmax; FP16 inside where `half`.
    """
    rng = np.random.default_rng(seed)
    inner = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    dtype = np.float16 if half else np.float32
    weights = (rng.normal(size=(classes, 3, 3, 3)) / 64).astype(dtype)
    scale = np.array(1 / 16, dtype)
    nodes = [
        helper.make_node("Cast", ["frames"], ["cast"], name="to_float", to=inner),
        helper.make_node("Mul", ["cast", "scale"], ["scaled"], name="scale_pixels"),
        helper.make_node("Transpose", ["scaled"], ["nchw"], name="nchw", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "w"], ["conv"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["conv"], ["mean"], name="mean"),
        helper.make_node("Flatten", ["mean"], ["flat"], name="flat", axis=1),
        helper.make_node("Cast", ["flat"], ["wide"], name="to_fp32", to=TensorProto.FLOAT),
        helper.make_node("Softmax", ["wide"], ["probs"], name="softmax", axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, [batch, size, size, 3])],
        [helper.make_tensor_value_info("probs", TensorProto.FLOAT, [batch, classes])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(scale, "scale")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


@pytest.fixture
def make_graph(tmp_path: Path) -> GraphMaker:
    """Write a `uint8_graph` with these settings; give its path."""

    def make(name: str = "model.onnx", **settings: object) -> Path:
        path = tmp_path / name
        path.write_bytes(uint8_graph(**settings).SerializeToString())  # type: ignore[arg-type]
        return path

    return make


def int8_graph(*, half: bool = False, channels: int = 32) -> onnx.ModelProto:
    """Frames `(N, 8, 8, 3)` uint8 to `(N, 5)`: a float stem, then a convolution in INT8.

    Explicit Q/DQ around the second convolution: symmetric, per channel for its weights;
    FP16 for the rest where `half`, scales in the type of what they scale.
    """
    rng = np.random.default_rng(0)
    inner = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    dtype = np.float16 if half else np.float32
    arrays = {
        "stem_w": (rng.normal(size=(channels, 3, 3, 3)) / 64).astype(dtype),
        "body_w": rng.integers(-127, 128, (channels, channels, 3, 3)).astype(np.int8),
        "body_s": np.full(channels, 0.01, dtype),
        "act_s": np.array(0.05, dtype),
        "zero": np.array(0, np.int8),
        "zeros": np.zeros(channels, np.int8),
        "head_w": rng.normal(size=(channels, 5)).astype(dtype),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["frames"], ["cast"], name="to_float", to=inner),
        node("Transpose", ["cast"], ["nchw"], name="nchw", perm=[0, 3, 1, 2]),
        node("Conv", ["nchw", "stem_w"], ["a"], name="stem/conv", pads=[1, 1, 1, 1]),
        node("Relu", ["a"], ["b"], name="stem/relu"),
        node("QuantizeLinear", ["b", "act_s", "zero"], ["b_q"], name="body/q"),
        node("DequantizeLinear", ["b_q", "act_s", "zero"], ["b_dq"], name="body/dq"),
        node("DequantizeLinear", ["body_w", "body_s", "zeros"], ["w"], name="body/w", axis=0),
        node("Conv", ["b_dq", "w"], ["c"], name="body/conv", pads=[1, 1, 1, 1]),
        node("GlobalAveragePool", ["c"], ["mean"], name="mean"),
        node("Flatten", ["mean"], ["flat"], name="flat", axis=1),
        node("MatMul", ["flat", "head_w"], ["logits"], name="head/fc"),
        node("Cast", ["logits"], ["probs"], name="to_fp32", to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "int8",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", 8, 8, 3])],
        [helper.make_tensor_value_info("probs", TensorProto.FLOAT, ["N", 5])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


@pytest.fixture
def make_int8_graph(tmp_path: Path) -> GraphMaker:
    """Write an `int8_graph` with these settings; give its path."""

    def make(name: str = "int8.onnx", **settings: object) -> Path:
        path = tmp_path / name
        path.write_bytes(int8_graph(**settings).SerializeToString())  # type: ignore[arg-type]
        return path

    return make


@pytest.fixture(scope="session")
def constants_of() -> Callable[[bytes], Counter[tuple[str, int]]]:
    """How often each (type, bytes) of constant stands in a TensorRT-RTX plan."""
    return lambda plan: Counter(plan_constants(plan))


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Bundle]:
    """A real bundle around a `uint8_graph`."""

    def make(name: str = "tiny.edgevid", precision: str = "fp32", **settings: object) -> Bundle:
        folder = tmp_path / name
        folder.mkdir()
        model = uint8_graph(half=precision == "fp16", **settings)  # type: ignore[arg-type]
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        (folder / "labels.txt").write_text("a\nb\nc\nd\ne\n")
        files = {"model": "model.onnx", "labels": "labels.txt"}
        manifest = Manifest(
            edgevid_version=__version__,
            model=ModelInfo(name="tiny", source_file="tiny.onnx", source_sha256="0" * 64),
            inputs=(InputSpec(name="frames", layout="NHWC", size=(8, 8)),),
            outputs=(OutputSpec(name="probs", kind="probabilities"),),
            clip={},
            precision=precision,
            artifacts=tuple(
                Artifact(path=path, sha256=sha256_file(folder / path), kind=kind)
                for kind, path in files.items()
            ),
        )
        (folder / "manifest.json").write_bytes(dump(manifest))
        return Bundle.load(folder)

    return make
