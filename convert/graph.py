"""Put the arithmetic of preprocessing, and the final softmax, into the graph.

clip  uint8 (N, T, H, W, 3) BGR, or (N, T, H, W, 2) optical flow
  Cast        to float32; TensorRT takes uint8 only at an input that feeds nothing else
  Slice, Sub  each frame less the one before it, of frame differences
  Transpose   channels before height and width
  Gather      BGR to RGB, where the model was trained on RGB
  Mul, Add    x * (scale / std) - mean / std, per channel; left out where they change nothing.
              Of optical flow the same numbers decode it as well
  Transpose   where the model wants its channels last
  Reshape     where the model wants its frames stacked into the channels
  Cast        where the model's input is not float32
the model
  Cast, Reshape, Softmax or Sigmoid, as far as needed
states  of a streaming model: further inputs and outputs, untouched
scores  float32 (N, C)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevid.spec import InputSpec, OutputSpec, Spec, StateSpec
from edgevid.tracks import FLOW_BOUND
from edgevid.types import Array

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

SCORES = "scores"
BATCH = "batch"
STATES = "edgevid.states"
"""Key of the graph's metadata that says which inputs and outputs are states."""

PREFIX = "edgevid/"
"""Names of the nodes that are added begin so."""

Step = tuple[str, list[Array], dict[str, Any]]
"""A node to be: operator, constant operands, attributes."""

_CHANNELS_FIRST = {"NHWC": "NCHW", "NTHWC": "NTCHW"}


def bake(model: ModelProto, contract: Spec) -> ModelProto:
    """A graph from uint8 BGR frames to scores, with a dynamic batch; `model` is left as it is.

    Args:
        model: Takes the inputs in their own layouts and float ranges.
        contract: Describes every input, and the one output that is kept; it becomes `scores`.

    Returns:
        Inputs of the same names, uint8 `(N, K, H, W, 3)` or `(N, H, W, 3)` BGR, of optical
        flow with 2 channels (see `InputSpec.feed_shape`); the output
        `scores`, `(N, C)` float32 in [0, 1]. States stay inputs and outputs, with their names,
        shapes and types.
    """
    import onnx

    baked = onnx.ModelProto()
    baked.CopyFrom(model)
    graph = _Editor(baked)
    for spec in contract.inputs:
        graph.bake_input(spec, contract.clip.num_frames)
    graph.bake_output(contract.outputs[0], len(contract.labels))
    if contract.states:
        graph.keep_states(contract.states)
        note_states(baked, contract.states)
    # Shapes recorded for a fixed batch would contradict the new inputs.
    del baked.graph.value_info[:]
    return baked


def note_states(model: ModelProto, states: Sequence[StateSpec]) -> None:
    """Write into a graph's metadata which inputs and outputs are states."""
    kept = {p.key: p.value for p in model.metadata_props}
    kept[STATES] = json.dumps([state.model_dump() for state in states])
    del model.metadata_props[:]
    for key, value in kept.items():
        model.metadata_props.add(key=key, value=value)


def carried_states(model: ModelProto) -> tuple[StateSpec, ...]:
    """The states of a graph that `bake` made, or of one that was made from it."""
    said = next((p.value for p in model.metadata_props if p.key == STATES), "[]")
    return tuple(StateSpec.model_validate(state) for state in json.loads(said))


