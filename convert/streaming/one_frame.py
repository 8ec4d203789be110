"""A graph over T frames, rewritten node by node for the newest frame alone.

A tensor that holds all frames is made for one in either of two forms, or in both:

    window   as it was, with T = 1               (N, C, 1, H, W)
    frame    without its axis of time            (N, C, H, W)

The second lets 3D convolutions of one frame become 2D ones, which engines run faster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edgevid.convert.graph import BATCH
from edgevid.convert.streaming.axes import Analysis, Fact
from edgevid.convert.streaming.layout import Atom, Layout, free
from edgevid.convert.streaming.nodes import Nodes
from edgevid.convert.streaming.operation import Mixes, Operation
from edgevid.convert.streaming.probe import Probe
from edgevid.spec import StateSpec
from edgevid.types import Array

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, ValueInfoProto


class NotStepped(Exception):
    """Why a model keeps its windows, as the end of a sentence."""


class NotCausal(NotStepped):
    """The same, of convolutions over time: worth telling where nobody asked."""


@dataclass
class OneFrame:
    """What the rewriting has made so far.

    Args:
        model: From uint8 `(N, T, H, W, 3)`; nodes have names, constants are initializers.
        probe: Taken on such frames.

    Attributes:
        num_frames: T.
        new: The nodes of the new graph.
        layouts: Of the tensors that hold all frames.
        picked: Tensors made of one frame alone, of graphs that are unrolled: which one, and
            their layout.
        newest: Tensors behind the end of time: of the newest frame, or of its window.
        padded: Tensors that `Pad` has put zeros before in time: what they are made of, and
            how many.
        trimmed: Tensors that have frames too much at the end: what they are without these.
        last: The frame that is picked for the answer.
        ends: States that are further tensors under another name.
        states: What the new graph hands from one call to the next.
        layers: What carries them, by kind.
    """

    model: ModelProto
    probe: Probe
    num_frames: int = 0
    layouts: dict[str, Layout] = field(default_factory=dict)
    picked: dict[str, tuple[int, Layout]] = field(default_factory=dict)
    newest: set[str] = field(default_factory=set)
    padded: dict[str, tuple[str, int]] = field(default_factory=dict)
    trimmed: dict[str, str] = field(default_factory=dict)
    states: list[StateSpec] = field(default_factory=list)
    layers: Counter[str] = field(default_factory=Counter)
    ends: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (value,) = self.model.graph.input
        batch, self.num_frames, *rest = self.probe.shapes[value.name]
        self.last = self.num_frames - 1
        self.new = Nodes(self.model)
        self.analysis = Analysis(self.num_frames, {})
        self._opset = max(o.version for o in self.model.opset_import if o.domain in ("", "ai.onnx"))
        self._weights = {tensor.name: tensor for tensor in self.model.graph.initializer}
        self._window: dict[str, str] = {}
        self._frame: dict[str, str] = {}
        axes = ((Atom("n", batch),), (Atom("t", self.num_frames),), *map(free, rest))
        self.know(value.name, Layout(axes))
        self._frame[value.name] = value.name

    def know(self, name: str, layout: Layout) -> None:
        """Note that a tensor holds all frames."""
        self.layouts[name] = layout
        self.analysis.facts[name] = Fact(layout, None, name)

    def operation(self, node: NodeProto) -> Operation:
        """A node as rules see it.

        Raises:
            Mixes: Its shapes are not known.
        """
        shapes, constants = self.probe.shapes, self.probe.constants
        if any(name not in shapes for name in (*node.input, *node.output) if name):
            raise Mixes("is an operator that is not followed")
        known = {**self.layouts, **{name: layout for name, (_, layout) in self.picked.items()}}
        return Operation(
            node=node,
            layouts=[known.get(name) for name in node.input],
            in_shapes=[shapes.get(name, ()) for name in node.input],
            out_shapes=[shapes[name] for name in node.output if name],
            constants={i: constants[n] for i, n in enumerate(node.input) if n in constants},
            opset=self._opset,
        )

    def values(self, name: str) -> Array | None:
        """Of a weight or another tensor that is the same for all frames, where they are known."""
        from onnx import numpy_helper

        if name in self._weights:
            weight: Array = numpy_helper.to_array(self._weights[name])
            return weight
        return self.probe.constants.get(name)

    def window(self, name: str) -> str:
        """Name of a tensor's form with T = 1."""
        if name not in self._window:
            layout = self.layouts[name]
            self.new.add([node := self.new.reshape(self._frame[name], layout.target(1))])
            self._window[name] = node.output[0]
        return self._window[name]

    def frame(self, name: str) -> str:
        """Name of a tensor's form without the axis of time; it must be an axis of its own."""
        if name not in self._frame:
            target = frame_target(self.layouts[name])
            self.new.add([node := self.new.reshape(self._window[name], target)])
            self._frame[name] = node.output[0]
        return self._frame[name]

    def put_window(self, name: str, layout: Layout) -> str:
        """Name under which to make a tensor with T = 1."""
        self.know(name, layout)
        self._window[name] = name
        return name

    def put_frame(self, name: str, layout: Layout) -> str:
        """Name under which to make a tensor without the axis of time."""
        self.know(name, layout)
        self._frame[name] = self.new.unique(f"{name}/frame")
        return self._frame[name]

    def same(self, name: str, source: str) -> None:
        """Let a tensor be what another one is, in one frame."""
        self.know(name, self.layouts[source])
        if source in self._window:
            self._window[name] = self._window[source]
        if source in self._frame:
            self._frame[name] = self._frame[source]

    def copied(self, node: NodeProto) -> NodeProto:
        """A copy that reads the tensors that hold all frames with T = 1."""
        import onnx

        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        for i, name in enumerate(copy.input):
            if name in self.layouts:
                copy.input[i] = self.window(name)
        return copy

    def new_state(self, kind: str, shape: Sequence[int], batch_axis: int) -> StateSpec:
        """A state of float32; the caller makes what its `output` names."""
        count = sum(s.input.startswith(f"{kind}_") for s in self.states)
        stem = f"{kind}_{count}"
        state = StateSpec(
            input=self.new.unique(f"{stem}_in"),
            output=self.new.unique(f"{stem}_out"),
            shape=tuple(shape),
            dtype="float32",
            batch_axis=batch_axis,
        )
        self.states.append(state)
        return state

    def graph(self) -> ModelProto:
        """The new graph: picture and states in, scores and states out."""
        from onnx import TensorProto, helper

        self.new.add([self.new.node("Identity", [n], output) for output, n in self.ends.items()])
        (picture,) = self.model.graph.input
        size = self.probe.shapes[picture.name][2:]
        kind = picture.type.tensor_type.elem_type
        inputs = [helper.make_tensor_value_info(picture.name, kind, [BATCH, *size])]
        outputs: list[ValueInfoProto] = []
        for state in self.states:
            shape: list[int | str] = list(state.shape)
            if state.batch_axis is not None:
                shape[state.batch_axis] = BATCH
            inputs.append(helper.make_tensor_value_info(state.input, TensorProto.FLOAT, shape))
            outputs.append(helper.make_tensor_value_info(state.output, TensorProto.FLOAT, shape))
        scores = helper.make_tensor_value_info(
            self.model.graph.output[0].name,
            TensorProto.FLOAT,
            [BATCH, self.probe.shapes[self.model.graph.output[0].name][1]],
        )
        return self.new.graph(inputs, [scores, *outputs])


def frame_target(layout: Layout) -> list[int]:
    """A Reshape target without the axis of time."""
    time = lone_time(layout)
    target = layout.target(1)
    return target if time is None else [*target[:time], *target[time + 1 :]]


def lone_time(layout: Layout) -> int | None:
    """The axis that is the time and nothing else; None where there is none such."""
    time = layout.time
    return time if time is not None and len(layout.axes[time]) == 1 else None


def drop(values: Sequence[int], index: int) -> list[int]:
    """The values without the one at `index`."""
    return [*values[:index], *values[index + 1 :]]


def without_axis(array: np.ndarray, axis: int, rank: int) -> np.ndarray:
    """A constant without the axis that meets axis `axis` of tensors of that rank."""
    own = axis - rank + array.ndim
    return array if own < 0 else np.take(array, 0, own)
