"""What one call of a graph costs: operations, weights, and bytes through memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from edgevid.benchmarks.harness.graph_shapes import Tensor, tensors_of
from edgevid.benchmarks.harness.op_flops import attributes, matrix_flops

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

Numbers = Literal["fp32", "fp16", "int8"]

_NO_MEMORY = {
    "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Dropout",
    # The consumer reads the eight-bit tensor behind it.
    "DequantizeLinear",
}  # fmt: skip
_POINTWISE = {
    "Abs", "Add", "And", "BatchNormalization", "Cast", "Ceil", "Celu", "Clip", "Cos", "Div", "Elu",
    "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish",
    "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Min", "Mish", "Mul", "Neg", "Not", "Or",
    "PRelu", "Pow", "QuantizeLinear", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign",
    "Sin", "Softplus", "Softsign", "Sqrt", "Sub", "Swish", "Tanh", "ThresholdedRelu", "Where",
}  # fmt: skip
_INTEGER = {"ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul", "DynamicQuantizeMatMul"}


@dataclass
class Layer:
    """Nodes that an engine would compute in one pass over memory.

    A node that works on single elements belongs to the node before it, where nothing else reads
    what is between them.

    Attributes:
        kind: Operator of the first node.
        flops: Operations, a multiply-add counts two; matrix products alone.
        numbers: What they are computed in.
        bytes: Read and written, each tensor once.
    """

    kind: str
    flops: float = 0.0
    numbers: Numbers = "fp32"
    bytes: float = 0.0


@dataclass(frozen=True)
class GraphCost:
    """Cost of one call.

    Attributes:
        layers: In the order of the graph.
        flops_by_kind: Operations by operator.
        weight_bytes: As stored.
        io_bytes: Of the graph's inputs and outputs.
        uncounted: Operators whose operations could not be counted, and how often.
    """

    layers: tuple[Layer, ...]
    flops_by_kind: Mapping[str, float]
    weight_bytes: int
    io_bytes: int
    uncounted: Mapping[str, int] = field(default_factory=dict)

    @property
    def flops(self) -> float:
        """Of everything."""
        return sum(layer.flops for layer in self.layers)

    @property
    def least_bytes(self) -> int:
        """What no engine can spare: every weight and input once, every output once."""
        return self.weight_bytes + self.io_bytes

    @property
    def layer_bytes(self) -> float:
        """Where everything between two layers goes through memory."""
        return sum(layer.bytes for layer in self.layers)


def count_graph(model: ModelProto, inputs: Mapping[str, Sequence[int]]) -> GraphCost:
    """Count one call.

    Args:
        model: Its weights may be missing; only their shapes are taken.
        inputs: Shape of each input, by name, batch included.

    Raises:
        ModelError: An input is missing or does not fit.
    """
    import onnx.inliner

    model = onnx.inliner.inline_local_functions(model)
    tensors = tensors_of(model, inputs)
    counted = _Count(model.graph, tensors)
    ends = {*inputs, *(value.name for value in model.graph.output)}
    return GraphCost(
        tuple(counted.layers),
        dict(counted.flops_by_kind),
        sum(tensors[name].bytes for name in counted.weights if name in tensors),
        sum(tensors[name].bytes for name in ends if name in tensors),
        dict(counted.uncounted),
    )


class _Count:
    """Goes through a graph once, in its order."""

    def __init__(
        self,
        graph: GraphProto,
        tensors: Mapping[str, Tensor],
        repeats: int = 1,
        constants: frozenset[str] = frozenset(),
    ) -> None:
        self._tensors = tensors
        self._repeats = repeats
        self._made_by: dict[str, Layer] = {}
        self._stands_for: dict[str, str] = {}
        self._maker = {name: node for node in graph.node for name in node.output}
        self._constant = {*constants, *(tensor.name for tensor in graph.initializer)}
        self._readers = Counter(name for node in graph.node for name in node.input)
        self._readers.update(value.name for value in graph.output)
        self._outputs = {value.name for value in graph.output}
        self._reads: dict[int, set[str]] = defaultdict(set)
        self._writes: dict[int, set[str]] = defaultdict(set)
        self.layers: list[Layer] = []
        self.flops_by_kind: Counter[str] = Counter()
        self.weights: set[str] = set()
        self.uncounted: Counter[str] = Counter()
        for node in graph.node:
            self._take(node)
        self._add_bytes()

    def _take(self, node: NodeProto) -> None:
        names = [name for name in node.input if name]
        if all(name in self._constant for name in names) and not _bodies(node):
            self._fold(node, names)
        elif node.op_type in _NO_MEMORY:
            self._stands_for[node.output[0]] = self._behind(node.input[0])
            if node.input[0] in self._made_by:
                self._made_by[node.output[0]] = self._made_by[node.input[0]]
        else:
            layer = self._layer(node)
            self._compute(node, layer)
            self._reads[id(layer)].update(self._behind(name) for name in names)
            for name in filter(None, node.output):
                self._made_by[name] = layer
                self._writes[id(layer)].add(name)

    def _fold(self, node: NodeProto, names: list[str]) -> None:
        """A node on constants alone is computed beforehand; the stored weight stays what it is."""
        self._constant.update(node.output)
        if len(names) and node.op_type in _NO_MEMORY:
            self._stands_for[node.output[0]] = self._behind(names[0])

    def _layer(self, node: NodeProto) -> Layer:
        if node.op_type in _POINTWISE:
            for name in node.input:
                if name in self._made_by and self._readers[name] == 1:
                    return self._made_by[name]
        layer = Layer(node.op_type)
        self.layers.append(layer)
        return layer

    def _compute(self, node: NodeProto, layer: Layer) -> None:
        for body, times in self._nested(node):
            inner = self._inside(body, self._repeats * times)
            self.layers += inner.layers
            self.flops_by_kind += inner.flops_by_kind
            self.weights |= inner.weights
            self.uncounted += inner.uncounted
        try:
            flops = matrix_flops(node, lambda name: self._tensors[name].shape)
        except (KeyError, ValueError):
            self.uncounted[node.op_type] += 1
            return
        if flops is not None:
            layer.flops += flops * self._repeats
            layer.numbers = self._numbers(node)
            self.flops_by_kind[node.op_type] += int(flops * self._repeats)

    def _inside(self, body: GraphProto, repeats: int) -> _Count:
        return _Count(body, self._tensors, repeats, frozenset(self._constant))

    def _numbers(self, node: NodeProto) -> Numbers:
        from onnx import TensorProto

        if node.op_type in _INTEGER or all(self._dequantised(name) for name in node.input[:2]):
            return "int8"
        tensor = self._tensors.get(node.input[0])
        half = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
        return "fp16" if tensor is not None and tensor.kind in half else "fp32"

    def _dequantised(self, name: str) -> bool:
        maker = self._maker.get(name)
        while maker is not None and maker.op_type in (*_NO_MEMORY, "Transpose"):
            if maker.op_type == "DequantizeLinear":
                return True
            maker = self._maker.get(maker.input[0])
        return False

    def _nested(self, node: NodeProto) -> Iterator[tuple[GraphProto, int]]:
        """Bodies of Scan and If with how often they run; a Loop's count is in its data."""
        bodies = _bodies(node)
        if node.op_type == "Scan":
            first = len(node.input) - attributes(node)["num_scan_inputs"]
            axis = attributes(node).get("scan_input_axes", [0])[0]
            tensor = self._tensors.get(node.input[first])
            if tensor is not None:
                yield bodies["body"], tensor.shape[axis]
                return
        elif node.op_type == "If":
            yield max(bodies.values(), key=lambda body: self._inside(body, 1).flops), 1
            return
        if bodies:
            self.uncounted[node.op_type] += 1

    @property
    def flops(self) -> float:
        return sum(layer.flops for layer in self.layers)

    def _behind(self, name: str) -> str:
        return self._stands_for.get(name, name)

    def _add_bytes(self) -> None:
        read_by_others: set[str] = set()
        for layer in self.layers:
            own = {self._behind(name) for name in self._writes[id(layer)]}
            read_by_others |= self._reads[id(layer)] - own
        for layer in self.layers:
            own = self._writes[id(layer)]
            reads = self._reads[id(layer)] - own
            writes = own & (read_by_others | {self._behind(name) for name in self._outputs})
            self.weights |= {name for name in reads if name in self._constant}
            sizes = (self._tensors[name].bytes for name in reads | writes if name in self._tensors)
            layer.bytes += sum(sizes) * self._repeats


def _bodies(node: NodeProto) -> dict[str, GraphProto]:
    return {a.name: a.g for a in node.attribute if a.HasField("g")}
