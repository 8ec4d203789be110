"""Which layers take the time: by ONNX Runtime for real, by TensorRT on the fake GPU."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgevid.convert.quantize.layer_times import SHOWN, onnxruntime_layers, rank


@given(st.lists(st.floats(0, 1e3), max_size=120))
def test_ranking_loses_no_time(milliseconds):
    times = [(f"layer {i}", "Conv", ms) for i, ms in enumerate(milliseconds)]
    ranked = rank(times)
    assert len(ranked) <= SHOWN + 1
    assert sum(t.mean_ms for t in ranked) == pytest.approx(sum(milliseconds))
    named = [t.mean_ms for t in ranked if t.name != "all others"]
    assert named == sorted(milliseconds, reverse=True)[:SHOWN]
    if sum(milliseconds) > 0:
        assert sum(t.share for t in ranked) == pytest.approx(1)


def heavy_and_light() -> bytes:
    """A large product and a small one: there is no doubt which takes the time."""
    rng = np.random.default_rng(0)
    weights = {"large": rng.normal(size=(512, 2048)), "small": rng.normal(size=(2048, 4))}
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "large"], ["y"], name="heavy"),
            helper.make_node("MatMul", ["y", "small"], ["z"], name="light"),
        ],
        "two",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [256, 512])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [256, 4])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def test_onnxruntime_tells_the_heavy_layer_from_the_light_one():
    x = np.ones((256, 512), np.float32)
    heavy, light = onnxruntime_layers(heavy_and_light(), {"x": x})
    assert (heavy.name, heavy.op_type) == ("heavy", "MatMul")
    assert (light.name, light.op_type) == ("light", "MatMul")
    assert heavy.share > light.share > 0
    assert heavy.share + light.share == pytest.approx(1)
