"""A small model of single frames that is quick to convert."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgevid.convert import convert
from edgevid.manifest import Bundle

SPEC = {
    "name": "picture", "layout": "NCHW", "size": [24, 32], "color": "rgb", "resize": "stretch",
    "crop": "full", "scale": 1 / 255, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3],
}  # fmt: skip


@pytest.fixture(scope="session")
def quarters(tmp_path_factory) -> Path:
    """Scores of the mean colours of a picture's quarters."""
    weights = np.random.default_rng(0).standard_normal((3 * 4, 7)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["picture"], ["means"], kernel_shape=[12, 16],
                         strides=[12, 16]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["logits"]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "quarters",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["n", 3, 24, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 7])],
        [numpy_helper.from_array(weights, "w")],
    )  # fmt: skip
    file = tmp_path_factory.mktemp("peers") / "quarters.onnx"
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, str(file))
    return file


@pytest.fixture(scope="session")
def quarters_bundle(quarters) -> Bundle:
    """It, converted."""
    out = quarters.with_suffix(".edgevid")
    convert(quarters, out, spec={"inputs": [SPEC]}, precision="fp32", target="onnx")
    return Bundle.load(out)
