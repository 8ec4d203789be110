"""Put Q/DQ into a graph where a placement says, with the scales that ranges give.

q = clamp(round(x / scale), -128, 127) and x' = q * scale, round to even, zero-point 0. Weights
are kept in INT8, behind a DequantizeLinear alone, so the file is a quarter of the size.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from edgevid.convert.graph import PREFIX
from edgevid.convert.quantize.centre import bias_of, centre_of
from edgevid.convert.quantize.graph_view import GraphView, drop_unused_constants
from edgevid.convert.quantize.groups import Group, Placement
from edgevid.convert.quantize.scales import ScaleType, activation_scale, quantize_weight
from edgevid.convert.quantize.weighted import Weight
from edgevid.errors import ConversionError
from edgevid.types import Array, Float32Array

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_ZERO = f"{PREFIX}int8_zero"
_PER_TENSOR = -1
_CENTRED_TENSOR = "/centred"

CENTRED = f"{_CENTRED_TENSOR}/Add"
"""What the name of an addition ends in that takes a tensor's centre off."""


class HasRange(Protocol):
    """What a range must tell."""

    @property
    def low(self) -> float:
        """Smallest value."""

    @property
    def high(self) -> float:
        """Largest value."""

    @property
    def amax(self) -> float:
        """Largest magnitude that is to be represented."""


@dataclass(frozen=True)
class _Rounding:
    """How a tensor becomes INT8: q = round((x - middle) / scale)."""

    scale: Float32Array
    middle: float


def active_groups(
    placement: Placement, ranges: Mapping[str, HasRange], keep_float: Collection[str] = ()
) -> tuple[Group, ...]:
    """The groups that become INT8: not kept in float, and with a range to get a scale from.

    A tensor that was zero in all of the calibration has no range; its group stays in float.

    Raises:
        ConversionError: `keep_float` names no group, or a tensor's range is missing.
    """
    known = {group.name for group in placement.groups}
    unknown = sorted(set(keep_float) - known)
    if unknown:
        raise ConversionError(
            f"there is no layer {unknown[0]!r} to keep in float",
            f"The quantised layers are: {', '.join(sorted(known))}",
        )
    chosen = [group for group in placement.groups if group.name not in keep_float]
    return tuple(
        group
        for group in chosen
        if all(_peak(e.tensor, placement, ranges) > 0 for e in group.edges)
    )


def insert_qdq(
    model: ModelProto,
    placement: Placement,
    ranges: Mapping[str, HasRange],
    keep_float: Collection[str] = (),
    scale_dtype: ScaleType = "float32",
) -> ModelProto:
    """A copy of `model` with Q/DQ.

    Args:
        model: The graph that `placement` was planned on.
        placement: What becomes INT8.
        ranges: Of `placement.tensors`, by name.
        keep_float: Names of groups that stay in float.
        scale_dtype: A type that must hold every scale exactly. The scales are FP32 all the
            same; `to_fp16` then gives them that type without changing a value.

    Raises:
        ConversionError: A group or a range is missing, or a weight is not finite.
    """
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    groups = active_groups(placement, ranges, keep_float)
    roundings = _roundings(groups, placement, ranges, scale_dtype)
    inserter = _Inserter(copy, groups, roundings, scale_dtype)
    for node in model.graph.node:
        inserter.add(node)
    inserter.finish()
    drop_unused_constants(copy)
    return copy


def _roundings(
    groups: Collection[Group],
    placement: Placement,
    ranges: Mapping[str, HasRange],
    scale_dtype: ScaleType,
) -> dict[str, _Rounding]:
    """Every tensor that becomes INT8; tied ones have the scale of the largest."""
    peaks = {e.tensor: _peak(e.tensor, placement, ranges) for g in groups for e in g.edges}
    for tied in placement.tied:
        here = [tensor for tensor in tied if tensor in peaks]
        peaks.update(dict.fromkeys(here, max((peaks[t] for t in here), default=0.0)))
    return {
        tensor: _rounding(
            peak, ranges.get(tensor) if tensor in placement.centrable else None, scale_dtype
        )
        for tensor, peak in peaks.items()
    }


def _rounding(peak: float, limits: HasRange | None, scale_dtype: ScaleType) -> _Rounding:
    if limits is not None:
        low, high = max(limits.low, -peak), min(limits.high, peak)
        centre = centre_of(low, high)
        if centre:
            scale = activation_scale((high - low) / 2, scale_dtype)
            # By whole steps, so that 0, the most frequent value, stays exact.
            return _Rounding(scale, float(np.rint(centre / scale) * scale))
    return _Rounding(activation_scale(peak, scale_dtype), 0.0)


