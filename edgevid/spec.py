"""The temporal and pictorial contract of a model.

The same words stand in a user's `spec.toml` and in a bundle's manifest. Unknown keys are
refused. See docs/spec.md for a worked page.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgevid.errors import SpecError

Sampling = Literal["uniform", "segments", "interval"]
Layout = Literal["NCHW", "NHWC", "NCTHW", "NTCHW", "NTHWC"]
OutputKind = Literal["logits", "probabilities", "sigmoid"]
StateType = Literal[
    "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"
]

DEFAULT_WINDOW_S = 2.0
"""Span of a live window where a `uniform` or `segments` contract does not say."""

_HOP_TOLERANCE = 0.01


class Strict(BaseModel):
    """Immutable, and closed to unknown keys and NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ClipSpec(Strict):
    """Which frames of a video make one window.

    - `interval`: every `frame_interval`-th frame of the video resampled to `fps` by
      presentation time. Without `fps` (one-frame models only), every `frame_interval`-th
      frame of the source as it comes.
    - `uniform`: of a file with n decoded frames, frame i * max(n // T, 1) for i < T.
    - `segments`: the centre frame of each of T equal segments of the file (TSN's test
      setting, Wang et al. 2016, arXiv:1608.00859).

    On a live source `uniform` and `segments` spread T frames evenly over `window_s`.
    """

    num_frames: int = Field(1, ge=1, le=4096, description="Frames in a window (T).")
    sampling: Sampling = "interval"
    frame_interval: int = Field(
        1, ge=1, description="Frames, at `fps`, from one sample to the next."
    )
    fps: float | None = Field(
        None, gt=0, le=1000, description="Frame rate that the model was trained at."
    )
    window_s: float | None = Field(
        None, gt=0, description="Span of a window on a live source (uniform, segments)."
    )
    hop_s: float | None = Field(
        None, gt=0, description="Time from one window's start to the next; None: every sample."
    )

    @model_validator(mode="after")
    def _consistent(self) -> ClipSpec:
        if self.sampling == "interval" and self.num_frames > 1 and self.fps is None:
            raise ValueError(
                "clip.fps is missing: `interval` sampling of several frames needs the frame "
                "rate that the model was trained at"
            )
        if self.sampling == "interval" and self.window_s is not None:
            raise ValueError(
                "clip.window_s belongs to `uniform` and `segments`; an `interval` window spans "
                "num_frames * frame_interval / fps"
            )
        return self

    @property
    def period_s(self) -> float | None:
        """Seconds between two samples on a live source; None: the source's own rate."""
        if self.sampling == "interval":
            return None if self.fps is None else self.frame_interval / self.fps
        return (self.window_s or DEFAULT_WINDOW_S) / self.num_frames


class InputSpec(Strict):
    """How one input of the model is made from a frame.

    The model sees x = (pixel * scale - mean) / std, per channel, in `color` order. The
    arithmetic and the transposition to `layout` are inside the bundle's graph; the runtime
    only crops and resizes.
    """

    name: str = Field(min_length=1, description="Name of the graph input.")
    modality: Literal["rgb"] = "rgb"
    layout: Layout
    size: tuple[int, int] = Field(description="Height and width, in pixels.")
    resize: Literal["stretch", "short_side"] = "stretch"
    short_side: int | None = Field(
        None, ge=1, description="Length of the shorter side before the crop (short_side)."
    )
    crop: Literal["center", "full"] = "full"
    interpolation: Literal["linear", "area", "cubic"] = "linear"
    color: Literal["bgr", "rgb"] = "rgb"
    scale: float = Field(1.0, gt=0)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    every: int = Field(1, ge=1, description="Takes every n-th frame of the window.")

    @model_validator(mode="after")
    def _consistent(self) -> InputSpec:
        height, width = self.size
        if height < 1 or width < 1:
            raise ValueError(f"size {list(self.size)} must be two positive numbers")
        if any(s <= 0 for s in self.std):
            raise ValueError(f"std {list(self.std)} must be positive")
        if self.resize == "stretch" and self.short_side is not None:
            raise ValueError('short_side needs resize = "short_side"')
        if self.resize == "stretch" and self.crop == "center":
            raise ValueError('crop = "center" needs resize = "short_side"')
        if self.resize == "short_side":
            if self.crop != "center":
                raise ValueError('resize = "short_side" needs crop = "center"')
            if self.short_side is None or self.short_side < max(self.size):
                raise ValueError(
                    f"short_side {self.short_side} must be at least {max(self.size)}, "
                    f"the longer side of size {list(self.size)}"
                )
        return self

    @property
    def is_clip(self) -> bool:
        """True where the input has a time axis."""
        return "T" in self.layout


