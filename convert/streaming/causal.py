"""Convolutions over time that need the past alone, for one frame with states.

A kernel of 3 frames a, b, c (a meets the oldest) over frames x:

    y(t) = c x(t) + b x(t-1) + a x(t-2)

Each frame is convolved once with every part of the kernel; sums wait for the frames to come:

    y(t)  = c x(t) + s1(t-1)          s1, s0 are the states: zeros at first, as the zeros that
    s1(t) = b x(t) + s0(t-1)          the window is padded with
    s0(t) = a x(t)

The parts are 2D convolutions of one frame, which engines run faster than 3D ones. With a
dilation d, a sum waits for d frames.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from edgevid.convert.streaming.flat_rules import set_windows
from edgevid.convert.streaming.layout import Layout, free, is_row
from edgevid.convert.streaming.one_frame import NotCausal, NotStepped, OneFrame, lone_time
from edgevid.convert.streaming.operation import Mixes, Operation

if TYPE_CHECKING:
    from onnx import NodeProto

CONVOLUTION = "temporal convolution"
_END = np.iinfo(np.int64).max


def add_convolution(op: Operation, one: OneFrame) -> bool:
    """A convolution over time whose padding stands before the first frame."""
    if op.node.op_type != "Conv":
        return False
    source, before = one.padded.get(op.node.input[0], (op.node.input[0], 0))
    layout = one.layouts.get(source)
    time = None if layout is None else lone_time(layout)
    if layout is None or time is None or time < 2:
        return False
    dilation, after = _reach(op, time, before)
    weights = one.values(op.node.input[1])
    if weights is None:
        raise Mixes("has weights that are calculated")
    parts = _convolved(op, one, source, time, weights)
    total = parts[0]
    for part in parts[1:]:
        total = _sum_with_past(one, total, part, dilation, op.out_shapes[0], time)
    name = op.node.output[0]
    if after:
        one.trimmed[name] = inner = one.new.unique(f"{name}/trimmed")
        name = inner
    axes = [a if is_row(a) else free(n) for a, n in zip(layout.axes, op.out_shapes[0], strict=True)]
    put = one.put_frame if len(axes) == 5 else one.put_window
    one.new.add([one.new.node("Identity", [total], put(name, Layout(tuple(axes))))])
    one.layers[CONVOLUTION] += 1
    return True


def _reach(op: Operation, time: int, before: int) -> tuple[int, int]:
    """The dilation over time, and how many frames too long the result is.

    Args:
        op: The convolution.
        time: The axis of its input that is the time.
        before: Zeros that stand before the first frame already.
    """
    i, rank = time - 2, len(op.in_shapes[1]) - 2
    what = f"{op.node.op_type} {op.node.name!r}"
    if op.attribute("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise NotCausal(f"{what} looks ahead: its padding over time is not causal (auto_pad)")
    stride = (op.attribute("strides", None) or [1] * rank)[i]
    if stride != 1:
        raise NotCausal(f"{what} skips frames: its stride over time is {stride}")
    dilation = (op.attribute("dilations", None) or [1] * rank)[i]
    pads = op.attribute("pads", None) or [0] * 2 * rank
    span = op.in_shapes[1][time]
    reach, before, after = (span - 1) * dilation, before + pads[i], pads[i + rank]
    if before < reach:
        ahead = min(reach - before, after)
        plural = "s" * (ahead > 1)
        how = f"looks {ahead} frame{plural} ahead" if ahead else "has no padding"
        raise NotCausal(f"{what} over {span} frames {how}: its padding over time is not causal")
    if before > reach:
        raise NotCausal(f"{what} pads {before} frames, more than the {reach} that it reaches back")
    return dilation, after


def _convolved(
    op: Operation, one: OneFrame, source: str, time: int, weights: np.ndarray
) -> list[str]:
    """The newest frame convolved with each part of the kernel, the oldest frame's first."""
    import onnx

    flat = weights.ndim == 5
    names = []
    for k in range(weights.shape[time]):
        node = onnx.NodeProto()
        node.CopyFrom(op.node)
        node.name = one.new.unique(f"{op.node.name}/{k}")
        part = weights.take(k, time) if flat else weights.take([k], time)
        node.input[0] = one.frame(source) if flat else one.window(source)
        node.input[1] = one.new.constant(part)
        # The bias counts once.
        del node.input[2 if k < weights.shape[time] - 1 else 3 :]
        set_windows(node, time - 2, keep=not flat)
        node.output[0] = one.new.unique(f"{op.node.output[0]}/{k}")
        one.new.add([node])
        names.append(node.output[0])
    return names


def _sum_with_past(
    one: OneFrame, total: str, part: str, wait: int, shape: tuple[int, ...], time: int
) -> str:
    """`part` and what `total` was `wait` frames ago; `total` becomes a state."""
    size = [1, *shape[1:time], *shape[time + 1 :]] if len(shape) == 5 else [1, *shape[1:]]
    if len(shape) != 5:
        size[time] = 1
    if wait == 1:
        state = one.new_state("sum", size, batch_axis=0)
        one.new.add([one.new.node("Identity", [total], state.output)])
        past = state.input
    else:
        state = one.new_state("sums", [1, wait, *size[1:]], batch_axis=0)
        one.new.add([newest := one.new.reshape(total, [-1, 1, *size[1:]])])
        ring = push(one, state.input, newest.output[0], state.output)
        one.new.add([oldest := one.new.node("Slice", [ring, *_constants(one, [0], [1], [1])])])
        one.new.add([waited := one.new.reshape(oldest.output[0], [-1, *size[1:]])])
        past = waited.output[0]
    one.new.add([added := one.new.node("Add", [part, past])])
    return str(added.output[0])


