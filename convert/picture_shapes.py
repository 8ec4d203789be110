"""What the shape of an input gives away: pictures, clips, and stacks of frames or of flow.

A shape with two readings is an error that names both, never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgevid.convert.journal import Journal
from edgevid.convert.load import Model
from edgevid.convert.spec_file import UserSpec
from edgevid.errors import ModelError, SpecError
from edgevid.inputs import Layout
from edgevid.types import TensorInfo

_LAYOUTS: dict[int, tuple[Layout, ...]] = {
    4: ("NCHW", "NHWC"),
    5: ("NCTHW", "NTCHW", "NTHWC"),
}
_STACKS: tuple[Layout, ...] = ("N(TC)HW", "N(CT)HW")
_CHANNELS = {"rgb": 3, "rgb_diff": 3, "flow": 2}
_DTYPES = ("uint8", "float16", "float32", "float64")
_MIN_SIDE = 8
"""Where a shape has two readings, one with a picture narrower than this is none."""


def check_inputs(model: Model) -> None:
    """Raise ModelError where an input of `model` is made from no pictures."""
    for tensor in model.inputs:
        rank = len(tensor.shape)
        if rank not in _LAYOUTS or not any(
            _plain(tensor, n) or _stacked(tensor, n) for n in _CHANNELS.values()
        ):
            raise ModelError(
                f"input {tensor.name!r} has shape {show(tensor)}, which is no batch of colour "
                "pictures, of clips (4 or 5 axes, one of them 3 channels), or of frames or "
                "flow fields stacked into the channels",
                "Export the model with an input such as [N, 3, H, W] or [N, 3, T, H, W]",
            )
        if tensor.dtype not in _DTYPES:
            raise ModelError(
                f"input {tensor.name!r} is {tensor.dtype}; pictures are one of "
                f"{', '.join(_DTYPES)}",
                "Export the float model",
            )
        if tensor.shape[0] not in (None, 1):
            raise ModelError(
                f"input {tensor.name!r} has a fixed batch of {tensor.shape[0]}",
                "Export the model with batch 1 or a dynamic batch",
            )


def is_picture(tensor: TensorInfo) -> bool:
    """True where the shape is that of colour pictures or clips."""
    return len(tensor.shape) in _LAYOUTS and bool(_plain(tensor, 3))


def picture_inputs(model: Model, user: UserSpec) -> tuple[TensorInfo, ...]:
    """The inputs that are no states.

    Colour pictures and clips; what the spec describes; and stacks of frames or of flow,
    unless an output gives back what they may be states of.
    """
    described = {t["name"] for t in user.inputs if "name" in t}
    back = [(t.dtype, t.shape[1:]) for t in model.outputs]
    return tuple(
        t
        for t in model.inputs
        if is_picture(t)
        or t.name in described
        or ((t.dtype, t.shape[1:]) not in back and any(_readings(t, m) for m in _CHANNELS))
    )


def modality_of(tensor: TensorInfo, table: Mapping[str, Any]) -> str:
    """What the spec says, else what the number of channels gives away: `rgb` where it can be."""
    if "modality" in table:
        return str(table["modality"])
    if "flow_interval" in table or "flow_method" in table:
        return "flow"
    layout = table.get("layout")
    if layout in _STACKS:
        return "rgb" if _stacked(tensor, 3) or not _stacked(tensor, 2) else "flow"
    return "rgb" if _readings(tensor, "rgb") or not _readings(tensor, "flow") else "flow"


def layout_of(tensor: TensorInfo, table: Mapping[str, Any], where: str, journal: Journal) -> str:
    """The layout that the spec says or the shape gives away.

    Raises:
        SpecError: The shape has two readings or none, or the spec contradicts it.
    """
    possible = (*_LAYOUTS[len(tensor.shape)], *(_STACKS if len(tensor.shape) == 4 else ()))
    if "layout" in table:
        if table["layout"] not in possible:
            raise SpecError(
                f"{where}: layout {table['layout']!r} does not fit input {tensor.name!r} of "
                f"shape {show(tensor)}",
                f"Choose one of: {', '.join(possible)}",
            )
        return str(table["layout"])
    modality = modality_of(tensor, table)
    readings = _readings(tensor, modality)
    if not readings:
        raise SpecError(
            f"nothing tells what input {tensor.name!r} of shape {show(tensor)} is",
            f"Say it in a --spec file, under [[inputs]]: layout = one of {', '.join(possible)}",
        )
    if readings == list(_STACKS) and modality == "flow":
        journal.assume(
            f"Input {tensor.name!r} of shape {show(tensor)} is assumed to be a stack of optical "
            "flow, field by field, x before y. Say otherwise in a --spec file, under "
            '[[inputs]]: layout = "N(CT)HW", or modality = "rgb".'
        )
        return readings[0]
    if len(readings) > 1:
        hint = f'Say which, in a --spec file, under [[inputs]]: layout = "{readings[0]}"'
        if readings == list(_STACKS) and _stacked(tensor, 2):
            hint += '; or, of optical flow: modality = "flow"'
        raise SpecError(
            f"input {tensor.name!r} of shape {show(tensor)} can be {' or '.join(readings)}"
            + _explained(tensor, readings, modality),
            hint,
        )
    return readings[0]


def depth_of(tensor: TensorInfo, layout: str, modality: str) -> int | None:
    """Length of the model's time axis: 1 without one, None where dynamic."""
    if layout in _STACKS:
        channels = tensor.shape[1]
        return None if channels is None else channels // _CHANNELS.get(modality, 3)
    return tensor.shape[layout.index("T")] if "T" in layout else 1


def _readings(tensor: TensorInfo, modality: str) -> list[Layout]:
    """The layouts that the shape allows for a modality, plain ones before stacks."""
    if len(tensor.shape) not in _LAYOUTS:
        return []
    channels = _CHANNELS.get(modality, 3)
    plain = _plain(tensor, channels)
    if plain or not _stacked(tensor, channels):
        return plain
    _, stack, *sides = tensor.shape
    # More channels than pixels: rather a picture with its channels last.
    return list(_STACKS) if all(s is None or s >= max(stack or 0, _MIN_SIDE) for s in sides) else []


def _plain(tensor: TensorInfo, channels: int) -> list[Layout]:
    """Layouts without stacks: sure ones if any, else those with unknown channels."""
    layouts = _LAYOUTS[len(tensor.shape)]
    sure = [name for name in layouts if tensor.shape[name.index("C")] == channels]
    if len(sure) > 1:
        wide = [name for name in sure if _narrowest(tensor, name) >= _MIN_SIDE]
        return wide if len(wide) == 1 else sure
    return sure or [name for name in layouts if tensor.shape[name.index("C")] is None]


def _stacked(tensor: TensorInfo, channels: int) -> bool:
    """True where several frames of so many channels make up axis 1."""
    stack = tensor.shape[1] if len(tensor.shape) == 4 else None
    return stack is not None and stack > channels and stack % channels == 0


def _narrowest(tensor: TensorInfo, layout: Layout) -> int:
    sides = (tensor.shape[layout.index("H")], tensor.shape[layout.index("W")])
    return min(_MIN_SIDE if side is None else side for side in sides)


def _explained(tensor: TensorInfo, readings: list[Layout], modality: str) -> str:
    if readings != list(_STACKS):
        return ""
    count = depth_of(tensor, readings[0], modality)
    return f": {count} frames stacked frame by frame, or channel by channel"


def show(tensor: TensorInfo) -> str:
    """A shape for people; `?` is a dynamic dimension."""
    return "[" + ", ".join("?" if d is None else str(d) for d in tensor.shape) + "]"
