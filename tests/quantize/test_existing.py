"""Models that come quantised: kept, or refused with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hand_made import constants, flat_range, graph, node

from edgevid.convert.quantize.existing import find_existing_qdq
from edgevid.convert.quantize.insert import insert_qdq
from edgevid.convert.quantize.placement import plan_placement
from edgevid.convert.quantize.prepare import prepare
from edgevid.convert.quantize.scales import quantize_weight

MODELS = Path(__file__).parents[2] / ".." / "shared" / "data" / "models"


def test_a_float_model_has_none():
    found = find_existing_qdq(graph([node("Relu", "x", "y")], ["n", 4]))
    assert (found.kind, found.nodes) == ("none", 0)


def test_what_edgevid_writes_is_kept():
    model = graph([node("Conv", "x w", "y")], ["n", 16, 4, 4], w=[16, 16, 1, 1])
    found = find_existing_qdq(insert_qdq(model, plan_placement(model), {"x": flat_range(2.0)}))
    assert (found.kind, found.nodes, found.reason) == ("symmetric", 3, "")


def pair(zero_point: np.ndarray | None) -> onnx.ModelProto:
    operands, weights = "x s", {"s": np.array(0.5, np.float32)}
    if zero_point is not None:
        operands, weights = "x s z", weights | {"z": zero_point}
    back = operands.replace("x", "q")
    nodes = [node("QuantizeLinear", operands, "q"), node("DequantizeLinear", back, "y")]
    return graph(nodes, ["n", 4], **weights)


@pytest.mark.parametrize(
    ("zero_point", "reason"),
    [
        (np.array(3, np.int8), "'q' (QuantizeLinear) has zero-point 3; TensorRT takes 0 alone"),
        (np.array(-128, np.int8), "zero-point -128"),
        (np.array(0, np.uint8), "works on UINT8"),
        (None, "gives unsigned integers"),
    ],
)
def test_what_tensorrt_cannot_take_is_refused_with_the_reason(zero_point, reason):
    found = find_existing_qdq(pair(zero_point))
    assert found.kind == "unsupported"
    assert reason in found.reason
    assert "float model" in found.hint


def test_weights_alone_may_be_stored_as_any_integers():
    model = graph(
        [node("DequantizeLinear", "q s z", "w"), node("Conv", "x w", "y")],
        ["n", 16, 4, 4],
        q=np.zeros((16, 16, 1, 1), np.uint8),
        s=np.array(0.5, np.float32),
        z=np.array(7, np.uint8),
    )
    assert find_existing_qdq(model).kind == "weights"


def test_a_quantised_bias_is_refused():
    model = graph(
        [
            node("DequantizeLinear", "bias s", "b"),
            node("QuantizeLinear", "x s zero", "qx"),
            node("DequantizeLinear", "qx s zero", "dx"),
            node("Conv", "dx w b", "y"),
        ],
        ["n", 16, 4, 4],
        w=[16, 16, 1, 1],
        bias=np.zeros(16, np.int32),
        s=np.array(0.5, np.float32),
        zero=np.array(0, np.int8),
    )
    assert "INT32 bias" in find_existing_qdq(model).reason


def test_integer_operators_are_refused():
    nodes = [node("DynamicQuantizeLinear", "x", "q s z"), node("DequantizeLinear", "q s z", "y")]
    assert "operator on integers" in find_existing_qdq(graph(nodes, ["n", 4])).reason


@pytest.mark.skipif(not MODELS.is_dir(), reason="the shared test data is not here")
def test_int8_weights_of_movinet_come_out_as_they_went_in():
    """They are stored behind 71 DequantizeLinear; placement needs them as constants."""
    model = onnx.load(str(MODELS / "movinet-a0-stream" / "model.onnx"))
    found = find_existing_qdq(model)
    assert (found.kind, found.nodes) == ("weights", 71)
    held = constants(model)
    stored = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type.startswith("Deq")}
    prepared = prepare(model)
    weights = [g.weight for g in plan_placement(prepared).groups if g.weight.name in stored]
    assert len(weights) > 50
    for weight in weights:
        values = constants(prepared)[weight.name]
        levels, _ = quantize_weight(values, weight.axis, "float32", weight.name)
        np.testing.assert_array_equal(levels, held[stored[weight.name]])


@pytest.mark.skipif(not MODELS.is_dir(), reason="the shared test data is not here")
def test_the_quantised_mobilenet_is_refused():
    model = onnx.load(str(MODELS / "mobilenet-v1-025-imagenet-int8" / "model.onnx"))
    found = find_existing_qdq(model)
    assert found.kind == "unsupported"
    assert found.nodes > 100
    assert "UINT8" in found.reason
