"""Find out from a model's shapes how frames become its inputs.

What the user's spec says comes first; what neither says is assumed, and each assumption is
a sentence in the journal. A shape with two readings is an error, never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, model_validator

from edgevid.convert.journal import Journal
from edgevid.convert.load import Model
from edgevid.convert.picture_shapes import depth_of, layout_of, modality_of, show
from edgevid.convert.spec_file import UserSpec
from edgevid.errors import SpecError
from edgevid.inputs import layout_axes
from edgevid.presets import preset
from edgevid.spec import ClipSpec, InputSpec, Strict, check_time_axes, parse
from edgevid.tracks import FLOW_BOUND
from edgevid.types import TensorInfo

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
        table["modality"] = modality_of(tensor, table)
        table["layout"] = layout_of(tensor, table, user.where, journal)
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


def _size(tensor: TensorInfo, table: Mapping[str, Any]) -> Any:
    if "size" in table:
        return table["size"]
    layout = table["layout"]
    axes = layout_axes(layout)
    height, width = tensor.shape[axes.index("H")], tensor.shape[axes.index("W")]
    if height is None or width is None:
        raise SpecError(
            f"input {tensor.name!r} of shape {show(tensor)} ({layout}) leaves height or width open",
            "Say the size the model was trained at, in a --spec file, under [[inputs]]: "
            "size = [224, 224]",
        )
    return (height, width)


def _num_frames(tensors: Sequence[TensorInfo], tables: list[dict[str, Any]], user: UserSpec) -> Any:
    """Frames in a window: what the input that takes most of it needs."""
    if "num_frames" in user.clip:
        return user.clip["num_frames"]
    needed = []
    for tensor, table in zip(tensors, tables, strict=True):
        depth = depth_of(tensor, table["layout"], table["modality"])
        if depth is None:
            raise SpecError(
                f"input {tensor.name!r} of shape {show(tensor)} ({table['layout']}) leaves the "
                "number of frames open",
                "Say it in a --spec file, under [clip]: num_frames = 16",
            )
        taken, every = depth + (table["modality"] == "rgb_diff"), table.get("every", 1)
        window = taken * every if isinstance(every, int) else taken
        needed.append(window + _leads_in(table))
    return max(needed)


def _leads_in(table: Mapping[str, Any]) -> bool:
    """True where the first frame of a window only serves as the start of a flow field."""
    return table["modality"] == "flow" and table.get("flow_interval") is None


def _set_every(
    tensors: Sequence[TensorInfo], tables: list[dict[str, Any]], num_frames: Any
) -> None:
    """Beside an input of the whole window, shorter ones take every n-th frame (SlowFast)."""
    if not isinstance(num_frames, int):
        return
    lengths = []
    for tensor, table in zip(tensors, tables, strict=True):
        depth = depth_of(tensor, table["layout"], table["modality"])
        taken = depth and depth + (table["modality"] == "rgb_diff")
        lengths.append((taken, num_frames - _leads_in(table)))
    if all(taken != there for taken, there in lengths):
        return
    for tensor, table, (taken, there) in zip(tensors, tables, lengths, strict=True):
        said = "every" in table or "frames" in table
        if said or taken in (None, there) or "T" not in table["layout"]:
            continue
        if there % taken:
            raise SpecError(
                f"input {tensor.name!r} takes {taken} frame(s), which does not divide the "
                f"window's {there}",
                _how_lengths_agree(tables),
            )
        table["every"] = there // taken


def _how_lengths_agree(tables: Sequence[Mapping[str, Any]]) -> str:
    if any(map(_leads_in, tables)):
        return (
            "Say num_frames under [clip]; or, for as many flow fields as frames, under "
            "[[inputs]]: flow_interval = 1"
        )
    return "Correct num_frames under [clip]"


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
    fields = _for_modality(preset(name, (size[0], size[1])), table["modality"])
    assumed = []
    for group in (("color",), _ARITHMETIC, _GEOMETRY):
        said = any(key in table for key in group)
        if said and (user.preset is None or group is _GEOMETRY):
            fields = {k: v for k, v in fields.items() if k not in group}
        elif not said:
            assumed += [key for key in group if key in fields]
    if table["modality"] == "flow" and "scale" in assumed:
        assumed.remove("scale")
        journal.assume(
            f"Input {tensor.name!r}: its flow is assumed to be divided by {FLOW_BOUND:g}, so that "
            "it lies in [-1, 1]. Say otherwise in a --spec file, under [[inputs]]: scale, mean, "
            "std."
        )
    if user.preset is None and assumed:
        journal.assume(
            f"Input {tensor.name!r}: {', '.join(assumed)} are assumed to be those of the preset "
            f"{name!r}. Say otherwise with --preset NAME, or in a --spec file, under [[inputs]]."
        )
    return {**fields, **table}


def _for_modality(fields: dict[str, Any], modality: str) -> dict[str, Any]:
    """What a preset of pictures says of their differences, or of optical flow."""
    if modality == "rgb_diff":
        return {**fields, "mean": (0.0, 0.0, 0.0)}  # it cancels out
    if modality == "flow":
        geometry = {k: v for k, v in fields.items() if k in _GEOMETRY}
        return {**geometry, "scale": 1 / FLOW_BOUND}
    return fields


def _default_preset(tensor: TensorInfo, layout: str) -> str:
    if tensor.dtype == "uint8":
        return "raw"
    return "kinetics" if "T" in layout else "imagenet"


def _check_against_shape(tensor: TensorInfo, spec: InputSpec, clip: ClipSpec, where: str) -> None:
    names = {"T": "number of frames", "H": "height", "W": "width"}
    wanted = spec.model_shape(clip.num_frames)
    for axis, length, actual in zip(spec.groups, wanted, tensor.shape[1:], strict=True):
        if actual not in (None, length):
            raise SpecError(
                f"{where}: {names.get(axis, 'channels')} {length} does not fit input "
                f"{tensor.name!r}, whose shape is {show(tensor)} ({spec.layout})",
                "Leave it out, or correct it",
            )
    plain = spec.scale == 1.0 and set(spec.mean) == {0.0} and set(spec.std) == {1.0}
    if tensor.dtype == "uint8" and spec.modality != "rgb":
        raise SpecError(
            f"{where}: input {tensor.name!r} takes uint8 pixels, which {spec.modality}, with "
            "its negative values, is not",
            "Export the float model",
        )
    if tensor.dtype == "uint8" and not plain:
        raise SpecError(
            f"{where}: input {tensor.name!r} takes uint8 pixels, so scale, mean and std "
            "do not apply",
            "Leave them out",
        )
