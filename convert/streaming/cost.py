"""What a node computes, in multiplications: enough to tell a backbone from a head."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from edgevid.convert.streaming.probe import Probe

if TYPE_CHECKING:
    from onnx import NodeProto

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def multiplications(node: NodeProto, probe: Probe) -> int:
    """Of one call with the shapes of `probe`; 0 for what only moves or adds values."""
    shapes = probe.shapes
    if any(name not in shapes for name in (*node.input[:2], *node.output[:1]) if name):
        return 0
    if node.op_type == "Conv":
        return prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:])
    if node.op_type == "ConvTranspose":
        return prod(shapes[node.input[0]]) * prod(shapes[node.input[1]][1:])
    if node.op_type == "MatMul":
        return prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    if node.op_type == "Gemm":
        return prod(shapes[node.input[0]]) * shapes[node.output[0]][-1]
    if node.op_type in _GATES:
        # Input (steps, batch, features); weights (directions, gates * hidden, features).
        steps, batch = shapes[node.input[0]][:2]
        directions, rows, features = shapes[node.input[1]]
        return steps * batch * directions * rows * (features + rows // _GATES[node.op_type])
    return 0
