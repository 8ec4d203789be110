"""Use the whole of INT8 for activations that lie on one side of zero.

TensorRT's INT8 is symmetric, so what a ReLU makes, in [0, a], gets 127 of 255 levels. Around
its centre c the same values fill all of them:

    y = W x + b = W (x - c) + (b + c * sum(W))

which is exact, wherever every output adds up whole rows of W: products, and convolutions
without padding, such as those of 1 x 1 behind a depthwise convolution. The subtraction joins
the pointwise work that makes x. Where an INT8 convolution makes x, the kernel that it becomes
together with its activation and Q would break apart: such tensors stay as they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from edgevid.convert.quantize.graph_view import GraphView, attribute
from edgevid.convert.quantize.groups import Edge, Group
from edgevid.convert.quantize.weighted import Weight

_WORTHWHILE = 0.75
"""Centre where that brings the largest magnitude down to this share, or below."""

_ACTIVATIONS = ("Clip", "HardSwish", "LeakyRelu", "Relu", "Sigmoid", "Tanh")


def centre_of(low: float, high: float) -> float:
    """The value to round [low, high] around: 0 where another would not help."""
    helps = high - low <= 2 * _WORTHWHILE * max(-low, high)
    return (low + high) / 2 if helps else 0.0


def find_centrable(
    groups: Sequence[Group], tied: Sequence[frozenset[str]], view: GraphView
) -> frozenset[str]:
    """Tensors that may be rounded around another value: what a constant in them changes is
    the bias of each of their readers, and nothing else."""
    weights = {g.weight.reader: g.weight for g in groups if g.weight is not None}
    shared = {tensor for tensors in tied for tensor in tensors}
    readers: dict[str, list[Edge]] = defaultdict(list)
    for edge in (e for g in groups for e in g.edges):
        readers[edge.tensor].append(edge)
    return frozenset(
        tensor
        for tensor, edges in readers.items()
        if tensor not in shared
        and _source(tensor, view) not in weights
        and all(_takes_constant(edge, weights.get(edge.reader), view) for edge in edges)
    )


def bias_of(product: str, view: GraphView) -> tuple[str, int] | None:
    """The Add of a constant behind a MatMul: its output, and which operand the constant is."""
    add = view.only_reader(product)
    if add is None or add.op_type != "Add":
        return None
    constants = [i for i, name in enumerate(add.input) if name in view.constants]
    return (add.output[0], constants[0]) if constants else None


def _source(tensor: str, view: GraphView) -> str:
    """What `tensor` was before activation functions."""
    producer = view.producers.get(tensor)
    while producer is not None and producer.op_type in _ACTIVATIONS:
        tensor = producer.input[0]
        producer = view.producers.get(tensor)
    return tensor


def _takes_constant(edge: Edge, weight: Weight | None, view: GraphView) -> bool:
    node = view.producers[edge.reader]
    if weight is None or (edge.operand, weight.operand) != (0, 1):
        return False
    constant_bias = len(node.input) > 2 and node.input[2] in view.constants
    if node.op_type == "Conv":
        open_ends = attribute(node, "auto_pad", b"NOTSET") in (b"NOTSET", b"VALID")
        return constant_bias and open_ends and not any(attribute(node, "pads", []))
    if node.op_type == "Gemm":
        plain = all(attribute(node, name, 1.0) == 1.0 for name in ("alpha", "beta"))
        return constant_bias and plain and not attribute(node, "transA", 0)
    flat = len(view.constants[weight.name].dims) == 2
    return node.op_type == "MatMul" and flat and bias_of(edge.reader, view) is not None