class OutputSpec(Strict):
    """What the model's output means before edgevid turns it into scores in [0, 1]."""

    name: str = Field(min_length=1)
    kind: OutputKind = Field(
        description="`logits` get a softmax, `probabilities` none, `sigmoid` a sigmoid."
    )


class StateSpec(Strict):
    """A tensor that a streaming model puts out and wants back with the next frames.

    Type and values are the model's own in every precision: a state is never quantised.
    """

    input: str = Field(min_length=1, description="Graph input that takes the state.")
    output: str = Field(min_length=1, description="Graph output that gives the next one.")
    shape: tuple[int, ...] = Field(description="Of one stream: an open axis counts as 1.")
    dtype: StateType
    init: Literal["zeros"] = Field("zeros", description="What a stream begins with.")
    batch_axis: int | None = Field(
        None, ge=0, description="Axis along which several streams share a call; None: they cannot."
    )

    @model_validator(mode="after")
    def _one_stream(self) -> StateSpec:
        axis = self.batch_axis
        if axis is not None and (axis >= len(self.shape) or self.shape[axis] != 1):
            raise ValueError(
                f"state {self.input!r}: batch_axis {axis} of shape {list(self.shape)} is no axis "
                "of length 1, the one stream's"
            )
        return self


class Spec(Strict):
    """The whole contract: what a `spec.toml` may say once `convert` has filled the rest."""

    labels: tuple[str, ...]
    clip: ClipSpec = ClipSpec()
    inputs: tuple[InputSpec, ...] = Field(min_length=1)
    outputs: tuple[OutputSpec, ...] = Field(min_length=1, max_length=1)
    states: tuple[StateSpec, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Spec:
        check_time_axes(self.clip, self.inputs)
        check_states(self.clip, self.inputs, self.outputs, self.states)
        return self


def check_time_axes(clip: ClipSpec, inputs: tuple[InputSpec, ...]) -> None:
    """Raise ValueError where the inputs cannot be cut from windows of `clip`."""
    if len({i.name for i in inputs}) != len(inputs):
        raise ValueError(f"inputs have the same name: {[i.name for i in inputs]}")
    for spec in inputs:
        if clip.num_frames % spec.every:
            raise ValueError(
                f"input {spec.name!r}: every {spec.every} does not divide "
                f"num_frames {clip.num_frames}"
            )
        if not spec.is_clip and clip.num_frames > 1:
            raise ValueError(
                f"input {spec.name!r} has layout {spec.layout} without a time axis, but "
                f"clip.num_frames is {clip.num_frames}"
            )


def check_states(
    clip: ClipSpec,
    inputs: tuple[InputSpec, ...],
    outputs: tuple[OutputSpec, ...],
    states: tuple[StateSpec, ...],
) -> None:
    """Raise ValueError where the states do not go with the rest of the contract."""
    takes = [i.name for i in inputs] + [s.input for s in states]
    gives = [o.name for o in outputs] + [s.output for s in states]
    for names in (takes, gives):
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"states: {name!r} stands in two places")
    if not states:
        return
    open_batch = [s.input for s in states if s.batch_axis is not None]
    if open_batch and len(open_batch) < len(states):
        fixed = next(s.input for s in states if s.batch_axis is None)
        raise ValueError(
            f"states: {open_batch[0]!r} has a batch_axis and {fixed!r} has none; streams share a "
            "call with all their states or not at all"
        )
    if clip.sampling != "interval":
        raise ValueError(
            f"clip.sampling is {clip.sampling!r}: a model with states sees a video frame by "
            "frame, which is `interval`"
        )
    period_s = clip.period_s
    if clip.num_frames == 1 and clip.hop_s is None:
        return
    span_s = None if period_s is None else clip.num_frames * period_s
    if span_s is None or clip.hop_s is None or abs(clip.hop_s - span_s) > span_s * _HOP_TOLERANCE:
        raise ValueError(
            f"clip.hop_s is {clip.hop_s}: a model with states takes every frame once, so its "
            "windows follow each other without overlap: hop_s = num_frames * frame_interval / fps"
        )


def parse(model: type[Any], data: Any, where: str, error: type[Exception] = SpecError) -> Any:
    """Validate `data` as `model`; the error names the field, the value and the place."""
    try:
        return model.model_validate(data)
    except ValidationError as exc:
        raise error(f"{where}: {first_problem(exc)}") from None


def first_problem(exc: ValidationError) -> str:
    """One line for the first problem that pydantic found: field, what is wrong, value."""
    problem = exc.errors()[0]
    field = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key {field!r}"
    if problem["type"] == "missing":
        return f"{field!r} is missing"
    text = problem["msg"].removeprefix("Value error, ")
    if not field:
        return text
    shown = repr(problem["input"])
    if problem["type"] == "value_error" or len(shown) > 60:
        return f"{field}: {text}"
    return f"{field}: {text} (got {shown})"
