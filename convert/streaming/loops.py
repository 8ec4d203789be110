"""Loops over the frames, written out: one copy of the body for each turn.

    Loop, 20 turns of          ┌─► Gather 0 ─► CNN ─┐
    clip[:, t] ─► CNN    ──►   ├─► Gather 1 ─► CNN ─┼─► Concat
                               └─► ...              ┘

Exporters keep a loop of the model's own code as a Loop (TorchScript, tf2onnx) or a Scan. Inside
of it frames cannot be followed; in copies they can. Nothing is proven here: a loop written out
computes what the loop does, whatever it carries from turn to turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgevid.convert.graph import PREFIX, reads, rename
from edgevid.convert.half import name_nodes
from edgevid.convert.session import Session
from edgevid.convert.streaming.nodes import Nodes
from edgevid.convert.streaming.operation import attribute
from edgevid.types import Array

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

_LOOPS = ("Loop", "Scan")

_MIN_OPSET = 13


class NotUnrolled(Exception):
    """Why a loop stays one, as the end of a sentence."""


def moving(model: ModelProto, nodes: Iterable[NodeProto]) -> set[str]:
    """Tensors whose values, and not just shapes, depend on the model's inputs."""
    found = {value.name for value in model.graph.input}
    for node in nodes:
        if node.op_type not in ("Shape", "Size") and found & reads(node):
            found.update(node.output)
    return found


def frame_loops(model: ModelProto) -> list[NodeProto]:
    """The loops that read frames, in order; those inside of other loops are not looked at."""
    values = moving(model, model.graph.node)
    return [n for n in model.graph.node if n.op_type in _LOOPS and values & reads(n)]


def unroll(model: ModelProto, feeds: Mapping[str, Array], num_frames: int) -> ModelProto:
    """A graph in which loops of one turn for each frame are written out.

    Args:
        model: Nodes have names, constants are initializers.
        feeds: Real frames, not as many windows as a window has frames.
        num_frames: T.

    Raises:
        NotUnrolled: There is no such loop, or it takes as many turns as the frames say.
        RuntimeError: The graph fails on the frames.
    """
    loops = frame_loops(model)
    turns = _turns(model, loops, feeds)
    ours = {name for name, count in turns.items() if count == num_frames}
    if not ours:
        raise NotUnrolled(f"it takes {turns[loops[0].name]} turns, not one for each frame")
    if max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")) < _MIN_OPSET:
        raise NotUnrolled(f"it is of an operator set before {_MIN_OPSET}")
    writer = _Writer(model, num_frames)
    for node in model.graph.node:
        if node.name in ours:
            writer.write_out(node)
        else:
            writer.new.add([node])
    if writer.conditions & moving(model, writer.new.nodes):
        raise NotUnrolled("it takes as many turns as the frames say")
    return writer.new.graph(model.graph.input, model.graph.output)


def _turns(
    model: ModelProto, loops: Iterable[NodeProto], feeds: Mapping[str, Array]
) -> dict[str, int]:
    """How often each loop runs, by its name: tried out."""
    import onnx
    from onnx import TensorProto, helper

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    names = {loop.name for loop in loops}
    asked: dict[str, int] = {}
    for node in [n for n in copy.graph.node if n.name in names]:
        end = f"{PREFIX}turns_{len(asked)}"
        if node.op_type == "Scan":
            copy.graph.node.append(helper.make_node("Shape", [_scanned(node)[0]], [end]))
            asked[node.name] = attribute(node, "scan_input_axes", [0])[0]
        else:
            # One more output, which collects the number of each turn.
            body = attribute(node, "body", None)
            node.output.extend([""] * (len(body.output) - 1 - len(node.output)))
            node.output.append(numbers := f"{end}/numbers")
            body.node.append(helper.make_node("Identity", [body.input[0].name], [end]))
            body.output.append(helper.make_tensor_value_info(end, TensorProto.INT64, None))
            copy.graph.node.append(helper.make_node("Shape", [numbers], [f"{end}/count"]))
            end, asked[node.name] = f"{end}/count", 0
        copy.graph.output.append(helper.make_tensor_value_info(end, TensorProto.INT64, None))
    values = list(Session(copy).run(feeds).values())[len(model.graph.output) :]
    return {name: int(v[axis]) for v, (name, axis) in zip(values, asked.items(), strict=True)}


