"""Which weighted operators can be quantised, and along which axis their weights are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgevid.convert.quantize.graph_view import GraphView, attribute

if TYPE_CHECKING:
    from onnx import NodeProto

CONVOLUTIONS = ("Conv", "ConvTranspose")
WEIGHTED = (*CONVOLUTIONS, "Gemm", "MatMul")

MIN_CHANNELS = 16
"""With fewer channels than that on both sides INT8 tensor cores have nothing to do."""


@dataclass(frozen=True)
class Weight:
    """The constant operand of a weighted node.

    Attributes:
        reader: First output of the node; names it.
        operand: Which of the node's inputs it is.
        name: The initializer.
        axis: Of its output channels: each gets a scale of its own.
    """

    reader: str
    operand: int
    name: str
    axis: int


def weight_of(node: NodeProto, view: GraphView) -> Weight | None:
    """The node's constant operand; None where both are activations."""
    for operand, name in enumerate(node.input[:2]):
        if name in view.constants:
            rank = len(view.constants[name].dims)
            return Weight(node.output[0], operand, name, _output_axis(node, operand, rank))
    return None


def check_weighted(node: NodeProto, view: GraphView, depthwise: bool) -> str | None:
    """Why a weighted node has to stay in float; None where it can be quantised."""
    from onnx import TensorProto

    constants = [view.constants[name] for name in node.input[:2] if name in view.constants]
    activations = [name for name in node.input[:2] if view.is_activation(name)]
    if not activations or any(t.data_type != TensorProto.FLOAT for t in constants):
        return "its operands are not an FP32 activation and FP32 weights"
    if len(activations) + len(constants) < 2:
        return "its operands are not all FP32"
    if not constants:
        dynamic = node.op_type in CONVOLUTIONS
        return "its weights are computed in the graph" if dynamic else None
    return _check_shape(node, list(constants[0].dims), weight_of(node, view), depthwise)


def _check_shape(
    node: NodeProto, shape: list[int], weight: Weight | None, depthwise: bool
) -> str | None:
    if weight is None or len(shape) < 2:
        return "its weights are a vector"
    if node.op_type not in CONVOLUTIONS:
        if len(shape) > 2:
            return "its weights are a stack of matrices: no scale a channel in ONNX Runtime"
        outputs = shape[weight.axis]
        inputs = math.prod(shape[-2:]) // outputs
        return _few_channels(inputs, outputs)
    if weight.operand != 1:
        return "its picture is a constant"
    groups = attribute(node, "group", 1)
    within, across = shape[1], shape[0]
    if node.op_type == "ConvTranspose" and groups > 1:
        return "a transposed convolution in groups: TensorRT has no INT8 kernel for it"
    if groups > 1 and within == 1 and not depthwise:
        return "a depthwise convolution: few operations a byte, so INT8 gains little"
    return _few_channels(within * groups, across)


def _few_channels(inputs: int, outputs: int) -> str | None:
    if max(inputs, outputs) >= MIN_CHANNELS:
        return None
    return f"few channels ({inputs} in, {outputs} out, both below {MIN_CHANNELS})"


def _output_axis(node: NodeProto, operand: int, rank: int) -> int:
    """Conv weights are `(M, C / group, ...)`, ConvTranspose's `(C, M / group, ...)`, the
    right operand of a product is `(K, N)` or, transposed, `(N, K)`, the left one `(M, K)`."""
    if node.op_type == "Conv":
        return 0
    if node.op_type == "ConvTranspose":
        return 1
    last = operand == 1
    if node.op_type == "Gemm" and attribute(node, ("transA", "transB")[operand], 0):
        last = not last
    return rank - 1 if last else rank - 2
