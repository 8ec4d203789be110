"""Weights that a file stores as integers, in a graph that computes in float.

Such a file is small, not quantised: nothing rounds its activations. Its weights become the
floats that they stand for, so that it is converted like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgevid.convert.journal import Journal
from edgevid.convert.quantize.graph_view import GraphView, attribute, drop_unused_constants

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_QUANTISING = (
    "QuantizeLinear",
    "DynamicQuantizeLinear",
    "ConvInteger",
    "MatMulInteger",
    "QLinearConv",
    "QLinearMatMul",
)


def unfold_stored_weights(model: ModelProto, journal: Journal) -> None:
    """Make stored weights float, in place, unless the graph quantises activations."""
    if any(node.op_type in _QUANTISING for node in model.graph.node):
        return
    count = dequantize_weights(model)
    if count:
        drop_unused_constants(model)
        journal.note(
            f"{count} weights are stored as integers in the file; they become the float32 "
            "values that they stand for."
        )


def is_stored_weight(node: NodeProto, view: GraphView) -> bool:
    """True for a DequantizeLinear of a constant, to FP32, with one scale or one a channel."""
    from onnx import TensorProto

    if node.op_type != "DequantizeLinear" or attribute(node, "block_size", 0):
        return False
    constants = [view.constants.get(name) for name in node.input if name]
    return all(constants) and view.constants[node.input[1]].data_type == TensorProto.FLOAT


def dequantize_weights(model: ModelProto) -> int:
    """(q - zero_point) * scale, in FP64, in place; returns how many weights there were.

    INT8 weights find their grid again in `scales`.
    """
    from onnx import numpy_helper

    view = GraphView(model)
    nodes = [node for node in view.nodes if is_stored_weight(node, view)]
    for node in nodes:
        values, *parameters = (view.value(n).astype(np.float64) for n in node.input if n)
        shape = [1] * values.ndim
        if parameters[0].ndim == 1 and values.ndim:
            shape[attribute(node, "axis", 1)] = -1
        scale, zero_point = (
            p.reshape(shape) if p.size > 1 else p for p in (*parameters, np.zeros(1))[:2]
        )
        weight = ((values - zero_point) * scale).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weight, node.output[0]))
        model.graph.node.remove(node)
    return len(nodes)
