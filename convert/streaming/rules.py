"""What each operator does to the batch and the time of its operands.

A rule gives the layouts of the outputs, or raises `Mixes`: a value of the result then
depends on several frames, or on a frame's place in the window. What no rule knows mixes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgevid.convert.streaming.layout import Axis, Layout, free, is_row, size_of
from edgevid.convert.streaming.operation import Mixes, Operation

Rule = Callable[[Operation], list[Layout]]


def layouts_after(op: Operation) -> list[Layout]:
    """Layouts of the outputs of `op`.

    Raises:
        Mixes: It mixes frames, or no rule knows it.
    """
    rule = RULES.get(op.node.op_type) if op.node.domain in ("", "ai.onnx") else None
    if rule is None:
        raise Mixes("is an operator that is not followed")
    layouts = rule(op)
    for layout, shape in zip(layouts, op.out_shapes, strict=False):
        if layout.shape != tuple(shape):
            raise Mixes("changes the shape in an unusual way")
    return layouts


def _carried(layout: Layout, shape: Sequence[int]) -> Layout:
    """The same rows at the same axes; the other axes as measured."""
    if len(shape) != len(layout.axes):
        raise Mixes("changes the rank in an unusual way")
    axes = []
    for axis, size in zip(layout.axes, shape, strict=True):
        if is_row(axis) and size_of(axis) != size:
            raise Mixes(f"makes {size} of {size_of(axis)} frames")
        axes.append(axis if is_row(axis) else free(size))
    return Layout(tuple(axes))


def _same_rank(op: Operation) -> list[Layout]:
    return [_carried(op.data, shape) for shape in op.out_shapes]


def _elementwise(op: Operation) -> list[Layout]:
    shape = op.out_shapes[0]
    rank = len(shape)
    rows: dict[int, Axis] = {}
    known = [layout for layout in op.layouts if layout is not None]
    for layout in known:
        for i, axis in enumerate(layout.axes, rank - len(layout.axes)):
            if is_row(axis):
                rows.setdefault(i, axis)
    for layout in known:
        padded = (*((free(1),) * (rank - len(layout.axes))), *layout.axes)
        if any(padded[i] != axis for i, axis in rows.items()):
            raise Mixes("combines different frames")
    _thin_constants(op, rows, rank)
    axes = tuple(rows.get(i) or free(size) for i, size in enumerate(shape))
    return [Layout(axes) for _ in op.out_shapes[:1]]


def _thin_constants(op: Operation, rows: dict[int, Axis], rank: int) -> None:
    """Constants must say the same for every frame of the window."""
    for i, layout in enumerate(op.layouts):
        if layout is not None or not op.node.input[i]:
            continue
        shape = op.in_shapes[i]
        for axis in range(len(shape)):
            if shape[axis] > 1 and axis + rank - len(shape) in rows:
                _require_same(op, i, axis)


def _require_same(op: Operation, position: int, axis: int) -> None:
    values = op.constants.get(position)
    if values is None or (values != np.take(values, [0], axis)).any():
        raise Mixes("depends on a frame's place in the window")
    op.thin.append((position, axis))


def _transpose(op: Operation) -> list[Layout]:
    rank = len(op.data.axes)
    return [op.data.permuted(op.attribute("perm", range(rank)[::-1]))]


def _reshape(op: Operation) -> list[Layout]:
    layout = op.data.reshaped(op.out_shapes[0])
    if layout is None:
        raise Mixes("puts frames and features on one axis")
    return [layout]


def _expand(op: Operation) -> list[Layout]:
    shape = op.out_shapes[0]
    missing = len(shape) - len(op.data.axes)
    padded = Layout((*((free(1),) * missing), *op.data.axes))
    return [_carried(padded, shape)]


def _window(op: Operation) -> list[Layout]:
    """Convolutions and poolings: over time only with a kernel of one."""
    op.only_data_is_first()
    pools = "Pool" in op.node.op_type
    kernel = op.attribute("kernel_shape", None) or list(op.in_shapes[1][2:])
    strides = op.attribute("strides", None) or [1] * len(kernel)
    pads = op.attribute("pads", None) or [0] * 2 * len(kernel)
    for axis in op.data.rows - {0}:
        if axis == 1:
            if not pools:
                raise Mixes("takes the frames for channels")
            continue
        i = axis - 2
        if kernel[i] != 1:
            raise Mixes(f"spans {kernel[i]} frames")
        if strides[i] != 1 or pads[i] or pads[i + len(kernel)]:
            raise Mixes("skips or pads frames")
    return [_carried(op.data, shape) for shape in op.out_shapes]


def _global_pool(op: Operation) -> list[Layout]:
    if op.data.rows - {0, 1}:
        raise Mixes("is taken over the frames")
    return _same_rank(op)


def _not_over(*axes: int) -> Rule:
    """Rows may not lie on these axes."""

    def rule(op: Operation) -> list[Layout]:
        op.only_data_is_first()
        if op.data.rows.intersection(axes):
            raise Mixes("is taken over the frames")
        return _same_rank(op)

    return rule


def _first_axis_only(op: Operation) -> list[Layout]:
    op.only_data_is_first()
    if op.data.rows - {0}:
        raise Mixes("is taken over the frames")
    return _same_rank(op)


def _batch_norm(op: Operation) -> list[Layout]:
    if op.attribute("training_mode", 0):
        raise Mixes("normalises over the batch it is given (training mode)")
    return _not_over(1)(op)[:1]


def _along(default: int, *, to_the_end: bool = False) -> Rule:
    """Operators along one axis, or along all from it on."""

    def rule(op: Operation) -> list[Layout]:
        op.only_data_is_first()
        axis = op.axis(default)
        taken = range(axis, len(op.data.axes)) if to_the_end else (axis,)
        if op.data.rows.intersection(taken):
            raise Mixes("is taken over the frames")
        return _same_rank(op)

    return rule


def _softmax(op: Operation) -> list[Layout]:
    # Before opset 13 it took all axes from the given one on.
    return (_along(-1) if op.opset >= 13 else _along(1, to_the_end=True))(op)


def _pad(op: Operation) -> list[Layout]:
    op.only_data_is_first()
    rank = len(op.data.axes)
    pads = op.integers("pads", 1) or []
    if len(pads) != 2 * rank or any(pads[i] or pads[i + rank] for i in op.data.rows):
        raise Mixes("pads or shifts the frames")
    return _same_rank(op)


def _slice(op: Operation) -> list[Layout]:
    op.only_data_is_first()
    rank = len(op.data.axes)
    starts = op.integers("starts", 1) or []
    axes = op.integers("axes", 3) or list(range(len(starts)))
    steps = op.integers("steps", 4) or [1] * len(starts)
    for axis, step in zip(axes, steps, strict=True):
        if axis % rank in op.data.rows and step != 1:
            raise Mixes("reorders the frames")
    return _same_rank(op)


def _concat(op: Operation) -> list[Layout]:
    shape = op.out_shapes[0]
    axis = op.attribute("axis", 0) % len(shape)
    known = [layout for layout in op.layouts if layout is not None]
    for layout in known:
        if axis in layout.rows or layout.rows != known[0].rows:
            raise Mixes("joins frames along the time")
        if any(layout.axes[i] != known[0].axes[i] for i in layout.rows):
            raise Mixes("joins different frames")
    rows = {i: known[0].axes[i] for i in known[0].rows}
    _thin_constants(op, rows, len(shape))
    return [_carried(known[0], shape)]


def _gather(op: Operation) -> list[Layout]:
    op.only_data_is_first()
    axis = op.axis(0)
    if axis in op.data.rows:
        raise Mixes("picks some of the frames")
    picked = tuple(free(size) for size in op.in_shapes[1])
    return [Layout((*op.data.axes[:axis], *picked, *op.data.axes[axis + 1 :]))]


def _reduce(op: Operation) -> list[Layout]:
    op.only_data_is_first()
    rank = len(op.data.axes)
    axes = op.integers("axes", 1)
    if axes is None:
        if op.attribute("noop_with_empty_axes", 0):
            return [op.data]
        axes = list(range(rank))
    return [_reduced(op, {axis % rank for axis in axes})]


def _arg(op: Operation) -> list[Layout]:
    return [_reduced(op, {op.axis(0)})]


def _reduced(op: Operation, axes: set[int]) -> Layout:
    if op.data.rows & axes:
        raise Mixes("is taken over the frames")
    kept = op.attribute("keepdims", 1)
    return Layout(
        tuple(
            free(1) if i in axes else axis
            for i, axis in enumerate(op.data.axes)
            if kept or i not in axes
        )
    )


def _matmul(op: Operation) -> list[Layout]:
    shape = op.out_shapes[0]
    rank = len(shape)
    rows: dict[int, Axis] = {}
    for i, layout in enumerate(op.layouts):
        # Left operand: rows of the result; right operand: its columns. The other is summed over.
        if layout is None:
            continue
        if len(layout.axes) < 2:
            raise Mixes("is taken over the frames")
        summed = len(layout.axes) - (1 if i == 0 else 2)
        if summed in layout.rows:
            raise Mixes("is taken over the frames")
        for axis in layout.rows:
            rows.setdefault(axis + rank - len(layout.axes), layout.axes[axis])
    both = all(layout is not None for layout in op.layouts)
    for axis in rows:
        if both and axis >= rank - 2:
            raise Mixes("weighs frames against each other")
    for layout in op.layouts:
        for axis, row in rows.items() if layout is not None else ():
            own = axis - rank + len(layout.axes) if layout is not None else 0
            if layout is not None and (own < 0 or layout.axes[own] != row):
                raise Mixes("combines different frames")
    _thin_matmul(op, rows, rank)
    return [Layout(tuple(rows.get(i) or free(size) for i, size in enumerate(shape)))]


def _thin_matmul(op: Operation, rows: dict[int, Axis], rank: int) -> None:
    for i, layout in enumerate(op.layouts):
        shape = op.in_shapes[i]
        for axis in range(len(shape) - 2) if layout is None else ():
            if shape[axis] > 1 and axis + rank - len(shape) in rows:
                _require_same(op, i, axis)


def _gemm(op: Operation) -> list[Layout]:
    op.only_data_is_first()
    if op.attribute("transA", 0) or op.data.rows - {0}:
        raise Mixes("is taken over the frames")
    if len(op.in_shapes) > 2 and len(op.in_shapes[2]) == 2 and op.in_shapes[2][0] > 1:
        _require_same(op, 2, 0)
    return [_carried(op.data, op.out_shapes[0])]


def _quantize(op: Operation) -> list[Layout]:
    op.only_data_is_first()
    per_axis = len(op.in_shapes[1]) > 0 and op.in_shapes[1] != (1,)
    if per_axis and op.axis(1) in op.data.rows:
        raise Mixes("has a scale for each frame")
    return _same_rank(op)


def _dropout(op: Operation) -> list[Layout]:
    training = op.constants.get(2)
    if training is not None and training.any():
        raise Mixes("is random (training mode)")
    return [op.data for _ in op.out_shapes]


def _resize(op: Operation) -> list[Layout]:
    if len(op.node.input) > 3 and op.node.input[3]:
        raise Mixes("is resized to a fixed number of frames")
    return _same_rank(op)


def _recurrent(_: Operation) -> list[Layout]:
    raise Mixes("runs over the frames")


_ELEMENTWISE = (
    *("Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "BitShift"),
    *("BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Cast", "Ceil", "Celu", "Clip"),
    *("Cos", "Cosh", "Div", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater"),
    *("GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu"),
    *("Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not"),
    *("Or", "PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign"),
    *("Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tan", "Tanh"),
    *("ThresholdedRelu", "Where", "Xor"),
)
_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")

RULES: dict[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
    **dict.fromkeys(("Conv", "ConvTranspose", "AveragePool", "LpPool", "MaxPool"), _window),
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), _reshape),
    **dict.fromkeys((f"Reduce{name}" for name in _REDUCTIONS), _reduce),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg),
    **dict.fromkeys(("GRU", "LSTM", "RNN"), _recurrent),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), _quantize),
    **dict.fromkeys(("Hardmax", "LogSoftmax", "Softmax"), _softmax),
    **dict.fromkeys(("GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool"), _global_pool),
    **dict.fromkeys(("DepthToSpace", "GroupNormalization", "SpaceToDepth"), _first_axis_only),
    "BatchNormalization": _batch_norm,
    "Concat": _concat,
    "Dropout": _dropout,
    "Expand": _expand,
    "Gather": _gather,
    "Gemm": _gemm,
    "InstanceNormalization": _first_axis_only,
    "LRN": _not_over(1),
    "LayerNormalization": _along(-1, to_the_end=True),
    "LpNormalization": _along(-1),
    "MatMul": _matmul,
    "Pad": _pad,
    "RMSNormalization": _along(-1, to_the_end=True),
    "Resize": _resize,
    "Slice": _slice,
    "Split": _along(0),
    "Tile": _same_rank,
    "Transpose": _transpose,
}
