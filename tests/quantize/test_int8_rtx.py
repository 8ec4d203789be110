"""TensorRT-RTX plans of INT8 graphs: what really computes in INT8.

A plan describes its kernels in text, one a line, such as

    corrltn={ name="/c1/Conv" output={"a" } input={"b" "c" ... } ...
    tensor={ ... name="b" ... type=int8 }

so that the types that a convolution reads can be looked up. The builder needs no GPU.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from hand_made import flat_range

from edgevid.convert.quantize.half_rest import to_fp16
from edgevid.convert.quantize.insert import insert_qdq
from edgevid.convert.quantize.placement import plan_placement
from edgevid.convert.quantize.prepare import prepare
from edgevid.engines.tensorrt_build import build_plan

pytest.importorskip("tensorrt_rtx", reason="pip install 'edgevid[tensorrt-rtx]'")
torch_nets = pytest.importorskip("torch_nets", reason="pip install 'edgevid[torch]'")

WEIGHTED_KERNELS = ("corrltn", "deconvolution", "fully_connected")
# FP32 for the rest; FP16 for the rest with scales in FP32, and in FP16.
FORMS = ("fp32", "float32", "float16")

# Kernels that read INT8 from both operands. The three projections in front of the attention
# become one; TensorRT-RTX has no INT8 kernel for transposed convolutions.
INT8_KERNELS = {
    "residual3d": {"corrltn": 6, "fully_connected": 1},
    "attention": {"fully_connected": 4},
    "transposed": {"corrltn": 2},
    "grouped": {"corrltn": 3},
    "branches1d": {"corrltn": 5},
    "dense": {"fully_connected": 2},
}


def plan_of(model: onnx.ModelProto, folder: Path) -> bytes:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return build_plan(path, "tensorrt-rtx", "8.6", precision="int8").data


def tensor_types(plan: bytes) -> dict[str, str]:
    found = re.findall(rb'tensor=\{[^\n]*? name="([^"]+)"[^\n]* type=(\w+) \}', plan)
    return {name.decode(errors="replace"): kind.decode() for name, kind in found}


def kernels(plan: bytes) -> dict[str, tuple[str, str, str]]:
    """Name of each weighted kernel to its operator and the types of its two operands."""
    types = tensor_types(plan)
    lines = re.findall(
        rb'\n\s*(\w+)=\{ name="([^"]+)" output=\{[^\n]*? \} input=\{"([^"]+)" "([^"]+)"', plan
    )
    return {
        name.decode(): (op.decode(), types[a.decode()], types[b.decode()])
        for op, name, a, b in lines
        if op.decode() in WEIGHTED_KERNELS
    }


def quantize(model: onnx.ModelProto, form: str) -> onnx.ModelProto:
    placement = plan_placement(model)
    ranges = {name: flat_range(6.0) for name in placement.tensors}
    scale_dtype = "float16" if form == "float16" else "float32"
    int8 = insert_qdq(model, placement, ranges, scale_dtype=scale_dtype)
    if form == "fp32":
        return int8
    outputs = {value.name for value in int8.graph.output}
    last = {n.name for n in int8.graph.node if outputs & set(n.output)}
    return to_fp16(int8, keep=last, scale_dtype=scale_dtype)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", INT8_KERNELS)
def test_every_weighted_layer_computes_in_int8(name, form, tmp_path):
    plan = plan_of(quantize(prepare(torch_nets.network(name)), form), tmp_path)
    counted: dict[str, int] = {}
    for op, *operands in kernels(plan).values():
        if operands == ["int8", "int8"]:
            counted[op] = counted.get(op, 0) + 1
    assert counted == INT8_KERNELS[name]


@pytest.mark.parametrize("form", FORMS)
def test_attention_becomes_one_int8_kernel(form, tmp_path):
    plan = plan_of(quantize(prepare(torch_nets.network("attention")), form), tmp_path)
    (operands,) = re.findall(rb"name=_gemm_mha_v2 [^\n]*? args=\{([^}]*)\}", plan)
    types = tensor_types(plan)
    known = [types[n.decode()] for n in re.findall(rb'"([^"]+)"', operands) if n.decode() in types]
    # Queries, keys, values.
    assert known[:3] == ["int8"] * 3


def test_layers_kept_in_float_are_float_in_the_plan(tmp_path):
    model = prepare(torch_nets.network("dense"))
    placement = plan_placement(model)
    ranges = {name: flat_range(6.0) for name in placement.tensors}
    first, second = (g.name for g in placement.groups)
    plan = plan_of(insert_qdq(model, placement, ranges, keep_float={first}), tmp_path)
    found = kernels(plan)
    assert found[first] == ("fully_connected", "float", "float")
    assert found[second] == ("fully_connected", "int8", "int8")


def test_the_plan_holds_the_weights_in_int8(tmp_path):
    model = prepare(torch_nets.network("residual3d"))
    weights = [g.weight.name for g in plan_placement(model).groups]
    sizes = {t.name: int(np.prod(t.dims)) for t in model.graph.initializer}
    plan = plan_of(quantize(model, "fp32"), tmp_path)
    constants = re.findall(rb"const_payload_size=(\d+)[^\n]* type=int8 \}", plan)
    # Three input channels are filled up to four.
    filled = sizes[weights[0]] // 3
    assert sum(map(int, constants)) == sum(sizes[name] for name in weights) + filled
