"""What the parser refuses, in plain words: real refusals of TensorRT-RTX, and recorded ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from edgevid.engines.refusals import explain
from edgevid.engines.tensorrt_build import build_plan
from edgevid.errors import BuildError

node = helper.make_node


def value(name: str, kind: int = TensorProto.FLOAT, dims: Sequence[object] = ("N", 4, 4)):
    return helper.make_tensor_value_info(name, kind, dims)


def save(
    path: Path,
    nodes: list[NodeProto],
    constants: dict[str, np.ndarray] | None = None,
    x: ValueInfoProto | None = None,
) -> Path:
    inits = [numpy_helper.from_array(a, name) for name, a in (constants or {}).items()]
    graph = helper.make_graph(nodes, "g", [x or value("x")], [value("y", dims=None)], inits)
    opsets = [helper.make_opsetid("", 19), helper.make_opsetid("com.example", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def refuse(tmp_path):
    """Build a graph that must be refused; give the error."""
    pytest.importorskip("tensorrt_rtx", reason="pip install 'edgevid[tensorrt-rtx]'")

    def run(*args, **kwargs) -> BuildError:
        path = save(tmp_path / "odd.onnx", *args, **kwargs)
        with pytest.raises(BuildError) as caught:
            build_plan(path, "tensorrt-rtx", "8.6", precision="fp32")
        assert str(path) in caught.value.message
        assert "\n" not in str(caught.value)
        assert "catchCudaError" not in str(caught.value)
        return caught.value

    return run


@pytest.mark.parametrize(("op", "domain"), [("Frobnicate", "com.example"), ("Det", "")])
def test_an_operator_that_tensorrt_does_not_have(refuse, op, domain):
    error = refuse([node(op, ["x"], ["y"], name="odd_one", domain=domain)])
    assert f"node 'odd_one' ({op}): TensorRT has no such operator" in error.message
    assert "--engine onnxruntime" in error.hint


@pytest.mark.parametrize("op", ["NonZero", "Unique"])
def test_an_output_whose_size_depends_on_the_data(refuse, op):
    nodes = [
        node(op, ["x"], ["found"], name="/head/odd"),
        node("Cast", ["found"], ["y"], name="cast", to=TensorProto.FLOAT),
    ]
    error = refuse(nodes)
    assert f"node '/head/odd' ({op}): the shape of its output depends on the data" in error.message
    assert "shapes are constants" in error.hint


def test_a_shape_that_is_computed_from_the_data(refuse):
    nodes = [
        node("Cast", ["x"], ["shape"], name="cast", to=TensorProto.INT64),
        node("Reshape", ["x", "shape"], ["y"], name="reshape"),
    ]
    error = refuse(nodes, x=value("x", dims=("N", 2)))
    assert "node 'reshape' (Reshape): the shape of its output depends on the data" in error.message


@pytest.mark.parametrize("zero", [np.int8(3), np.uint8(128)])
def test_an_asymmetric_zero_point(refuse, zero):
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"], name="quantise"),
        node("DequantizeLinear", ["q", "s", "z"], ["y"], name="dequantise"),
    ]
    error = refuse(nodes, {"s": np.array(0.1, np.float32), "z": np.array(zero)})
    assert "node 'quantise' (QuantizeLinear): its zero point is not 0" in error.message
    assert "symmetric" in error.message
    assert "--precision int8" in error.hint


@pytest.mark.parametrize(
    ("op", "dims", "weights"),
    [
        ("Mul", ("N", 4, 4), (4,)),
        ("MatMul", ("N", 4, 4), (4, 4)),
        ("Conv", ("N", 3, 8, 8), (4, 3, 3, 3)),
    ],
)
def test_fp32_and_fp16_in_one_node(refuse, op, dims, weights):
    nodes = [node(op, ["x", "w"], ["y"], name="mixes")]
    error = refuse(nodes, {"w": np.ones(weights, np.float16)}, x=value("x", dims=dims))
    assert f"node 'mixes' ({op}): its inputs are of Float and Half" in error.message
    assert "Cast" in error.hint


def test_scales_of_two_types(refuse):
    """An FP16 activation scale beside an FP32 weight scale."""
    nodes = [
        node("Cast", ["x"], ["xh"], name="cast", to=TensorProto.FLOAT16),
        node("QuantizeLinear", ["xh", "s"], ["q"], name="q"),
        node("DequantizeLinear", ["q", "s"], ["d"], name="dq"),
        node("DequantizeLinear", ["wq", "ws"], ["w"], name="dqw"),
        node("MatMul", ["d", "w"], ["y"], name="fc"),
    ]
    constants = {
        "s": np.array(0.1, np.float16),
        "wq": np.ones((4, 4), np.int8),
        "ws": np.array(0.1, np.float32),
    }
    assert (
        "node 'fc' (MatMul): its inputs are of Half and Float" in refuse(nodes, constants).message
    )


def test_an_input_of_a_type_that_tensorrt_does_not_have(refuse):
    nodes = [node("Identity", ["x"], ["y"], name="same")]
    error = refuse(nodes, x=value("x", TensorProto.STRING))
    assert "TensorRT has no such data type" in error.message
    assert "float32" in error.hint


def test_a_node_without_a_name_is_numbered_and_all_are_listed(refuse):
    nodes = [
        node("Relu", ["x"], ["a"]),
        node("Det", ["a"], ["b"]),
        node("ConvInteger", ["c", "c"], ["y"], name="ints"),
    ]
    error = refuse(nodes, {"c": np.ones((1, 1, 3, 3), np.uint8)})
    assert "node 'number 1' (Det)" in error.message
    assert "node 'ints' (ConvInteger)" in error.message


def test_a_long_list_is_cut(refuse):
    nodes = [node("Det", ["x"], [f"d{i}"], name=f"det_{i}") for i in range(8)]
    nodes.append(node("Sum", [f"d{i}" for i in range(8)], ["y"], name="sum"))
    message = refuse(nodes).message
    assert "det_4" in message
    assert "det_5" not in message
    assert message.endswith("; and 3 more")


@pytest.mark.parametrize(
    ("op", "code", "text", "reason"),
    [
        (
            "QuantizeLinear",
            "INVALID_NODE",
            'Assertion failed: shiftIsAllZeros(zeroPoint) && "TRT only supports symmetric '
            'quantization - zeroPt must be all zeros"',
            "its zero point is not 0",
        ),
        (
            "Round",
            "UNSUPPORTED_NODE",
            'Assertion failed: creator && "Plugin not found, are the plugin name, version, and '
            'namespace correct?"',
            "TensorRT has no such operator",
        ),
        (
            "Tile",
            "UNSUPPORTED_NODE",
            "No importer registered for op: Tile",
            "TensorRT has no such operator",
        ),
        (
            "Add",
            "INVALID_NODE",
            "Invalid Node - add\nadd: ElementWiseOperation SUM must have same input types. But "
            "they are of types Half and Float.",
            "its inputs are of Half and Float",
        ),
        (
            "Pad",
            "UNSUPPORTED_NODE_ATTR",
            "Assertion failed: mode == constant",
            "mode == constant",
        ),
        ("Gemm", "INVALID_NODE", "", "it did not say why"),
    ],
)
def test_what_other_releases_say(op, code, text, reason):
    """As written by TensorRT 8.5 to 10.x; what is not recognised is passed on."""
    refusal = explain("node_7", op, code, text)
    assert refusal.reason.startswith(reason)
    assert refusal.hint
    assert str(refusal).startswith(f"node 'node_7' ({op}): ")


def test_the_librarys_own_lines_lose_their_places():
    text = (
        "Invalid Node - conv\n"
        "[convolutionNode.cpp::check::88] Error Code 4: API Usage Error (conv: kernel of 9 "
        "weights, 27 expected. In check at /_src/optimizer/convolutionNode.cpp:88)\n"
        "[checkMacros.cpp::catchCudaError::250] Error Code 1: Cuda Runtime (cudaError 35)\n"
    )
    assert explain("conv", "Conv", "INVALID_NODE", text).reason == (
        "Invalid Node - conv Error Code 4: API Usage Error (conv: kernel of 9 weights, 27 "
        "expected.)"
    )