class _Editor:
    """Adds nodes at both ends of a graph, under names that nothing else has."""

    def __init__(self, model: ModelProto) -> None:
        self._graph: GraphProto = model.graph
        self._taken = set(all_names(model.graph))

    def bake_input(self, spec: InputSpec, num_frames: int) -> None:
        from onnx import TensorProto, helper

        value = next(v for v in self._graph.input if v.name == spec.name)
        wanted = value.type.tensor_type.elem_type
        inner = self._unique(f"{spec.name}/prepared")
        rename(self._graph, {spec.name: inner})
        if wanted == TensorProto.UINT8 and self._skip_casts(inner):
            wanted = TensorProto.FLOAT

        shape = [BATCH, *spec.feed_shape(num_frames)]
        value.CopyFrom(helper.make_tensor_value_info(spec.name, TensorProto.UINT8, shape))
        nodes = self._prepare(spec, num_frames, wanted, inner)
        old = list(self._graph.node)
        del self._graph.node[:]
        self._graph.node.extend([*nodes, *old])

    def _prepare(
        self, spec: InputSpec, num_frames: int, wanted: int, inner: str
    ) -> list[NodeProto]:
        """The nodes from the uint8 input to the tensor `inner` that the model takes."""
        from onnx import TensorProto

        frames = "NTHWC" if spec.takes_clip else "NHWC"
        first = _CHANNELS_FIRST.get(spec.axes, spec.axes)
        scale, shift = affine(spec)
        cast: Step = ("Cast", [], {"to": TensorProto.FLOAT})
        chain: list[Step] = [
            ("Transpose", [], {"perm": [frames.index(axis) for axis in first]}),
        ]
        if spec.color == "rgb" and spec.modality != "flow":
            order = np.array([2, 1, 0], np.int64)
            chain.append(("Gather", [order], {"axis": first.index("C")}))
        per_channel = [spec.channels if a == "C" else 1 for a in first[first.index("C") :]]
        if np.any(scale != 1):
            chain.append(("Mul", [scale.reshape(per_channel)], {}))
        if np.any(shift != 0):
            chain.append(("Add", [shift.reshape(per_channel)], {}))
        if first != spec.axes:
            chain.append(("Transpose", [], {"perm": [first.index(axis) for axis in spec.axes]}))
        if spec.axes != spec.layout:
            shape = np.array([0, *spec.model_shape(num_frames)], np.int64)
            chain.append(("Reshape", [shape], {}))
        if wanted != TensorProto.FLOAT:
            chain.append(("Cast", [], {"to": wanted}))
        if spec.modality != "rgb_diff":
            return self._chain(spec.name, [cast, *chain], inner)
        floats = self._unique(f"{spec.name}/floats")
        differences = self._unique(f"{spec.name}/differences")
        return [
            *self._chain(spec.name, [cast], floats),
            *self._differences(floats, len(spec.positions(num_frames)), differences),
            *self._chain(differences, chain, inner),
        ]

    def _differences(self, frames: str, count: int, end: str) -> list[NodeProto]:
        """Each of `count` frames along axis 1 less the one before it."""
        later, earlier = self._unique(f"{frames}/later"), self._unique(f"{frames}/earlier")
        return [
            *self._chain(frames, [("Slice", _slice(1, count), {})], later),
            *self._chain(frames, [("Slice", _slice(0, count - 1), {})], earlier),
            *self._chain(later, [("Sub", [], {})], end, earlier),
        ]

    def _skip_casts(self, name: str) -> bool:
        """Let those that cast the bytes `name` to float32 first thing read it as float32.

        TensorRT has bytes only at its inputs. False where something reads the bytes themselves.
        """
        from onnx import TensorProto

        readers = [node for node in self._graph.node if name in node.input]
        for node in readers:
            if node.op_type != "Cast" or node.attribute[0].i != TensorProto.FLOAT:
                return False
        for node in readers:
            self._graph.node.remove(node)
            rename(self._graph, {node.output[0]: name})
        return True

    def bake_output(self, output: OutputSpec, num_classes: int) -> None:
        from onnx import TensorProto, helper

        value = next(v for v in self._graph.output if v.name == output.name)
        elem_type = value.type.tensor_type.elem_type
        rank = len(value.type.tensor_type.shape.dim)
        chain: list[Step] = []
        if elem_type != TensorProto.FLOAT:
            chain.append(("Cast", [], {"to": TensorProto.FLOAT}))
        if rank != 2:
            chain.append(("Reshape", [np.array([-1, num_classes], np.int64)], {}))
        if output.kind == "logits":
            chain.append(("Softmax", [], {"axis": 1}))
        if output.kind == "sigmoid":
            chain.append(("Sigmoid", [], {}))
        inner = self._unique(f"{output.name}/raw")
        rename(self._graph, {output.name: inner})
        if SCORES in self._taken:
            rename(self._graph, {SCORES: self._unique(f"{SCORES}/inner")})
        if chain:
            self._graph.node.extend(self._chain(inner, chain, SCORES))
        else:
            rename(self._graph, {inner: SCORES})
        del self._graph.output[:]
        self._graph.output.append(
            helper.make_tensor_value_info(SCORES, TensorProto.FLOAT, [BATCH, num_classes])
        )

    def keep_states(self, states: Sequence[StateSpec]) -> None:
        """Make the states inputs and outputs, behind the scores; their batch axes are open."""
        from onnx import helper

        types = {value.name: value.type.tensor_type.elem_type for value in self._graph.input}
        for state in states:
            value = next(v for v in self._graph.input if v.name == state.input)
            elem_type = types[state.input]
            shape: list[int | str] = list(state.shape)
            if state.batch_axis is not None:
                shape[state.batch_axis] = BATCH
            value.CopyFrom(helper.make_tensor_value_info(state.input, elem_type, shape))
            self._graph.output.append(helper.make_tensor_value_info(state.output, elem_type, shape))

    def _chain(self, start: str, chain: list[Step], end: str, *others: str) -> list[NodeProto]:
        """Nodes one after the other; the first has `others` for operands as well."""
        from onnx import helper, numpy_helper

        nodes: list[NodeProto] = []
        current = start
        for i, (op, constants, attributes) in enumerate(chain):
            name = self._unique(f"{PREFIX}{start}/{op}")
            operands = [current, *(others if i == 0 else ())]
            for constant in constants:
                operands.append(self._unique(f"{name}/constant"))
                self._graph.initializer.append(numpy_helper.from_array(constant, operands[-1]))
            current = end if i == len(chain) - 1 else self._unique(f"{name}/output")
            nodes.append(helper.make_node(op, operands, [current], name=name, **attributes))
        return nodes

    def _unique(self, name: str) -> str:
        candidate, number = name, 1
        while candidate in self._taken:
            number += 1
            candidate = f"{name}_{number}"
        self._taken.add(candidate)
        return candidate


