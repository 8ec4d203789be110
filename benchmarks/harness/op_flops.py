"""Operations of the ONNX operators that multiply matrices; a multiply-add counts two.

Only these count: additions, activations and the like are bound by memory, and their bytes are
counted instead. It is also what `torch.utils.flop_counter` counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnx import NodeProto

Shape = tuple[int, ...]
ShapeOf = Callable[[str], Shape]
"""The shape of a tensor by its name; raises KeyError where it is not known."""


def matrix_flops(node: NodeProto, shape: ShapeOf) -> float | None:
    """Operations of one node; None where its operator multiplies no matrices.

    Raises:
        KeyError: A shape that it takes is not known.
        ValueError: It is of a form that is not counted.
    """
    rule = _RULES.get(node.op_type)
    return None if rule is None else float(rule(node, shape))


def attributes(node: NodeProto) -> dict[str, Any]:
    """Attributes by name, as Python values."""
    from onnx import helper

    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _conv(node: NodeProto, shape: ShapeOf, weight: int = 1) -> int:
    # W is (M, C / group, k...): each output takes C / group times the kernel.
    return 2 * math.prod(shape(node.output[0])) * math.prod(shape(node.input[weight])[1:])


def _conv_transpose(node: NodeProto, shape: ShapeOf) -> int:
    # W is (C, M / group, k...): each input is spread over M / group times the kernel.
    return 2 * math.prod(shape(node.input[0])) * math.prod(shape(node.input[1])[1:])


def _gemm(node: NodeProto, shape: ShapeOf) -> int:
    inner = shape(node.input[0])[0 if attributes(node).get("transA") else 1]
    return 2 * math.prod(shape(node.output[0])) * inner


def _matmul(node: NodeProto, shape: ShapeOf) -> int:
    return 2 * math.prod(shape(node.output[0])) * shape(node.input[0])[-1]


def _fused_matmul(node: NodeProto, shape: ShapeOf) -> int:
    inner = shape(node.input[0])[-2 if attributes(node).get("transA") else -1]
    return 2 * math.prod(shape(node.output[0])) * inner


def _einsum(node: NodeProto, shape: ShapeOf) -> int:
    equation = attributes(node)["equation"].decode().replace(" ", "")
    terms = equation.partition("->")[0].split(",")
    if "." in equation or len(terms) != 2:
        raise ValueError(f"Einsum {equation!r}")
    sizes = {
        label: size
        for term, name in zip(terms, node.input, strict=True)
        for label, size in zip(term, shape(name), strict=True)
    }
    return 2 * math.prod(sizes.values())


def _recurrent(node: NodeProto, shape: ShapeOf) -> int:
    # X is (T, N, I), or (N, T, I) with layout 1; W (D, gates * H, I) and R (D, gates * H, H).
    steps_and_batch = math.prod(shape(node.input[0])[:2])
    weights = math.prod(shape(node.input[1])) + math.prod(shape(node.input[2]))
    return 2 * steps_and_batch * weights


def _attention(node: NodeProto, shape: ShapeOf) -> int:
    """ai.onnx: Q (N, S, H * D), or (N, H, S, D); com.microsoft: X (N, S, I), W (I, 3 * H)."""
    if node.domain == "com.microsoft":
        batch, length, _ = shape(node.input[0])
        weights = shape(node.input[1])
        return 2 * batch * length * (math.prod(weights) + length * weights[1] * 2 // 3)
    query, key, value = (shape(name) for name in node.input[:3])
    past = shape(node.input[4])[-2] if len(node.input) > 4 and node.input[4] else 0
    if len(query) == 4:
        batch, heads, length, width = query
        return 2 * batch * heads * length * (key[-2] + past) * (width + value[-1])
    groups = int(attributes(node)["q_num_heads"] // attributes(node)["kv_num_heads"])
    batch, length, width = query
    return 2 * batch * length * (key[1] + past) * (width + value[2] * groups)


def _multi_head_attention(node: NodeProto, shape: ShapeOf) -> int:
    query, key, value = (shape(name) for name in node.input[:3])
    if not len(query) == len(key) == len(value) == 3:
        raise ValueError("MultiHeadAttention on packed inputs")
    return 2 * query[0] * query[1] * key[1] * (query[2] + value[2])


_RULES: dict[str, Callable[[NodeProto, ShapeOf], int]] = {
    "Conv": _conv,
    "FusedConv": _conv,
    "DeformConv": _conv,
    "ConvInteger": _conv,
    "QLinearConv": lambda node, shape: _conv(node, shape, weight=3),
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "FusedGemm": _gemm,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "DynamicQuantizeMatMul": _matmul,
    "QLinearMatMul": _matmul,
    "FusedMatMul": _fused_matmul,
    "Einsum": _einsum,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
    "Attention": _attention,
    "MultiHeadAttention": _multi_head_attention,
}
