"""One-sided activations use all of INT8 where that changes nothing but a bias."""

from __future__ import annotations

import numpy as np
import pytest
from hand_made import constants, flat_range, graph, node, sqnr_db
from onnx import TensorProto, shape_inference

from edgevid.convert.quantize.centre import centre_of
from edgevid.convert.quantize.half_rest import to_fp16
from edgevid.convert.quantize.insert import insert_qdq
from edgevid.convert.quantize.placement import plan_placement
from edgevid.convert.quantize.ranges import Range, collect_ranges
from edgevid.convert.session import Session

PICTURE = ["n", 32, 8, 8]
DEPTHWISE = node("Conv", "x d", "c", group=32, pads=[1] * 4)
RELU = node("Relu", "c", "r")
WEIGHTS = {"d": [32, 1, 3, 3], "w": [32, 32, 1, 1], "b": [32]}


def block(*nodes, **weights):
    return graph([DEPTHWISE, RELU, *nodes], PICTURE, **(WEIGHTS | weights))


POINT = block(node("Conv", "r w b", "y"))


def draw(count, seed):
    rng = np.random.default_rng(seed)
    return [{"x": rng.normal(size=(1, 32, 8, 8)).astype(np.float32)} for _ in range(count)]


@pytest.mark.parametrize(
    ("low", "high", "centre"),
    [(0, 6, 3), (-6, 0, -3), (-1, 7, 3), (-6, 6, 0), (-4, 6, 0), (2, 4, 3), (0, 0, 0)],
)
def test_the_centre_is_that_of_a_lopsided_range(low, high, centre):
    assert centre_of(low, high) == centre


def test_a_relu_behind_a_depthwise_convolution_gets_twice_the_levels():
    placement = plan_placement(POINT)
    assert placement.centrable == {"r"}
    ranges = collect_ranges(POINT, placement.tensors, draw(8, 0), "minmax")
    one_sided = insert_qdq(POINT, placement, ranges)
    amax = ranges["r"].amax
    symmetric = insert_qdq(POINT, placement, {"r": flat_range(amax)})
    scales = [constants(m)["r/scale"].item() for m in (one_sided, symmetric)]
    assert scales[0] == pytest.approx(scales[1] / 2, rel=1e-5)
    feeds = draw(8, 1)
    expected = Session(POINT).run_each(feeds, "y")
    gains = [sqnr_db(expected, Session(m).run_each(feeds, "y")) for m in (one_sided, symmetric)]
    assert gains[0] > gains[1] + 3


@pytest.mark.parametrize(
    ("shape", "nodes", "weights"),
    [
        (["n", 32], [node("Gemm", "r w b", "y")], {"w": [32, 24], "b": [24]}),
        (["n", 32], [node("Gemm", "r w b", "y", transB=1)], {"w": [24, 32], "b": [24]}),
        (
            ["n", 5, 32],
            [node("MatMul", "r w", "m"), node("Add", "b m", "y")],
            {"w": [32, 24], "b": [24]},
        ),
        (["n", 32, 9], [node("Conv", "r w b", "y")], {"w": [24, 32, 3], "b": [24]}),
        (["n", 32, 9], [node("Conv", "r w b", "y", group=2)], {"w": [24, 16, 3], "b": [24]}),
    ],
    ids=["gemm", "transposed", "matmul", "conv", "groups"],
)
def test_the_bias_makes_up_for_it_exactly(shape, nodes, weights):
    """On values that INT8 holds exactly, with weights that it holds exactly, nothing is lost."""
    rng = np.random.default_rng(3)
    grid = rng.integers(-127, 128, weights["w"]) / 64
    grid[:2] = 127 / 64
    model = graph(
        [node("Relu", "x", "r"), *nodes], shape, w=grid.astype(np.float32), b=weights["b"]
    )
    placement = plan_placement(model)
    assert placement.centrable == {"r"}
    result = insert_qdq(model, placement, {"r": Range(0.0, 254 / 32, 254 / 32, False)})
    assert "r/less" in constants(result)
    sizes = [3 if d == "n" else d for d in shape]
    x = (rng.integers(-200, 255, sizes) / 32).astype(np.float32)
    expected = Session(model).run({"x": x})["y"]
    np.testing.assert_allclose(Session(result).run({"x": x})["y"], expected, atol=1e-4)


def test_zero_stays_zero():
    """The most frequent value behind a ReLU; an error in it would add up over the channels."""
    placement = plan_placement(POINT)
    result = insert_qdq(POINT, placement, {"r": Range(0.0, 5.4321, 5.4321, False)})
    held = constants(result)
    steps = held["r/less"] / held["r/scale"]
    assert steps == pytest.approx(round(float(steps)), abs=1e-4)


SKIPPED = {
    "padding": block(node("Conv", "r w b", "y", pads=[1] * 4)),
    "padding by name": block(node("Conv", "r w b", "y", auto_pad="SAME_UPPER")),
    "no bias": block(node("Conv", "r w", "y")),
    "made by an INT8 convolution": graph(
        [node("Conv", "x v", "c"), node("Relu", "c", "r"), node("Conv", "r w b", "y")],
        PICTURE,
        v=[32, 32, 1, 1],
        w=[32, 32, 1, 1],
        b=[32],
    ),
    "read by a shortcut": block(
        node("Conv", "r w b", "m"),
        node("Conv", "m w b", "k"),
        node("Add", "k r", "y"),
    ),
    "a product without a bias": graph(
        [node("Relu", "x", "r"), node("MatMul", "r w", "y")], ["n", 5, 32], w=[32, 24]
    ),
    "two activations": graph([node("Relu", "x", "r"), node("MatMul", "r x", "y")], ["n", 32, 32]),
}


@pytest.mark.parametrize("case", SKIPPED)
def test_where_a_constant_changes_more_than_a_bias_nothing_is_centred(case):
    model = SKIPPED[case]
    placement = plan_placement(model)
    assert "r" in placement.tensors
    assert "r" not in placement.centrable
    one_sided = Range(0.0, 6.0, 6.0, False)
    result = insert_qdq(model, placement, dict.fromkeys(placement.tensors, one_sided))
    assert constants(result)["r/scale"] == np.float32(6 / 127)


def test_a_layer_kept_in_float_keeps_its_bias():
    result = insert_qdq(POINT, plan_placement(POINT), {"r": Range(0.0, 6.0, 6.0, False)}, {"y"})
    feeds = draw(1, 0)[0]
    np.testing.assert_array_equal(Session(result).run(feeds)["y"], Session(POINT).run(feeds)["y"])


def test_large_values_are_centred_in_fp32():
    """c and r stay in FP32, as they reach 4e5: so do the subtraction and Q behind them."""
    ranges = {"r": Range(0.0, 4e5, 4e5, False)}
    int8 = insert_qdq(POINT, plan_placement(POINT), ranges, scale_dtype="float16")
    half = to_fp16(int8, keep={"c", "r", "y"}, scale_dtype="float16")
    inferred = shape_inference.infer_shapes(half, strict_mode=True).graph
    types = {v.name: v.type.tensor_type.elem_type for v in inferred.value_info}
    assert types["r/centred"] == TensorProto.FLOAT
    assert types["r/int8"] == TensorProto.INT8
