"""FP16 where real frames show that it holds, FP32 where they show that it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from made_models import save
from onnx import TensorProto, helper

from edgevid.convert.graph import SCORES
from edgevid.convert.half import name_nodes, to_half
from edgevid.convert.precision import convert_to_fp16
from edgevid.convert.session import Session

RNG = np.random.default_rng(11)
WINDOWS = [{"x": RNG.integers(0, 256, (1, 16, 16, 3)).astype(np.uint8)} for _ in range(4)]
BIG = 4e5


def graph(path: Path, nodes: list[Any], weights: dict[str, Any]) -> Any:
    """`nodes` take `f`, (N, 3, 16, 16) float32 in [0, 1], and make `logits`, (N, 4)."""
    prefix = [
        helper.make_node("Cast", ["x"], ["bytes"], "edgevid/x/Cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["bytes", "unit"], ["pixels"], "edgevid/x/Mul"),
        helper.make_node("Transpose", ["pixels"], ["f"], "edgevid/x/Transpose", perm=[0, 3, 1, 2]),
    ]
    suffix = [helper.make_node("Softmax", ["logits"], [SCORES], "softmax", axis=1)]
    weights = {"unit": np.float32(1 / 255), **weights}
    inputs = [("x", ["batch", 16, 16, 3], TensorProto.UINT8)]
    outputs = [(SCORES, ["batch", 4])]
    return onnx.load(str(save(path, [*prefix, *nodes, *suffix], inputs, outputs, weights)))


def head(source: str) -> list[Any]:
    return [
        helper.make_node("GlobalAveragePool", [source], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], "flatten"),
        helper.make_node("Gemm", ["flat", "dense"], ["logits"], "dense"),
    ]


def weight(*shape: int, scale: float = 0.3) -> Any:
    return RNG.normal(0, scale, shape).astype(np.float32)


def overflowing(path: Path) -> Any:
    """Activations reach about 4e5 after the second convolution, and come back down."""
    nodes = [
        helper.make_node("Conv", ["f", "w1"], ["c1"], "first", pads=[1] * 4),
        helper.make_node("Relu", ["c1"], ["r1"], "first_relu"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], "second", pads=[1] * 4),
        helper.make_node("Relu", ["c2"], ["r2"], "second_relu"),
        helper.make_node("Mul", ["r2", "down"], ["small"], "down"),
        helper.make_node("Conv", ["small", "w3"], ["c3"], "third", pads=[1] * 4),
        helper.make_node("Relu", ["c3"], ["r3"], "third_relu"),
    ]
    weights = {
        "w1": weight(8, 3, 3, 3),
        "w2": weight(8, 8, 3, 3, scale=BIG / 8),
        "down": np.float32(1 / BIG),
        "w3": weight(8, 8, 3, 3),
        "dense": weight(8, 4, scale=1.0),
    }
    return graph(path, [*nodes, *head("r3")], weights)


def element_types(model: Any) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    return {v.name: v.type.tensor_type.elem_type for v in inferred.graph.value_info}


def test_activations_beyond_fp16_stay_right(tmp_path: Path) -> None:
    model = overflowing(tmp_path / "m.onnx")
    half, kept = convert_to_fp16(model, WINDOWS)
    expected = Session(model).run_each(WINDOWS, SCORES)
    actual = Session(half).run_each(WINDOWS, SCORES)
    assert np.abs(actual - expected).max() <= 1e-3 * expected.max()
    assert {"second", "second_relu", "down"} <= set(kept)
    assert "activations reach" in kept["second"]
    assert not {"first", "first_relu", "third", "third_relu", "dense"} & set(kept)


def test_all_of_it_in_fp16_would_be_wrong(tmp_path: Path) -> None:
    """What the test above guards against does happen."""
    model = name_nodes(overflowing(tmp_path / "m.onnx"))
    ends = [n.name for n in model.graph.node if n.name.startswith("edgevid/")] + ["softmax"]
    with np.errstate(over="ignore"):
        everything = to_half(model, ends)
    actual = Session(everything).run_each(WINDOWS, SCORES)
    expected = Session(model).run_each(WINDOWS, SCORES)
    assert not np.abs(actual - expected).max() <= 0.05


def test_no_tensor_passes_through_fp16_between_two_fp32_nodes(tmp_path: Path) -> None:
    half, _ = convert_to_fp16(overflowing(tmp_path / "m.onnx"), WINDOWS)
    types = element_types(half)
    for name in ("c2", "r2", "small"):
        assert types[name] == TensorProto.FLOAT
    for name in ("c1", "c3", "r3", "logits"):
        assert types[name] == TensorProto.FLOAT16
    casts = [n for n in half.graph.node if n.op_type == "Cast"]
    # bytes, into the first layer, into and out of the large part, into the softmax.
    assert len(casts) == 5


def test_preprocessing_and_softmax_stay_in_fp32(tmp_path: Path) -> None:
    half, kept = convert_to_fp16(overflowing(tmp_path / "m.onnx"), WINDOWS)
    types = element_types(half)
    assert types["bytes"] == types["pixels"] == types["f"] == TensorProto.FLOAT
    assert kept["edgevid/x/Mul"] == "prepares the frames"
    assert kept["softmax"] == "makes the scores"
    assert half.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT


@pytest.mark.parametrize(
    ("value", "reason"), [(1e5, "weights reach 1e+05"), (1e-6, "weights lie below 1e-06")]
)
def test_weights_outside_fp16_stay_in_fp32(tmp_path: Path, value: float, reason: str) -> None:
    nodes = [
        helper.make_node("Mul", ["f", "odd"], ["scaled"], "odd_one"),
        helper.make_node("Mul", ["scaled", "back"], ["same"], "back"),
    ]
    # Pixels small enough that the product stays below 512.
    weights = {"odd": np.float32(value), "back": np.float32(1.0), "dense": weight(3, 4)}
    dark = [{"x": np.minimum(w["x"], 1)} for w in WINDOWS]
    model = graph(tmp_path / "m.onnx", [*nodes, *head("same")], weights)
    _, kept = convert_to_fp16(model, dark)
    assert kept["odd_one"] == reason
    assert "dense" not in kept


def test_a_weight_that_both_kinds_of_node_use_is_there_twice(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Mul", ["f", "shared"], ["a"], "small"),
        helper.make_node("Mul", ["a", "big"], ["b"], "grow"),
        helper.make_node("Mul", ["b", "shared"], ["c"], "large"),
        helper.make_node("Div", ["c", "big"], ["d"], "shrink"),
    ]
    weights = {"shared": np.float32(0.5), "big": np.float32(6e4), "dense": weight(3, 4)}
    model = graph(tmp_path / "m.onnx", [*nodes, *head("d")], weights)
    half, kept = convert_to_fp16(model, WINDOWS)
    assert {"grow", "large", "shrink"} <= set(kept)
    assert "small" not in kept
    types = {t.name: t.data_type for t in half.graph.initializer}
    assert types["shared"] == TensorProto.FLOAT
    assert types["shared/fp16"] == TensorProto.FLOAT16
    element_types(half)


def test_operators_whose_type_is_an_attribute_or_partly_fixed(tmp_path: Path) -> None:
    """Cast to float, ConstantOfShape, Constant, and Resize, whose scales are always FP32."""
    nodes = [
        helper.make_node("Constant", [], ["two"], "two", value_float=2.0),
        helper.make_node("Mul", ["f", "two"], ["doubled"], "double"),
        helper.make_node("Resize", ["doubled", "", "scales"], ["wide"], "resize"),
        helper.make_node("Shape", ["wide"], ["shape"], "shape"),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"], "zeros"),
        helper.make_node("Gather", ["shape", "axis"], ["width"], "gather"),
        helper.make_node("Cast", ["width"], ["width_float"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Div", ["wide", "width_float"], ["divided"], "divide"),
        helper.make_node("Add", ["divided", "zeros"], ["sum"], "add"),
    ]
    weights = {
        "scales": np.array([1, 1, 2, 2], np.float32),
        "axis": np.array(3, np.int64),
        "dense": weight(3, 4),
    }
    model = graph(tmp_path / "m.onnx", [*nodes, *head("sum")], weights)
    half, kept = convert_to_fp16(model, WINDOWS)
    assert {"double", "resize", "zeros", "cast", "add"}.isdisjoint(kept)
    types = element_types(half)
    assert types["wide"] == types["zeros"] == types["width_float"] == TensorProto.FLOAT16
    assert Session(half).run_each(WINDOWS, SCORES) == pytest.approx(
        Session(model).run_each(WINDOWS, SCORES), abs=1e-3
    )


def test_what_a_nested_graph_reads_stays_in_fp32(tmp_path: Path) -> None:
    def branch(name: str, op: str) -> Any:
        node = helper.make_node(op, ["scaled", "w"], [f"{name}_out"])
        out = helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, None)
        return helper.make_graph([node], name, [], [out])

    nodes = [
        helper.make_node("Relu", ["f"], ["positive"], "relu"),
        helper.make_node("Mul", ["positive", "w"], ["scaled"], "scale"),
        helper.make_node(
            "If",
            ["yes"],
            ["chosen"],
            "choice",
            then_branch=branch("then", "Add"),
            else_branch=branch("else", "Mul"),
        ),
    ]
    weights = {"w": np.float32(0.7), "yes": np.array(True), "dense": weight(3, 4)}
    model = graph(tmp_path / "m.onnx", [*nodes, *head("chosen")], weights)
    half, _ = convert_to_fp16(model, WINDOWS)
    types = {o: n for n in half.graph.node for o in n.output}
    assert types["scaled"].input[0].endswith("/fp32")
    assert Session(half).run_each(WINDOWS, SCORES) == pytest.approx(
        Session(model).run_each(WINDOWS, SCORES), abs=1e-3
    )


def test_nodes_without_names_get_one(tmp_path: Path) -> None:
    model = overflowing(tmp_path / "m.onnx")
    for node in model.graph.node:
        if not node.name.startswith("edgevid/"):
            node.name = "" if node.op_type == "Conv" else "twice"
    half, kept = convert_to_fp16(model, WINDOWS)
    names = [n.name for n in half.graph.node]
    assert len(set(names)) == len(names)
    assert any(name.startswith("Conv_") for name in kept)
