"""Bring a graph into the form that Q/DQ are placed on.

Every node gets a name of its own, and constants become initializers, those that are stored as
integers behind a DequantizeLinear too. A BatchNormalization behind a convolution goes into its
weights: it would stand between the convolution and the Q/DQ behind its activation, and the
three could not become one INT8 kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgevid.convert.half import name_nodes
from edgevid.convert.quantize.graph_view import GraphView, attribute, drop_unused_constants
from edgevid.convert.stored_weights import dequantize_weights
from edgevid.types import Array

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_EPSILON = 1e-5
"""ONNX's default for BatchNormalization."""


def prepare(model: ModelProto) -> ModelProto:
    """A copy to collect ranges on and to place Q/DQ in; `model` is left as it is."""
    prepared = name_nodes(model)
    dequantize_weights(prepared)
    view = GraphView(prepared)
    for norm in view.nodes:
        conv = _foldable(norm, view)
        if conv is not None:
            _fold(prepared, conv, norm, view)
    # Tensors that it records may be gone.
    del prepared.graph.value_info[:]
    drop_unused_constants(prepared)
    return prepared


def _foldable(norm: NodeProto, view: GraphView) -> NodeProto | None:
    """The convolution in front of `norm` that can take it up."""
    from onnx import TensorProto

    if norm.op_type != "BatchNormalization" or attribute(norm, "training_mode", 0):
        return None
    conv = view.producers.get(norm.input[0])
    if conv is None or conv.op_type not in ("Conv", "ConvTranspose"):
        return None
    parameters = [*conv.input[1:], *norm.input[1:]]
    constant = all(
        name in view.constants and view.constants[name].data_type == TensorProto.FLOAT
        for name in parameters
        if name
    )
    return conv if constant and view.only_reader(norm.input[0]) is not None else None


def _fold(model: ModelProto, conv: NodeProto, norm: NodeProto, view: GraphView) -> None:
    """w * g and (b - mean) * g + beta, with g = gamma / sqrt(variance + epsilon), in FP64."""
    from onnx import numpy_helper

    def values(name: str) -> Array:
        return view.value(name).astype(np.float64)

    gamma, beta, mean, variance = (values(name) for name in norm.input[1:5])
    gain = gamma / np.sqrt(variance + attribute(norm, "epsilon", _EPSILON))
    bias = values(conv.input[2]) if len(conv.input) > 2 and conv.input[2] else 0.0
    weight = _scale_outputs(conv, values(conv.input[1]), gain)
    folded = {"weight": weight, "bias": (bias - mean) * gain + beta}
    names = {kind: f"{norm.output[0]}/folded_{kind}" for kind in folded}
    for kind, array in folded.items():
        tensor = numpy_helper.from_array(array.astype(np.float32), names[kind])
        model.graph.initializer.append(tensor)
    operands = [conv.input[0], names["weight"], names["bias"]]
    del conv.input[:]
    conv.input.extend(operands)
    conv.output[0] = norm.output[0]
    model.graph.node.remove(norm)


def _scale_outputs(conv: NodeProto, weight: Array, gain: Array) -> Array:
    """`weight` with every output channel times its gain.

    Conv has `(M, C / group, ...)`, ConvTranspose `(C, M / group, ...)`.
    """
    rest = (1,) * (weight.ndim - 2)
    if conv.op_type == "Conv":
        split, gains = weight, gain.reshape(-1, 1, *rest)
    else:
        groups = attribute(conv, "group", 1)
        split = weight.reshape(groups, -1, *weight.shape[1:])
        gains = gain.reshape(groups, 1, -1, *rest)
    scaled: Array = split * gains
    return scaled.reshape(weight.shape)
