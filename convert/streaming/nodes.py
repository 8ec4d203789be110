"""Nodes for a new graph that takes its weights from an old one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from edgevid.convert.graph import PREFIX, all_names, reads
from edgevid.convert.streaming.cut import ancestors
from edgevid.convert.streaming.layout import Atom, Layout
from edgevid.types import Array

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, ValueInfoProto

FEATURES = "features"


class Nodes:
    """Collects nodes for a new graph beside the weights of an old one."""

    def __init__(self, model: ModelProto) -> None:
        self._model = model
        self._taken = set(all_names(model.graph))
        self._constants: dict[str, Array] = {}
        self.nodes: list[NodeProto] = []

    def add(self, nodes: Sequence[NodeProto]) -> None:
        self.nodes += nodes

    def unique(self, name: str) -> str:
        candidate, number = name, 1
        while candidate in self._taken:
            number += 1
            candidate = f"{name}_{number}"
        self._taken.add(candidate)
        return candidate

    def constant(self, values: Sequence[int] | Array) -> str:
        """Name of an initializer; whole numbers become int64."""
        name = self.unique(f"{PREFIX}streaming/constant")
        array = values if isinstance(values, np.ndarray) else np.array(values, np.int64)
        self._constants[name] = array
        return name

    def node(
        self, op: str, operands: Sequence[str], output: str | None = None, **attributes: object
    ) -> NodeProto:
        from onnx import helper

        name = self.unique(f"{PREFIX}streaming/{op}")
        end = output or self.unique(f"{name}/output")
        return helper.make_node(op, operands, [end], name=name, **attributes)

    def reshape(self, name: str, target: Sequence[int], output: str | None = None) -> NodeProto:
        return self.node("Reshape", [name, self.constant(target)], output)

    def stack(self, names: Sequence[str], axis: int, output: str) -> None:
        """Tensors of one shape side by side, along an axis of their own."""
        place = self.constant([axis])
        rows = [self.node("Unsqueeze", [name, place]) for name in names]
        self.add([*rows, self.node("Concat", [r.output[0] for r in rows], output, axis=axis)])

    def rows(self, name: str, layout: Layout, shape: Sequence[int]) -> None:
        """From a tensor with T = 1 to `features`, `(N, ...)`."""
        parts = _parts(layout, time=False)
        batch = next(i for i, atom in enumerate(parts) if atom.label == "n")
        if batch > 0:
            sizes = [-1 if atom.label else atom.size for atom in parts]
            order = [batch, *(i for i in range(len(parts)) if i != batch)]
            self.add([exploded := self.reshape(name, sizes)])
            self.add([moved := self.node("Transpose", [exploded.output[0]], perm=order)])
            name = moved.output[0]
        self.add([self.reshape(name, [-1, *shape], FEATURES)])

    def restore(self, name: str, layout: Layout, num_frames: int, frame: int | None) -> None:
        """The tensor `name` of the whole graph from `features`, `(N, T, ...)`."""
        source = FEATURES
        if frame is not None:
            index = self.constant(np.array(frame, np.int64))
            self.add([picked := self.node("Gather", [source, index], axis=1)])
            source = picked.output[0]
        labels = [atom.label for atom in _parts(layout, time=frame is None)]
        # Features are stored as batch, time, the rest; sorting keeps the order of the rest.
        stored = sorted(range(len(labels)), key=lambda i: ("n", "t", "").index(labels[i]))
        order = [stored.index(i) for i in range(len(labels))]
        if all(labels):
            order.append(len(order))  # of a single number a frame, stored as (N, T, 1)
        if order != sorted(order):
            self.add([moved := self.node("Transpose", [source], perm=order)])
            source = moved.output[0]
        self.add([self.reshape(source, layout.target(num_frames), name)])

    @property
    def made(self) -> set[str]:
        """Every tensor that the nodes so far make."""
        return {name for node in self.nodes for name in node.output}

    def spread(self, constant: str, rows: Collection[int], like: str, rank: int) -> str:
        """A constant repeated along the axes `rows`, as often as `like` is long there."""
        mask = [int(axis in rows) for axis in range(rank)]
        others = self.constant([1 - masked for masked in mask])
        self.add([sizes := self.node("Shape", [like])])
        self.add([kept := self.node("Mul", [sizes.output[0], self.constant(mask)])])
        self.add([target := self.node("Add", [kept.output[0], others])])
        self.add([full := self.node("Expand", [constant, target.output[0]])])
        return str(full.output[0])

    def shape_of(self, name: str, layout: Layout, part: slice) -> None:
        """The shape of a tensor before the cut, or part of it, from the batch of `features`."""
        open_axes = [any(atom.label == "n" for atom in axis) for axis in layout.axes]
        per_clip = [prod(a.size for a in axis if a.label != "n") for axis in layout.axes]
        both = list(zip(per_clip, open_axes, strict=True))[part]
        factors = self.constant([size if is_open else 0 for size, is_open in both])
        fixed = self.constant([0 if is_open else size for size, is_open in both])
        self.add([sizes := self.node("Shape", [FEATURES])])
        self.add([batch := self.node("Gather", [sizes.output[0], self.constant([0])])])
        self.add([scaled := self.node("Mul", [batch.output[0], factors])])
        self.add([self.node("Add", [scaled.output[0], fixed], name)])

    def graph(
        self, inputs: Sequence[ValueInfoProto], outputs: Sequence[ValueInfoProto]
    ) -> ModelProto:
        """The whole, without nodes and weights that nothing reads."""
        import onnx
        from onnx import numpy_helper

        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        graph = model.graph
        weights = {tensor.name: tensor for tensor in self._model.graph.initializer}
        made = {n: numpy_helper.from_array(a, n) for n, a in self._constants.items()}
        for part in (graph.node, graph.input, graph.output, graph.initializer, graph.value_info):
            del part[:]
        graph.input.extend(inputs)
        graph.output.extend(outputs)
        graph.node.extend(self.nodes)
        used = ancestors(model, [value.name for value in graph.output])
        read = {name for node in used for name in reads(node)}
        del graph.node[:]
        graph.node.extend(used)
        graph.initializer.extend(t for n, t in {**weights, **made}.items() if n in read)
        return model


def _parts(layout: Layout, *, time: bool) -> list[Atom]:
    """The atoms that are more than a 1, and the batch."""
    kept = ("n", "t") if time else ("n",)
    return [a for a in layout.atoms if a.label in kept or (not a.label and a.size > 1)]
