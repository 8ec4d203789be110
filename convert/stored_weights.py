"""Weights that a file stores as integers, in a graph that computes in float.

Such a file is small, not quantised: nothing rounds its activations. Its weights become the
floats that they stand for, so that it is converted like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgevid.convert.journal import Journal
from edgevid.types import Array, Float32Array

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

_QUANTISING = (
    "QuantizeLinear",
    "DynamicQuantizeLinear",
    "ConvInteger",
    "MatMulInteger",
    "QLinearConv",
    "QLinearMatMul",
)


def unfold_stored_weights(proto: ModelProto, journal: Journal) -> None:
    """Replace integer weights and their DequantizeLinear by float32 weights, in place.

    A graph that quantises activations is left as it is.
    """
    from onnx import numpy_helper

    if any(node.op_type in _QUANTISING for node in proto.graph.node):
        return
    constants = {t.name: t for t in proto.graph.initializer}
    nodes = [n for n in proto.graph.node if _unfolds(n, constants)]
    for node in nodes:
        values = [numpy_helper.to_array(constants[name]) for name in node.input if name]
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        weight = numpy_helper.from_array(_dequantise(axis, *values), node.output[0])
        proto.graph.initializer.append(weight)
        proto.graph.node.remove(node)
    if nodes:
        _drop_unread(proto, {name for node in nodes for name in node.input})
        journal.note(
            f"{len(nodes)} weights are stored as integers in the file; they become the float32 "
            "values that they stand for."
        )


def _unfolds(node: NodeProto, constants: dict[str, TensorProto]) -> bool:
    from onnx import TensorProto

    return (
        node.op_type == "DequantizeLinear"
        and all(name in constants for name in node.input if name)
        and constants[node.input[1]].data_type == TensorProto.FLOAT
        and not any(a.name == "block_size" and a.i for a in node.attribute)
    )


def _dequantise(
    axis: int, values: Array, scale: Array, zero_point: Array | None = None
) -> Float32Array:
    """(values - zero_point) * scale, as ONNX's DequantizeLinear defines it."""

    def along(array: Array) -> Array:
        if array.size == 1:
            return array.reshape(())
        return array.reshape([-1 if i == axis % values.ndim else 1 for i in range(values.ndim)])

    whole = values.astype(np.int32)
    if zero_point is not None:
        whole = whole - along(zero_point).astype(np.int32)
    result: Float32Array = whole.astype(np.float32) * along(scale).astype(np.float32)
    return result


def _drop_unread(proto: ModelProto, names: set[str]) -> None:
    read = {name for node in proto.graph.node for name in node.input}
    kept = [t for t in proto.graph.initializer if t.name in read or t.name not in names]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(kept)