def affine(spec: InputSpec) -> tuple[Array, Array]:
    """`a` and `b`, `(channels,)` float32, of (value * scale - mean) / std = a * byte + b.

    A byte of optical flow stands for a value of byte * 40 / 255 - 20 pixels.
    """
    mean, std = np.array(spec.mean), np.array(spec.std)
    slope, start = (2 * FLOW_BOUND / 255, -FLOW_BOUND) if spec.modality == "flow" else (1.0, 0.0)
    scale, shift = spec.scale * slope, spec.scale * start - mean
    return (scale / std).astype(np.float32), (shift / std).astype(np.float32)


def _slice(start: int, stop: int) -> list[Array]:
    """Operands of a Slice along axis 1."""
    return [np.array([number], np.int64) for number in (start, stop, 1)]


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """The nested graphs of an If, Loop or Scan."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def reads(node: NodeProto) -> set[str]:
    """Every tensor that a node reads, in nested graphs too."""
    names = set(node.input)
    for graph in subgraphs(node):
        names.update(value.name for value in graph.output)
        for inner in graph.node:
            names |= reads(inner)
    return names - {""}


def all_names(graph: GraphProto) -> Iterator[str]:
    """Every tensor and node name, those of nested graphs too."""
    for value in (*graph.input, *graph.output, *graph.initializer):
        yield value.name
    for node in graph.node:
        yield from (node.name, *node.input, *node.output)
        for inner in subgraphs(node):
            yield from all_names(inner)


def rename(graph: GraphProto, names: Mapping[str, str]) -> None:
    """Give tensors other names wherever nodes make or take them; nested graphs see them too."""
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    for node in graph.node:
        for operands in (node.input, node.output):
            for i, name in enumerate(operands):
                operands[i] = names.get(name, name)
        for inner in subgraphs(node):
            for value in inner.output:
                value.name = names.get(value.name, value.name)
            rename(inner, names)