class _Writer:
    """Writes loops out.

    Attributes:
        conditions: What decided that there was one more turn.
    """

    def __init__(self, model: ModelProto, turns: int) -> None:
        self.new = Nodes(model)
        self.conditions: set[str] = set()
        self._turns = turns

    def write_out(self, node: NodeProto) -> None:
        """Copies of a loop's body instead of the loop."""
        body = self._without_weights(attribute(node, "body", None))
        if node.op_type == "Scan":
            self._write_scan(node, body)
        else:
            self._write_loop(node, body)

    def _write_loop(self, node: NodeProto, body: GraphProto) -> None:
        limit, condition, *carried = node.input
        count = len(carried)
        outs: list[list[str]] = []
        condition = condition or self.new.constant(np.array(True))
        self.conditions |= {limit, condition} - {""}
        for turn in range(self._turns):
            number = self.new.constant(np.array(turn, np.int64))
            ends = self._copy(node, body, turn, [number, condition, *carried])
            condition, carried = ends[0], ends[1 : 1 + count]
            self.conditions.add(condition)
            outs.append(ends[1 + count :])
        self._finish(node, carried, outs, [0] * len(outs[0]))

    def _write_scan(self, node: NodeProto, body: GraphProto) -> None:
        scanned = _scanned(node)
        carried = list(node.input)[: -len(scanned)]
        count = len(carried)
        axes = attribute(node, "scan_input_axes", [0] * len(scanned))
        backwards = attribute(node, "scan_input_directions", [0] * len(scanned))
        outs: list[list[str]] = []
        for turn in range(self._turns):
            elements = []
            for name, axis, back in zip(scanned, axes, backwards, strict=True):
                place = self._turns - 1 - turn if back else turn
                index = self.new.constant(np.array(place, np.int64))
                picked = self.new.node("Gather", [name, index], axis=axis)
                self.new.add([picked])
                elements.append(str(picked.output[0]))
            ends = self._copy(node, body, turn, [*carried, *elements])
            carried = ends[:count]
            outs.append(ends[count:])
        given = len(outs[0])
        for i, back in enumerate(attribute(node, "scan_output_directions", [0] * given)):
            if back:
                for row, value in zip(outs, [row[i] for row in outs[::-1]], strict=True):
                    row[i] = value
        self._finish(node, carried, outs, attribute(node, "scan_output_axes", [0] * given))

    def _copy(
        self, node: NodeProto, body: GraphProto, turn: int, given: Sequence[str]
    ) -> list[str]:
        """One turn's nodes; the names of what the body gives."""
        from onnx import GraphProto

        names = {value.name: name for value, name in zip(body.input, given, strict=True)}
        for inner in body.node:
            for name in filter(None, inner.output):
                names[name] = self.new.unique(f"{node.name}/{turn}/{name}")
        copy = GraphProto()
        copy.CopyFrom(body)
        rename(copy, names)
        for inner in copy.node:
            inner.name = self.new.unique(f"{node.name}/{turn}/{inner.name}")
        self.new.add(copy.node)
        return [names.get(value.name, value.name) for value in body.output]

    def _finish(
        self,
        node: NodeProto,
        carried: Sequence[str],
        outs: Sequence[Sequence[str]],
        axes: Sequence[int],
    ) -> None:
        """Make what the loop gives: what it carried last, and what it collected."""
        for name, output in zip(carried, node.output, strict=False):
            if output:
                self.new.add([self.new.node("Identity", [name], output)])
        for i, output in enumerate(node.output[len(carried) :]):
            if output:
                self.new.stack([row[i] for row in outs], axes[i], output)

    def _without_weights(self, body: GraphProto) -> GraphProto:
        """The body, whose weights are the outer graph's now, once for all turns."""
        from onnx import helper, numpy_helper

        graph = name_nodes(helper.make_model(body)).graph
        kept = {t.name: self.new.constant(numpy_helper.to_array(t)) for t in graph.initializer}
        rename(graph, kept)
        for value in graph.output:
            value.name = kept.get(value.name, value.name)
        del graph.initializer[:]
        return graph


def _scanned(node: NodeProto) -> list[str]:
    return list(node.input)[-attribute(node, "num_scan_inputs", 0) :]
