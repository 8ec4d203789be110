"""Operators that see each frame alone, written for one frame without its axis of time.

A rule makes the node on the `frame` forms (see one_frame.py), or gives None where it cannot:
the node is then made with T = 1 instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from edgevid.convert.streaming.one_frame import OneFrame, lone_time, without_axis
from edgevid.convert.streaming.operation import Operation
from edgevid.convert.streaming.rules import RULES

if TYPE_CHECKING:
    from onnx import NodeProto

    from edgevid.convert.streaming.layout import Layout

FlatRule = Callable[[Operation, OneFrame, int], "NodeProto | None"]


def add_flat(op: Operation, layouts: Sequence[Layout], one: OneFrame) -> bool:
    """Make a node's outputs in their `frame` form.

    Args:
        op: The node; every frame is treated alone.
        layouts: Of its outputs.
        one: Takes the new nodes.

    Returns:
        False where there is no rule for it; nothing was made then.
    """
    rule = _FLAT.get(op.node.op_type)
    moving = [layout for layout in op.layouts if layout is not None]
    times = {(lone_time(layout), len(layout.axes)) for layout in moving}
    if rule is None or len(layouts) != 1 or len(times) != 1 or lone_time(layouts[0]) is None:
        return False
    ((time, _),) = times
    node = None if time is None else rule(op, one, time)
    if node is None:
        return False
    node.output[0] = one.put_frame(op.node.output[0], layouts[0])
    one.new.add([node])
    return True


def _copy(op: Operation, one: OneFrame) -> NodeProto:
    """A copy that reads the `frame` forms."""
    import onnx

    copy = onnx.NodeProto()
    copy.CopyFrom(op.node)
    for i, name in enumerate(copy.input):
        if name in one.layouts:
            copy.input[i] = one.frame(name)
    return copy


def _elementwise(op: Operation, one: OneFrame, time: int) -> NodeProto | None:
    rank = len(op.out_shapes[0])
    constants: dict[int, str] = {}
    for i, layout in enumerate(op.layouts):
        own = time - rank + len(op.in_shapes[i])
        if layout is not None or not op.node.input[i] or own < 0:
            continue
        values = one.values(op.node.input[i])
        if values is None:
            return None
        constants[i] = one.new.constant(without_axis(values, time, rank))
    copy = _copy(op, one)
    for i, name in constants.items():
        copy.input[i] = name
    return copy


def _window(op: Operation, one: OneFrame, time: int) -> NodeProto | None:
    """Convolutions and poolings over space."""
    if len(op.data.axes) != 5 or time < 2:
        return None
    weight = one.values(op.node.input[1]) if op.node.op_type == "Conv" else None
    if op.node.op_type == "Conv" and weight is None:
        return None
    copy = _copy(op, one)
    set_windows(copy, time - 2)
    if weight is not None:
        copy.input[1] = one.new.constant(weight.take(0, time))
    return copy


def set_windows(node: NodeProto, index: int, *, keep: bool = False) -> None:
    """Take one spatial axis out of the attributes of a convolution or pooling.

    Args:
        node: Changed in place.
        index: Of the axis among the spatial ones.
        keep: Let it stay, for a kernel of one frame without padding.
    """
    for attribute in node.attribute:
        values = list(attribute.ints)
        if attribute.name in ("kernel_shape", "strides", "dilations"):
            values[index : index + 1] = [1] if keep else []
        elif attribute.name == "pads":
            second = index + len(values) // 2
            values[second : second + 1] = [0] if keep else []
            values[index : index + 1] = [0] if keep else []
        else:
            continue
        del attribute.ints[:]
        attribute.ints.extend(values)


def _same(op: Operation, one: OneFrame, _: int) -> NodeProto | None:
    return _copy(op, one)


def _transpose(op: Operation, one: OneFrame, time: int) -> NodeProto:
    rank = len(op.data.axes)
    order = op.attribute("perm", None) or list(range(rank))[::-1]
    copy = _copy(op, one)
    _set(copy, "perm", [i - (i > time) for i in order if i != time])
    return copy


def _along(default: int) -> FlatRule:
    def rule(op: Operation, one: OneFrame, time: int) -> NodeProto:
        axis = op.axis(default)
        copy = _copy(op, one)
        _set(copy, "axis", axis - (axis > time))
        return copy

    return rule


def _reduce(op: Operation, one: OneFrame, time: int) -> NodeProto | None:
    axes = op.integers("axes", 1)
    if axes is None:
        return None
    rank = len(op.data.axes)
    shifted = [axis % rank - (axis % rank > time) for axis in axes]
    copy = _copy(op, one)
    if len(copy.input) > 1:
        copy.input[1] = one.new.constant(shifted)
    else:
        _set(copy, "axes", shifted)
    return copy


def _set(node: NodeProto, name: str, value: int | list[int]) -> None:
    from onnx import helper

    others = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend([*others, helper.make_attribute(name, value)])


_FLAT: dict[str, FlatRule] = {
    **{op: _elementwise for op, rule in RULES.items() if rule is RULES["Add"]},
    **{op: _reduce for op, rule in RULES.items() if rule is RULES["ReduceMean"]},
    **dict.fromkeys(("AveragePool", "Conv", "LpPool", "MaxPool"), _window),
    "BatchNormalization": _same,
    "Concat": _along(0),
    "Gather": _along(0),
    "Softmax": _along(-1),
    "Transpose": _transpose,
}
