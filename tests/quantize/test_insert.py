"""Q/DQ in a graph: values, sharing, what is kept in float, both forms of FP16."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest
from hand_made import constants, flat_range, graph, node
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from edgevid.convert.quantize.half_rest import to_fp16
from edgevid.convert.quantize.insert import active_groups, insert_qdq
from edgevid.convert.quantize.placement import plan_placement
from edgevid.convert.quantize.scales import activation_scale, grid_step, quantize_weight
from edgevid.convert.session import Session
from edgevid.errors import ConversionError

CONV_16 = [16, 16, 1, 1]
PICTURE = ["n", 16, 8, 8]


def insert(model, peaks, **options):
    ranges = {name: flat_range(peak) for name, peak in peaks.items()}
    result = insert_qdq(model, plan_placement(model), ranges, **options)
    onnx.checker.check_model(result, full_check=True)
    return result


def operators(model) -> list[str]:
    return [n.op_type for n in model.graph.node]


def run(model, seed=0, shape=(2, 16, 8, 8)):
    x = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return Session(model).run({"x": x})["y"]


def test_the_numbers_are_those_of_the_formula():
    """q = clamp(round(x / s)), s = amax / 127; products of the rounded values; float bias."""
    model = graph([node("Gemm", "x w b", "y", transB=1)], ["n", 16], w=[24, 16], b=[24])
    result = insert(model, {"x": 2.0})
    x = np.random.default_rng(1).normal(0, 1.5, (5, 16)).astype(np.float32)
    held = constants(model)
    s_x = 2.0 / 127
    q_x = np.clip(np.rint(x / np.float32(s_x)), -128, 127)
    assert q_x.min() == -128
    assert q_x.max() == 127
    s_w = np.abs(held["w"]).max(axis=1, keepdims=True) / 127
    q_w = np.rint(held["w"] / s_w)
    expected = (q_x * s_x) @ (q_w * s_w).T + held["b"]
    np.testing.assert_allclose(Session(result).run({"x": x})["y"], expected, atol=1e-5)


def test_weights_are_kept_in_int8_and_biases_in_float():
    model = graph([node("Conv", "x w b", "y")], PICTURE, w=CONV_16, b=[16])
    result = insert(model, {"x": 3.0})
    assert operators(result) == [
        "QuantizeLinear",
        "DequantizeLinear",
        "DequantizeLinear",
        "Conv",
    ]
    held = constants(result)
    assert "w" not in held
    (stored,) = (v for v in held.values() if v.dtype == np.int8 and v.ndim == 4)
    assert np.abs(stored.astype(int)).max() == 127
    assert result.graph.node[-1].input[2] == "b"
    np.testing.assert_array_equal(held["b"], constants(model)["b"])
    zero_points = [v for k, v in held.items() if "zero" in k]
    assert len(zero_points) == 2
    assert all(v.dtype == np.int8 and not v.any() for v in zero_points)


def test_one_pair_for_all_readers_and_one_weight_for_two():
    nodes = [node("Conv", "x w", "a"), node("Conv", "x w", "b"), node("Add", "a b", "y")]
    result = insert(graph(nodes, PICTURE, w=CONV_16), {"x": 3.0, "b": 2.0})
    # One pair for x, one for the shortcut b, one weight.
    assert operators(result).count("QuantizeLinear") == 2
    assert operators(result).count("DequantizeLinear") == 3


def test_the_interface_and_the_original_are_left_alone():
    model = graph([node("Conv", "x w", "y")], PICTURE, w=CONV_16)
    before = model.SerializeToString()
    result = insert(model, {"x": 3.0})
    assert list(result.graph.input) == list(model.graph.input)
    assert list(result.graph.output) == list(model.graph.output)
    assert model.SerializeToString() == before


CHAIN = [
    node("Conv", "x w1", "c1"),
    node("Relu", "c1", "r1"),
    node("Conv", "r1 w2", "c2"),
    node("Add", "c2 x", "y"),
]


def chain():
    return graph(CHAIN, PICTURE, w1=CONV_16, w2=CONV_16)


def test_a_group_that_is_kept_in_float_takes_its_pairs_along():
    """c2 has r1 and the shortcut x of its Add; c1 still reads x in INT8."""
    result = insert(chain(), {"x": 4.0, "r1": 4.0}, keep_float={"c2"})
    assert operators(result).count("QuantizeLinear") == 1
    by_output = {n.output[0]: n for n in result.graph.node}
    assert list(by_output["c2"].input) == ["r1", "w2"]
    assert list(by_output["y"].input) == ["c2", "x"]
    assert by_output["c1"].input[0] != "x"


def test_all_groups_in_float_is_the_float_graph():
    model = chain()
    result = insert(model, {"x": 4.0, "r1": 4.0}, keep_float={"c1", "c2"})
    assert operators(result) == operators(model)
    np.testing.assert_array_equal(run(result), run(model))


def test_a_layer_that_does_not_exist_is_named():
    with pytest.raises(ConversionError, match=r"no layer 'conv9'.*c1, c2"):
        insert(chain(), {"x": 4.0, "r1": 4.0}, keep_float={"conv9"})


def test_a_range_that_is_missing_is_named():
    with pytest.raises(ConversionError, match="no range for 'r1'"):
        insert(chain(), {"x": 4.0})


def test_a_tensor_that_was_always_zero_keeps_its_group_in_float():
    model = chain()
    placement = plan_placement(model)
    ranges = {"x": flat_range(4.0), "r1": flat_range(0.0)}
    assert [g.name for g in active_groups(placement, ranges)] == ["c1"]
    result = insert_qdq(model, placement, ranges)
    assert operators(result).count("QuantizeLinear") == 1


def test_tied_tensors_have_the_largest_range():
    model = graph(
        [
            node("Relu", "x", "a"),
            node("Sigmoid", "x", "b"),
            node("Concat", "a b", "joined", axis=1),
            node("Conv", "joined w", "y"),
        ],
        PICTURE,
        w=[16, 32, 1, 1],
    )
    result = insert(model, {"a": 4.0, "b": 9.0, "joined": 3.0})
    scales = {constants(result)[f"{name}/scale"].item() for name in ("a", "b", "joined")}
    # A sigmoid ends at 1, whatever was measured.
    assert scales == {np.float32(4 / 127)}


def test_probabilities_need_no_range():
    nodes = [node("Softmax", "x", "p"), node("MatMul", "p w", "y")]
    model = graph(nodes, ["n", 32], w=[32, 32])
    assert constants(insert(model, {}))["p/scale"] == np.float32(1 / 127)
    assert constants(insert(model, {"p": 0.25}))["p/scale"] == np.float32(0.25 / 127)


def test_weights_that_are_not_finite_are_refused():
    weight = np.ones(CONV_16, np.float32)
    weight[3, 2] = np.nan
    model = graph([node("Conv", "x w", "y")], PICTURE, w=weight)
    with pytest.raises(ConversionError, match="weight 'w' holds NaN"):
        insert(model, {"x": 3.0})


weights = st.integers(0, 2**32 - 1).flatmap(
    lambda seed: st.sampled_from([1e-6, 1e-2, 1.0, 1e4]).map(
        lambda size: np.random.default_rng(seed).normal(0, size, (4, 6, 3)).astype(np.float32)
    )
)


@given(values=weights, axis=st.integers(0, 2), half=st.booleans())
def test_a_weight_is_off_by_half_a_step_at_most(values, axis, half):
    levels, scales = quantize_weight(values, axis, "float16" if half else "float32", "w")
    assert levels.min() >= -127
    shape = [-1 if i == axis else 1 for i in range(3)]
    steps = scales.astype(np.float64).reshape(shape)
    # FP16 scales are rounded, so that the largest weight of a channel may be cut.
    cut = 127 * 2**-11 if half else 1e-3
    assert (np.abs(levels * steps - values) <= (0.5 + cut) * steps).all()


@given(
    seed=st.integers(0, 2**32 - 1),
    step=st.floats(1e-4, 10),
    largest=st.integers(20, 127),
)
def test_weights_on_an_integer_grid_lose_nothing(seed, step, largest):
    """Such as those of a model that was trained for INT8 with one scale for the tensor."""
    rng = np.random.default_rng(seed)
    integers = rng.integers(-largest, largest + 1, (8, 64))
    integers[0] //= 8
    integers[1] = 0
    values = (integers * step).astype(np.float32)
    assert grid_step(values) == pytest.approx(step, rel=1e-5)
    levels, scales = quantize_weight(values, 0, "float32", "w")
    np.testing.assert_array_equal(levels[2:], integers[2:])
    np.testing.assert_allclose(levels * scales[:, None], values, rtol=1e-4, atol=step * 1e-3)


@pytest.mark.parametrize(
    "values",
    [np.random.default_rng(2).normal(size=4000), np.zeros(9), np.array([5.0, 5.0001, 5.0002])],
)
def test_other_weights_lie_on_no_grid(values):
    assert grid_step(values.astype(np.float32)) is None


def test_a_channel_beyond_the_grid_gets_a_scale_of_its_own():
    integers = np.arange(-100, 100).reshape(2, 100)
    integers[0] -= 50
    _, scales = quantize_weight((integers * 0.5).astype(np.float32), 0, "float32", "w")
    np.testing.assert_allclose(scales, [150 * 0.5 / 127, 0.5], rtol=1e-6)


@pytest.mark.parametrize("peak", [1e-30, 1e-5, 3.0, 1e9])
def test_fp16_scales_are_in_range_and_exact(peak):
    scale = activation_scale(peak, "float16")
    assert scale.dtype == np.float32
    assert 0 < np.float16(scale) < np.inf
    assert np.float32(np.float16(scale)) == scale


def types(model) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    found = {t.name: t.data_type for t in inferred.initializer}
    values = (*inferred.input, *inferred.output, *inferred.value_info)
    return found | {v.name: v.type.tensor_type.elem_type for v in values}


def scale_types(model) -> set[int]:
    known = types(model)
    return {
        known[n.input[1]]
        for n in model.graph.node
        if n.op_type in ("QuantizeLinear", "DequantizeLinear")
    }


def test_fp32_scales_stay_beside_an_fp16_rest():
    half = to_fp16(insert(chain(), {"x": 4.0, "r1": 4.0}), keep={"y"})
    onnx.checker.check_model(half, full_check=True)
    assert scale_types(half) == {TensorProto.FLOAT}
    assert types(half)["c1"] == TensorProto.FLOAT16
    np.testing.assert_allclose(run(half), run(chain()), atol=0.15)


def test_fp16_scales_have_the_values_that_were_measured():
    int8 = insert(chain(), {"x": 4.0, "r1": 4.0}, scale_dtype="float16")
    half = to_fp16(int8, keep={"y"}, scale_dtype="float16")
    onnx.checker.check_model(half, full_check=True)
    assert scale_types(half) == {TensorProto.FLOAT16}
    assert half.opset_import[0].version == 19
    wide, narrow = constants(int8), constants(half)
    halved = [name for name in wide if f"{name}/fp16" in narrow]
    assert len(halved) == 4
    for name in halved:
        np.testing.assert_array_equal(narrow[f"{name}/fp16"].astype(np.float32), wide[name])
    # No Cast around the pairs: only of x, and of the two operands of y.
    assert operators(half).count("Cast") == 3


def test_the_pairs_of_a_node_that_stays_in_fp32_keep_fp32_scales():
    """c1 makes more than FP16 holds: r1 must not pass through FP16 on its way to INT8."""
    int8 = insert(chain(), {"x": 4.0, "r1": 4e5}, scale_dtype="float16")
    half = to_fp16(int8, keep={"c1", "r1", "y"}, scale_dtype="float16")
    known = types(half)
    pairs = {n.output[0]: known[n.input[1]] for n in half.graph.node if "Linear" in n.op_type}
    assert pairs["r1/int8"] == TensorProto.FLOAT
    assert pairs["w1/axis0/dequantized"] == TensorProto.FLOAT
    assert pairs["w2/axis0/dequantized"] == TensorProto.FLOAT16


def test_a_graph_that_cannot_be_raised_to_fp16_scales_says_so():
    nodes = [node("Conv", "x w", "c"), node("Upsample", "c s", "y")]
    nodes[1].domain = "elsewhere"
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            nodes,
            "made",
            [onnx.helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 16, 8, 8])],
            [onnx.helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 16, 8, 8])],
            [
                onnx.numpy_helper.from_array(np.ones(CONV_16, np.float32), "w"),
                onnx.numpy_helper.from_array(np.ones(4, np.float32), "s"),
            ],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 5)],
    )
    with pytest.raises(ConversionError, match=re.escape("need opset 19")):
        to_fp16(model, keep=set(), scale_dtype="float16")
