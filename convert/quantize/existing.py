"""Models that come quantised: which of them TensorRT can take as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgevid.convert.quantize.graph_view import GraphView
from edgevid.convert.stored_weights import is_stored_weight

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

Kind = Literal["none", "weights", "symmetric", "unsupported"]

_INTEGER_OPERATORS = (
    "ConvInteger",
    "DynamicQuantizeLinear",
    "MatMulInteger",
    "QLinearConv",
    "QLinearMatMul",
)
_EXPORT = "Export the float model and let edgevid quantise it (--precision int8)"


@dataclass(frozen=True)
class ExistingQdq:
    """What a model brings of quantisation.

    Attributes:
        kind: `none`; `weights`: only weights are stored as integers, and `prepare` makes
            them float again; `symmetric`: Q/DQ that TensorRT takes, to be kept as they are;
            `unsupported`: it cannot take them.
        nodes: How many quantising nodes there are.
        reason: Why they are unsupported, with the first node; else empty.
        hint: What to do then.
    """

    kind: Kind
    nodes: int = 0
    reason: str = ""
    hint: str = ""


def find_existing_qdq(model: ModelProto) -> ExistingQdq:
    """Look for quantisation in a model as its author exported it."""
    view = GraphView(model)
    nodes = [
        node
        for node in view.nodes
        if node.op_type in ("QuantizeLinear", "DequantizeLinear", *_INTEGER_OPERATORS)
    ]
    if not nodes:
        return ExistingQdq("none")
    if all(is_stored_weight(node, view) for node in nodes):
        return ExistingQdq("weights", len(nodes))
    for node in nodes:
        problem = _problem(node, view)
        if problem is not None:
            reason = f"{view.title(node)!r} ({node.op_type}) {problem}"
            return ExistingQdq("unsupported", len(nodes), reason, _EXPORT)
    return ExistingQdq("symmetric", len(nodes))


def _problem(node: NodeProto, view: GraphView) -> str | None:
    """What TensorRT cannot take of a node: it has signed INT8 with zero-point 0 alone."""
    from onnx import TensorProto, numpy_helper

    if node.op_type in _INTEGER_OPERATORS:
        return "is an operator on integers; TensorRT takes QuantizeLinear and DequantizeLinear"
    data = view.constants.get(node.input[0])
    if data is not None and data.data_type == TensorProto.INT32:
        return "reads an INT32 bias; TensorRT takes float biases"
    name = node.input[2] if len(node.input) > 2 else ""
    if not name:
        # Without a zero-point the result of QuantizeLinear is uint8.
        unsigned = node.op_type == "QuantizeLinear"
        return "gives unsigned integers; TensorRT has signed INT8 alone" if unsigned else None
    if name not in view.constants:
        return "has a zero-point that is computed; TensorRT takes 0 alone"
    zero_point = view.constants[name]
    if zero_point.data_type != TensorProto.INT8:
        kind = TensorProto.DataType.Name(zero_point.data_type)
        return f"works on {kind}; TensorRT has signed INT8 alone"
    values = numpy_helper.to_array(zero_point)
    if np.any(values != 0):
        worst = int(values.flat[np.abs(values.astype(np.int32)).argmax()])
        return f"has zero-point {worst}; TensorRT takes 0 alone"
    return None
