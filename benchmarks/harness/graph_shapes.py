"""Shapes and types of every tensor of a graph, for given shapes of its inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevid.errors import ModelError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, ValueInfoProto


@dataclass(frozen=True)
class Tensor:
    """Shape and element type (an `onnx.TensorProto.DataType`) of a tensor."""

    shape: tuple[int, ...]
    kind: int

    @property
    def bytes(self) -> int:
        """Size in memory; elements of fewer than eight bits are packed."""
        return math.ceil(math.prod(self.shape) * _bits(self.kind) / 8)


def tensors_of(model: ModelProto, inputs: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Every tensor whose shape can be found, those of nested graphs too.

    What ONNX's shape inference leaves open is found by running the graph once on zeros.

    Args:
        model: Without local functions.
        inputs: Shape of each input, by name.

    Raises:
        ModelError: An input is missing or does not fit.
    """
    import onnx

    fixed = _with_inputs(model, inputs)
    try:
        inferred = onnx.shape_inference.infer_shapes(fixed, data_prop=True, strict_mode=False)
    except onnx.shape_inference.InferenceError as exc:
        raise ModelError(f"these inputs do not fit the graph: {exc}") from None
    found: dict[str, Tensor] = {}
    _collect(inferred.graph, found)
    unknown = [name for node in fixed.graph.node for name in node.output if name not in found]
    if any(unknown):
        found |= _by_running(fixed, [name for name in unknown if name])
    return found


def _with_inputs(model: ModelProto, inputs: Mapping[str, Sequence[int]]) -> ModelProto:
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    # Shapes of another batch would contradict what is inferred from these.
    del copy.graph.value_info[:]
    constants = {tensor.name for tensor in copy.graph.initializer}
    for value in copy.graph.input:
        if value.name in constants:
            continue
        if value.name not in inputs:
            raise ModelError(f"no shape was given for the input {value.name!r}")
        shape, dims = inputs[value.name], value.type.tensor_type.shape.dim
        if len(dims) != len(shape):
            raise ModelError(f"input {value.name!r} takes {len(dims)} axes, not {list(shape)}")
        for dim, size in zip(dims, shape, strict=True):
            if dim.dim_value not in (0, size):
                raise ModelError(f"input {value.name!r} does not take the shape {list(shape)}")
            dim.dim_value = size
    for value in copy.graph.output:
        value.type.tensor_type.ClearField("shape")
    return copy


def _collect(graph: GraphProto, found: dict[str, Tensor]) -> None:
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = _tensor(value)
        if tensor is not None:
            found[value.name] = tensor
    for constant in graph.initializer:
        found[constant.name] = Tensor(tuple(constant.dims), constant.data_type)
    for node in graph.node:
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                _collect(body, found)


def _tensor(value: ValueInfoProto) -> Tensor | None:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        return None
    if any(not dim.HasField("dim_value") for dim in kind.shape.dim):
        return None
    return Tensor(tuple(dim.dim_value for dim in kind.shape.dim), kind.elem_type)


def _by_running(model: ModelProto, names: list[str]) -> dict[str, Tensor]:
    """Shapes of what one run gives; none where ONNX Runtime cannot run the graph."""
    import onnx
    import onnxruntime

    known = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in known)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        answers = session.run(names, _zeros(model))
    except Exception:  # ONNX Runtime's errors have no common base but this
        return {}
    return {
        name: Tensor(answer.shape, onnx.helper.np_dtype_to_tensor_dtype(answer.dtype))
        for name, answer in zip(names, answers, strict=True)
        if isinstance(answer, np.ndarray) and answer.dtype != object
    }


def _zeros(model: ModelProto) -> dict[str, Any]:
    import onnx

    constants = {tensor.name for tensor in model.graph.initializer}
    return {
        value.name: np.zeros(tensor.shape, onnx.helper.tensor_dtype_to_np_dtype(tensor.kind))
        for value in model.graph.input
        if value.name not in constants and (tensor := _tensor(value)) is not None
    }


def _bits(kind: int) -> int:
    import onnx

    narrow = {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2}
    name = onnx.TensorProto.DataType.Name(kind)
    if name in narrow:
        return narrow[name]
    return int(onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize) * 8