def _peak(tensor: str, placement: Placement, ranges: Mapping[str, HasRange]) -> float:
    """Largest magnitude to represent; 0 where there is none."""
    bound = placement.bounds.get(tensor, np.inf)
    if tensor in ranges:
        peak = min(float(ranges[tensor].amax), bound)
        return peak if np.isfinite(peak) else 0.0
    if np.isfinite(bound):
        return float(bound)
    raise ConversionError(
        f"there is no range for {tensor!r}", "Collect ranges for all of the placement's tensors"
    )


class _Inserter:
    """Takes the nodes in order; a pair is made when its first reader comes."""

    def __init__(
        self,
        model: ModelProto,
        groups: Collection[Group],
        roundings: Mapping[str, _Rounding],
        scale_dtype: ScaleType,
    ) -> None:
        self._graph = model.graph
        self._view = GraphView(model)
        self._roundings = roundings
        self._scale_dtype = scale_dtype
        self._edges = {(e.reader, e.operand): e.tensor for g in groups for e in g.edges}
        weights = [g.weight for g in groups if g.weight is not None]
        self._weights = {(w.reader, w.operand): w for w in weights}
        self._made: dict[tuple[str, int], str] = {}
        self._row_sums: dict[str, Array] = {}
        self._biases: dict[tuple[str, int], Array] = {}
        self._nodes: list[NodeProto] = []
        self._add_constant(_ZERO, np.int8(0))

    def add(self, original: NodeProto) -> None:
        import onnx

        node = onnx.NodeProto()
        node.CopyFrom(original)
        for i in range(len(node.input)):
            operand = original.output[0], i
            if operand in self._edges:
                node.input[i] = self._activation(self._edges[operand])
            elif operand in self._weights:
                node.input[i] = self._weight(self._weights[operand])
        middle = self._middle(original.output[0])
        if middle:
            self._make_up(original, middle * self._row_sums[node.input[1]])
        for i in range(len(node.input)):
            added = self._biases.get((original.output[0], i))
            if added is not None:
                self._change_bias(node, i, added)
        self._nodes.append(node)

    def _middle(self, reader: str) -> float:
        """Around which value the first operand of a node is rounded."""
        tensor = self._edges.get((reader, 0))
        return self._roundings[tensor].middle if tensor is not None else 0.0

    def _activation(self, tensor: str) -> str:
        """The tensor rounded to INT8 and back, less its middle; one pair for all readers."""
        key = tensor, _PER_TENSOR
        if key not in self._made:
            rounding, source = self._roundings[tensor], tensor
            if rounding.middle:
                source = f"{tensor}{_CENTRED_TENSOR}"
                less = self._add_constant(f"{tensor}/less", np.float32(-rounding.middle))
                self._make("Add", [tensor, less], source)
            scale = self._add_constant(f"{tensor}/scale", rounding.scale)
            rounded, self._made[key] = f"{tensor}/int8", f"{tensor}/dequantized"
            self._make("QuantizeLinear", [source, scale, _ZERO], rounded)
            self._make("DequantizeLinear", [rounded, scale, _ZERO], self._made[key])
        return self._made[key]

    def _weight(self, weight: Weight) -> str:
        """The weight from INT8, with a scale for each output channel."""
        key = weight.name, weight.axis
        if key not in self._made:
            stem = f"{weight.name}/axis{weight.axis}"
            values = self._view.value(weight.name)
            rounded, scales = quantize_weight(values, weight.axis, self._scale_dtype, weight.name)
            operands = [
                self._add_constant(f"{stem}/int8", rounded),
                self._add_constant(f"{stem}/scale", scales),
                self._add_constant(f"{stem}/zero_point", np.zeros(len(scales), np.int8)),
            ]
            self._made[key] = f"{stem}/dequantized"
            self._make("DequantizeLinear", operands, self._made[key], axis=weight.axis)
            others = tuple(i for i in range(rounded.ndim) if i != weight.axis)
            self._row_sums[self._made[key]] = rounded.sum(axis=others, dtype=np.int64) * scales
        return self._made[key]

    def _make_up(self, node: NodeProto, lost: Array) -> None:
        """Note what the bias of a node needs, as its operand is less by its middle."""
        place = (node.output[0], 2)
        if node.op_type == "MatMul":
            place = bias_of(node.output[0], self._view) or place
        self._biases[place] = lost

    def _change_bias(self, node: NodeProto, operand: int, added: Array) -> None:
        bias = self._view.value(node.input[operand]) + added
        name = f"{node.output[0]}/bias"
        node.input[operand] = self._add_constant(name, bias.astype(np.float32))

    def _make(self, op_type: str, operands: list[str], output: str, **attributes: int) -> None:
        from onnx import helper

        name = f"{output}/{op_type}"
        self._nodes.append(helper.make_node(op_type, operands, [output], name=name, **attributes))

    def _add_constant(self, name: str, values: Any) -> str:
        from onnx import numpy_helper

        self._graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def finish(self) -> None:
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