def push(one: OneFrame, ring: str, newest: str, shortened: str) -> str:
    """`ring` and `newest` along axis 1; makes `shortened`, the same without the oldest."""
    one.new.add([longer := one.new.node("Concat", [ring, newest], axis=1)])
    bounds = _constants(one, [1], [_END], [1])
    one.new.add([one.new.node("Slice", [longer.output[0], *bounds], shortened)])
    return str(longer.output[0])


def _constants(one: OneFrame, *values: list[int]) -> list[str]:
    return [one.new.constant(value) for value in values]


def add_padding(op: Operation, one: OneFrame) -> bool:
    """Zeros before the first frame, as a convolution behind them needs; others over space."""
    if op.node.op_type != "Pad" or op.node.input[0] not in one.layouts:
        return False
    time, rank = lone_time(op.data), len(op.data.axes)
    pads = _pads(op, rank)
    if time is None or op.attribute("mode", b"constant") != b"constant":
        return False
    fill = one.values(op.node.input[2]) if len(op.node.input) > 2 and op.node.input[2] else None
    if pads[time] < 1 or pads[time + rank] or (fill is not None and fill.any()):
        return False
    source, before = op.node.input[0], pads[time]
    pads[time] = 0
    if any(pads):
        axes = [
            a if is_row(a) else free(n) for a, n in zip(op.data.axes, op.out_shapes[0], strict=True)
        ]
        inner = one.new.unique(f"{op.node.output[0]}/inner")
        operands = [one.window(source), one.new.constant(pads)]
        source = inner
        one.new.add([one.new.node("Pad", operands, one.put_window(inner, Layout(tuple(axes))))])
    one.padded[op.node.output[0]] = source, before
    return True


def _pads(op: Operation, rank: int) -> list[int]:
    pads = op.integers("pads", 1) or []
    axes = op.integers("axes", 3)
    if axes is None:
        return list(pads)
    full = [0] * 2 * rank
    for i, axis in enumerate(axes):
        full[axis % rank], full[axis % rank + rank] = pads[i], pads[i + len(axes)]
    return full


def add_trimming(op: Operation, one: OneFrame) -> bool:
    """A Slice that takes off what a convolution that was padded at both ends has too much."""
    inner = one.trimmed.get(op.node.input[0])
    if op.node.op_type != "Slice" or inner is None:
        return False
    time = lone_time(one.layouts[inner])
    rank = len(op.in_shapes[0])
    starts, axes = op.integers("starts", 1) or [], op.integers("axes", 3)
    taken = [axis % rank for axis in axes or range(len(starts))]
    fits = taken == [time] and starts == [0] and op.out_shapes[0][taken[0]] == one.num_frames
    if not fits:
        return False
    one.same(op.node.output[0], inner)
    return True


def add_mean(op: Operation, one: OneFrame) -> bool:
    """The mean over the window, and over more axes where it is taken over them too.

    The means of the last T - 1 frames are a state; so is their number, as a window that has
    just begun is shorter.
    """
    if op.node.op_type not in ("AveragePool", "GlobalAveragePool", "ReduceMean"):
        return False
    time = lone_time(op.data)
    if time is None or not _is_over(op, time, one.num_frames):
        return False
    if any(name in one.layers for name in ("LSTM", "GRU", "RNN")):
        raise NotStepped(
            f"{op.node.op_type} {op.node.name!r} takes the mean over the outputs of a recurrent "
            "layer, not the last"
        )
    shape = op.out_shapes[0]
    size = prod(shape[1:])
    node = one.copied(op.node)
    _shorten(node, time)
    node.output[0] = one.new.unique(f"{op.node.output[0]}/frame")
    one.new.add([node, flat := one.new.reshape(node.output[0], [-1, 1, size])])
    mean = _running_mean(one, flat.output[0], size)
    one.new.add([one.new.reshape(mean, [-1, *shape[1:]], op.node.output[0])])
    one.newest.add(op.node.output[0])
    one.layers["mean over the window"] += 1
    return True


def _is_over(op: Operation, time: int, num_frames: int) -> bool:
    """True where an operator takes the mean of all frames, and leaves the batch first."""
    if not any(atom.label == "n" for atom in op.data.axes[0]):
        return False
    if op.node.op_type == "GlobalAveragePool":
        return time >= 2
    if op.node.op_type == "AveragePool":
        kernel = op.attribute("kernel_shape", [])
        pads = op.attribute("pads", None) or [0] * 2 * len(kernel)
        i = time - 2
        return i >= 0 and kernel[i] == num_frames and not (pads[i] or pads[i + len(kernel)])
    axes = op.integers("axes", 1)
    return axes is None or time in [axis % len(op.data.axes) for axis in axes]


def _shorten(node: NodeProto, time: int) -> None:
    """Make an AveragePool's kernel that of one frame."""
    for attribute in node.attribute:
        if attribute.name in ("kernel_shape", "strides") and node.op_type == "AveragePool":
            attribute.ints[time - 2] = 1


def _running_mean(one: OneFrame, newest: str, size: int) -> str:
    """Mean of the last T values of `newest`, `(N, 1, size)`; fewer at the beginning."""
    past = one.new_state("means", (1, one.num_frames - 1, size), batch_axis=0)
    count = one.new_state("frames", (1, 1), batch_axis=0)
    ring = push(one, past.input, newest, past.output)
    limits = [one.new.constant(np.array(v, np.float32)) for v in (1, one.num_frames)]
    axis = one.new.constant([1])
    one.new.add(
        [
            more := one.new.node("Add", [count.input, limits[0]]),
            frames := one.new.node("Min", [more.output[0], limits[1]], count.output),
            total := one.new.node("ReduceSum", [ring, axis], keepdims=0),
            mean := one.new.node("Div", [total.output[0], frames.output[0]]),
        ]
    )
    return str(mean.output[0])
