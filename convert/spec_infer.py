"""Find out from a model's shapes how frames become its inputs.

What the user's spec says comes first; what neither says is assumed, and each assumption is
a sentence in the journal. A shape with two readings is an error, never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from edgevid.convert.journal import Journal
from edgevid.convert.load import Model
from edgevid.convert.spec_file import UserSpec
from edgevid.errors import ModelError, SpecError
from edgevid.presets import preset
from edgevid.spec import ClipSpec, InputSpec, Layout, Strict, check_time_axes, parse
from edgevid.types import TensorInfo

_LAYOUTS: dict[int, tuple[Layout, ...]] = {
    4: ("NCHW", "NHWC"),
    5: ("NCTHW", "NTCHW", "NTHWC"),
}
_DTYPES = ("uint8", "float16", "float32", "float64")
_MIN_SIDE = 8
"""Where a shape has two readings, one with a picture narrower than this is none."""

_STREAM_FPS = 10.0
"""Assumed of a model with states."""

_ARITHMETIC = ("scale", "mean", "std")
_GEOMETRY = ("resize", "short_side", "crop")


class Pictures(Strict):
    """How a video becomes the inputs of a model."""

    clip: ClipSpec
    inputs: tuple[InputSpec, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Pictures:
        check_time_axes(self.clip, self.inputs)
        return self


def infer_inputs(
    model: Model, user: UserSpec, journal: Journal, *, carries: bool = False
) -> Pictures:
    """The clip and input contract of a model that `check_inputs` lets pass.

    Args:
        model: Its inputs are pictures alone; states are left out.
        user: What the spec says.
        journal: Told what is assumed.
        carries: It has states, so windows follow each other without overlap.

    Raises:
        SpecError: A shape has two readings, or the spec contradicts the shapes.
    """
    known = [t.name for t in model.inputs]
    tables = [user.input_table(t.name, known) for t in model.inputs]
    for tensor, table in zip(model.inputs, tables, strict=True):
        table["layout"] = _layout(tensor, table, user.where)
        table["size"] = _size(tensor, table)
    num_frames = _num_frames(model.inputs, tables, user)
    _set_every(model.inputs, tables, num_frames)
    clip = _clip(num_frames, user, journal, carries)
    inputs = [
        _with_preprocessing(tensor, table, user, journal)
        for tensor, table in zip(model.inputs, tables, strict=True)
    ]
    pictures: Pictures = parse(Pictures, {"clip": clip, "inputs": inputs}, user.where)
    for tensor, spec in zip(model.inputs, pictures.inputs, strict=True):
        _check_against_shape(tensor, spec, pictures.clip, user.where)
    return pictures


def check_inputs(model: Model) -> None:
    """Raise ModelError where an input of `model` is not a picture or a clip of pictures."""
    others = [t for t in model.inputs if not is_picture(t)]
    if others:
        tensor = others[0]
        raise ModelError(
            f"input {tensor.name!r} has shape {show(tensor)}, which is no batch of colour "
            "pictures or clips (4 or 5 axes, one of them 3 channels)",
            "Export the model with an input such as [N, 3, H, W] or [N, 3, T, H, W]",
        )
    for tensor in model.inputs:
        if tensor.dtype not in _DTYPES:
            raise ModelError(
                f"input {tensor.name!r} is {tensor.dtype}; pictures are one of "
                f"{', '.join(_DTYPES)}",
                "Export the float model",
            )
        batch = tensor.shape[0]
        if batch not in (None, 1):
            raise ModelError(
                f"input {tensor.name!r} has a fixed batch of {batch}",
                "Export the model with batch 1 or a dynamic batch",
            )


def is_picture(tensor: TensorInfo) -> bool:
    """True where the shape is that of colour pictures or clips."""
    return len(tensor.shape) in _LAYOUTS and bool(_readings(tensor))


def _readings(tensor: TensorInfo) -> list[Layout]:
    """The layouts that the shape allows: sure ones if any, else those with unknown channels."""
    layouts = _LAYOUTS[len(tensor.shape)]
    sure = [name for name in layouts if tensor.shape[name.index("C")] == 3]
    if len(sure) > 1:
        wide = [name for name in sure if _narrowest(tensor, name) >= _MIN_SIDE]
        return wide if len(wide) == 1 else sure
    return sure or [name for name in layouts if tensor.shape[name.index("C")] is None]


def _narrowest(tensor: TensorInfo, layout: Layout) -> int:
    sides = (tensor.shape[layout.index("H")], tensor.shape[layout.index("W")])
    return min(_MIN_SIDE if side is None else side for side in sides)


def _layout(tensor: TensorInfo, table: Mapping[str, Any], where: str) -> str:
    possible = _LAYOUTS[len(tensor.shape)]
    if "layout" in table:
        if table["layout"] not in possible:
            raise SpecError(
                f"{where}: layout {table['layout']!r} does not fit input {tensor.name!r} of "
                f"shape {show(tensor)}",
                f"Choose one of: {', '.join(possible)}",
            )
        return str(table["layout"])
    readings = _readings(tensor)
    if len(readings) > 1:
        raise SpecError(
            f"input {tensor.name!r} of shape {show(tensor)} can be {' or '.join(readings)}",
            f'Say which, in a --spec file, under [[inputs]]: layout = "{readings[0]}"',
        )
    return readings[0]


def _size(tensor: TensorInfo, table: Mapping[str, Any]) -> Any:
    if "size" in table:
        return table["size"]
    layout = table["layout"]
    height, width = tensor.shape[layout.index("H")], tensor.shape[layout.index("W")]
    if height is None or width is None:
        raise SpecError(
            f"input {tensor.name!r} of shape {show(tensor)} ({layout}) leaves height or width open",
            "Say the size the model was trained at, in a --spec file, under [[inputs]]: "
            "size = [224, 224]",
        )
    return (height, width)


def _frames_of(tensor: TensorInfo, layout: str) -> int | None:
    """Length of the time axis: 1 without one, None where dynamic."""
    return tensor.shape[layout.index("T")] if "T" in layout else 1


def _num_frames(
    tensors: tuple[TensorInfo, ...], tables: list[dict[str, Any]], user: UserSpec
) -> Any:
    if "num_frames" in user.clip:
        return user.clip["num_frames"]
    lengths = []
    for tensor, table in zip(tensors, tables, strict=True):
        length = _frames_of(tensor, table["layout"])
        if length is None:
            raise SpecError(
                f"input {tensor.name!r} of shape {show(tensor)} ({table['layout']}) leaves the "
                "number of frames open",
                "Say it in a --spec file, under [clip]: num_frames = 16",
            )
        every = table.get("every", 1)
        lengths.append(length * every if isinstance(every, int) else length)
    return max(lengths)


def _set_every(
    tensors: tuple[TensorInfo, ...], tables: list[dict[str, Any]], num_frames: Any
) -> None:
    """Beside an input of the whole window, shorter ones take every n-th frame (SlowFast)."""
    lengths = [_frames_of(t, table["layout"]) for t, table in zip(tensors, tables, strict=True)]
    if num_frames not in lengths:
        return
    for tensor, table, length in zip(tensors, tables, lengths, strict=True):
        if "every" in table or length in (None, num_frames):
            continue
        if num_frames % length:
            raise SpecError(
                f"input {tensor.name!r} takes {length} frame(s), which does not divide the "
                f"window's {num_frames}",
                "Correct num_frames under [clip]",
            )
        table["every"] = num_frames // length


def _clip(num_frames: Any, user: UserSpec, journal: Journal, carries: bool) -> dict[str, Any]:
    clip = {**user.clip, "num_frames": num_frames}
    if carries:
        return _without_overlap(clip, journal)
    timing = set(user.clip) - {"num_frames"}
    if not timing and isinstance(num_frames, int) and num_frames > 1:
        clip |= {
            "sampling": "interval",
            "frame_interval": 2,
            "fps": 30.0,
            "hop_s": num_frames * 2 / 30.0 / 2,
        }
        journal.assume(
            f"A window is assumed to be {num_frames} frames, every 2nd of a video at 30 frames a "
            f"second ({num_frames * 2 / 30:.2f} s), and windows to start {clip['hop_s']:.2f} s "
            "apart. Say otherwise in a --spec file, under [clip]: sampling, frame_interval, "
            "fps, hop_s."
        )
    return clip


def _without_overlap(clip: dict[str, Any], journal: Journal) -> dict[str, Any]:
    """For a model with states, which takes every frame once."""
    if "fps" not in clip:
        clip["fps"] = _STREAM_FPS
        journal.assume(
            f"The model carries states from frame to frame, and is assumed to be trained at "
            f"{_STREAM_FPS:g} frames a second. Say otherwise in a --spec file, under [clip]: fps."
        )
    interval, num_frames = clip.get("frame_interval", 1), clip["num_frames"]
    said = (clip["fps"], interval, num_frames)
    # What is wrong is refused when the whole is validated.
    numbers = all(isinstance(value, (int, float)) and value > 0 for value in said)
    if numbers and num_frames > 1 and "hop_s" not in clip:
        clip["hop_s"] = num_frames * interval / clip["fps"]
    return clip


def _with_preprocessing(
    tensor: TensorInfo, table: dict[str, Any], user: UserSpec, journal: Journal
) -> dict[str, Any]:
    """Fill in from the preset what the table does not say.

    A preset that is merely assumed gives way as a whole: a spec that says one of scale, mean
    and std says all three. So does, in any case, the geometry, which only means something
    together.
    """
    size = table["size"]
    if not (isinstance(size, (list, tuple)) and [type(side) for side in size] == [int, int]):
        size = (1, 1)  # wrong, and refused when the whole is validated
    name = user.preset or _default_preset(tensor, table["layout"])
    fields = preset(name, (size[0], size[1]))
    assumed = []
    for group in (("color",), _ARITHMETIC, _GEOMETRY):
        said = any(key in table for key in group)
        if said and (user.preset is None or group is _GEOMETRY):
            fields = {k: v for k, v in fields.items() if k not in group}
        elif not said:
            assumed += list(group)
    if user.preset is None and assumed:
        journal.assume(
            f"Input {tensor.name!r}: {', '.join(assumed)} are assumed to be those of the preset "
            f"{name!r}. Say otherwise with --preset NAME, or in a --spec file, under [[inputs]]."
        )
    return {**fields, **table}


def _default_preset(tensor: TensorInfo, layout: str) -> str:
    if tensor.dtype == "uint8":
        return "raw"
    return "kinetics" if "T" in layout else "imagenet"


def _check_against_shape(tensor: TensorInfo, spec: InputSpec, clip: ClipSpec, where: str) -> None:
    height, width = spec.size
    lengths = {"C": 3, "H": height, "W": width, "T": clip.num_frames // spec.every}
    names = {"C": "channels", "H": "height", "W": "width", "T": "number of frames"}
    for axis, actual in zip(spec.layout[1:], tensor.shape[1:], strict=True):
        if actual not in (None, lengths[axis]):
            raise SpecError(
                f"{where}: {names[axis]} {lengths[axis]} does not fit input {tensor.name!r}, "
                f"whose shape is {show(tensor)} ({spec.layout})",
                "Leave it out, or correct it",
            )
    plain = spec.scale == 1.0 and set(spec.mean) == {0.0} and set(spec.std) == {1.0}
    if tensor.dtype == "uint8" and not plain:
        raise SpecError(
            f"{where}: input {tensor.name!r} takes uint8 pixels, so scale, mean and std "
            "do not apply",
            "Leave them out",
        )


def show(tensor: TensorInfo) -> str:
    """A shape for people; `?` is a dynamic dimension."""
    return "[" + ", ".join("?" if d is None else str(d) for d in tensor.shape) + "]"
