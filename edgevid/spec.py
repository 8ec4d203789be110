"""The temporal and pictorial contract of a model.

The same words stand in a user's `spec.toml` and in a bundle's manifest. Unknown keys are
refused. See docs/spec.md for a worked page.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgevid.errors import SpecError

Sampling = Literal["uniform", "segments", "interval"]
Modality = Literal["rgb", "rgb_diff", "flow"]
Layout = Literal["NCHW", "NHWC", "NCTHW", "NTCHW", "NTHWC", "N(TC)HW", "N(CT)HW"]
Frames = Literal["all", "pair", "first", "last"]
FlowMethod = Literal["dis-ultrafast", "dis-fast", "dis-medium", "farneback", "nvidia"]
FLOW_METHODS: tuple[str, ...] = get_args(FlowMethod)
OutputKind = Literal["logits", "probabilities", "sigmoid"]
StateType = Literal[
    "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"
]

DEFAULT_WINDOW_S = 2.0
"""Span of a live window where a `uniform` or `segments` contract does not say."""

MIN_FLOW_SIDE = 16
"""Pixels; OpenCV's DIS flow fails below 12."""

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
    """How one input of the model is made from the frames of a window.

    The model sees x = (value * scale - mean) / std, per channel. The arithmetic and the
    transposition to `layout` are inside the bundle's graph; the runtime crops, resizes, and
    computes optical flow.

    - `rgb`: value is a pixel, 0 to 255, in `color` order.
    - `rgb_diff`: value is a pixel less the same pixel one frame of this input before, -255 to
      255: K frames make K - 1 pictures (TSN, Wang et al. 2016, arXiv:1608.00859).
    - `flow`: two channels, the way in pixels of this input's picture to the right and down,
      from one frame to another, clipped to 20 pixels either way (Simonyan & Zisserman 2014,
      arXiv:1406.2199). Without `flow_interval` from each frame of the window to the next:
      T frames make T - 1 fields. With it, from each frame to the one `flow_interval` frames
      later at `fps` (of the source as it comes where nothing says `fps`): T fields.

    In the layouts in parentheses the frames are stacked into the channels: frame by frame
    (TC), or channel by channel (CT).
    """

    name: str = Field(min_length=1, description="Name of the graph input.")
    modality: Modality = "rgb"
    layout: Layout
    size: tuple[int, int] = Field(description="Height and width, in pixels.")
    resize: Literal["stretch", "short_side", "none"] = "stretch"
    short_side: int | None = Field(
        None, ge=1, description="Length of the shorter side before the crop (short_side)."
    )
    crop: Literal["center", "full", "fovea"] = Field(
        "full", description="`fovea`: the centre of the frame as it comes, not resized."
    )
    interpolation: Literal["linear", "area", "cubic"] = "linear"
    color: Literal["bgr", "rgb"] = "rgb"
    scale: float = Field(1.0, gt=0)
    mean: tuple[float, ...] = Field(
        (0.0, 0.0, 0.0), description="One number a channel: 3, of flow 2."
    )
    std: tuple[float, ...] = Field((1.0, 1.0, 1.0), description="One number a channel.")
    every: int = Field(1, ge=1, description="Takes every n-th frame of the window.")
    frames: Frames = Field(
        "all", description="Which frames of the window: `pair` is the first and the last."
    )
    flow_method: FlowMethod | None = Field(None, description="Flow: how it is computed.")
    flow_interval: int | None = Field(
        None, ge=1, description="Flow: frames, at `fps`, from the first to the second of a pair."
    )

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        """What follows from other words where it is not said."""
        if not isinstance(data, Mapping):
            return data
        filled: dict[str, Any] = {}
        if data.get("crop") == "fovea":
            filled["resize"] = "none"
        if data.get("modality") == "flow":
            filled |= {"mean": (0.0, 0.0), "std": (1.0, 1.0), "flow_method": "dis-fast"}
        return {**filled, **data}

    @model_validator(mode="after")
    def _consistent(self) -> InputSpec:
        height, width = self.size
        if height < 1 or width < 1:
            raise ValueError(f"size {list(self.size)} must be two positive numbers")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels:
                raise ValueError(
                    f"{name} {list(values)} must be {self.channels} numbers, one a channel"
                )
        if any(s <= 0 for s in self.std):
            raise ValueError(f"std {list(self.std)} must be positive")
        if self.frames != "all" and self.every != 1:
            raise ValueError(f'every {self.every} needs frames = "all"')
        self._check_geometry()
        self._check_flow()
        return self

    def _check_geometry(self) -> None:
        wanted = {"stretch": "full", "short_side": "center", "none": "fovea"}
        if self.crop == "full" and self.resize != "stretch":
            raise ValueError(f'resize = "{self.resize}" needs crop = "{wanted[self.resize]}"')
        if self.crop != wanted[self.resize]:
            resize = next(r for r, crop in wanted.items() if crop == self.crop)
            raise ValueError(f'crop = "{self.crop}" needs resize = "{resize}"')
        if self.resize != "short_side":
            if self.short_side is not None:
                raise ValueError('short_side needs resize = "short_side"')
        elif self.short_side is None or self.short_side < max(self.size):
            raise ValueError(
                f"short_side {self.short_side} must be at least {max(self.size)}, "
                f"the longer side of size {list(self.size)}"
            )

    def _check_flow(self) -> None:
        if self.modality == "flow":
            if min(self.size) < MIN_FLOW_SIDE:
                raise ValueError(
                    f"size {list(self.size)} is too small for optical flow, which needs "
                    f"{MIN_FLOW_SIDE} pixels a side"
                )
            return
        for name in ("flow_method", "flow_interval"):
            if getattr(self, name) is not None:
                raise ValueError(f'{name} needs modality = "flow"')

    @property
    def is_clip(self) -> bool:
        """True where the input has a time axis, or frames stacked into its channels."""
        return "T" in self.layout

    @property
    def takes_clip(self) -> bool:
        """True where the bundle's graph takes several frames for it, `(N, K, H, W, channels)`."""
        return self.is_clip or self.modality == "rgb_diff"

    @property
    def channels(self) -> int:
        """Of one frame: 3, or the two directions of optical flow."""
        return 2 if self.modality == "flow" else 3

    @property
    def axes(self) -> str:
        """The layout with every axis on its own: stacked frames apart from the channels."""
        plain = self.layout.replace("(", "").replace(")", "")
        return plain if self.is_clip or not self.takes_clip else f"NT{plain[1:]}"

    @property
    def picture(self) -> tuple[Any, ...]:
        """Equal for inputs that are made from the same pixels of a frame."""
        return (self.size, self.resize, self.short_side, self.crop, self.interpolation)

    @property
    def track(self) -> tuple[Any, ...]:
        """Equal for inputs that can share what is kept of every sample."""
        flow = self.modality == "flow"
        return (*self.picture, *((self.flow_method, self.flow_interval) if flow else ()))

    @property
    def starts_before(self) -> bool:
        """True where what belongs to a sample is the flow to it from the sample before."""
        return self.modality == "flow" and self.flow_interval is None

    def items(self, num_frames: int) -> range:
        """Which samples of a window of `num_frames` there is something for it to take of.

        Optical flow between the frames of a window belongs to the later one of each two.
        """
        return range(1 if self.starts_before else 0, num_frames)

    def positions(self, num_frames: int) -> range:
        """Which samples of a window of `num_frames` it is fed."""
        items = self.items(num_frames)
        if self.frames == "pair":
            return items[:: max(len(items) - 1, 1)]
        if self.frames == "first":
            return items[:1]
        return items[-1:] if self.frames == "last" else items[:: self.every]

    def depth(self, num_frames: int) -> int:
        """Length of the model's time axis for windows of `num_frames`."""
        return len(self.positions(num_frames)) - (self.modality == "rgb_diff")

    @property
    def groups(self) -> tuple[str, ...]:
        """The layout's axes behind the batch, stacked ones together: ("TC", "H", "W")."""
        return layout_axes(self.layout)[1:]

    def model_shape(self, num_frames: int) -> tuple[int, ...]:
        """What the model takes of one window, without the batch: lengths of `groups`."""
        lengths = {"T": self.depth(num_frames), "C": self.channels}
        lengths |= dict(zip("HW", self.size, strict=True))
        return tuple(math.prod(lengths[axis] for axis in group) for group in self.groups)

    def feed_shape(self, num_frames: int) -> tuple[int, ...]:
        """What the bundle's graph takes of one window: `(K, H, W, channels)`, or without K."""
        frames = (len(self.positions(num_frames)),) if self.takes_clip else ()
        return (*frames, *self.size, self.channels)


def layout_axes(layout: str) -> tuple[str, ...]:
    """Axis by axis, stacked ones together: `N(TC)HW` is ("N", "TC", "H", "W")."""
    return tuple(re.findall(r"[A-Z]+(?=\))|[A-Z]", layout))


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
        _check_positions(spec, clip.num_frames)
    intervals = {i.flow_interval for i in inputs if i.flow_interval is not None}
    if len(intervals) > 1:
        raise ValueError(f"inputs have different flow_interval: {sorted(intervals)}")
    if clip.sampling == "interval" and any(n > clip.frame_interval for n in intervals):
        raise ValueError(
            f"flow_interval {max(intervals)} is longer than clip.frame_interval "
            f"{clip.frame_interval}; left out, flow goes from each sampled frame to the next"
        )


def _check_positions(spec: InputSpec, num_frames: int) -> None:
    """Raise ValueError where one input cannot be cut from windows of `num_frames`."""
    items = spec.items(num_frames)
    if len(items) % spec.every:
        raise ValueError(
            f"input {spec.name!r}: every {spec.every} does not divide "
            + (f"its {len(items)} flow fields" if items.start else f"num_frames {num_frames}")
        )
    if spec.frames == "pair" and len(items) < 2:
        raise ValueError(f'input {spec.name!r}: frames = "pair" needs num_frames of 2 or more')
    depth = spec.depth(num_frames)
    if depth < 1:
        raise ValueError(
            f"input {spec.name!r} needs at least two frames for {spec.modality}: "
            f"clip.num_frames is {num_frames}"
        )
    if not spec.is_clip and depth > 1:
        raise ValueError(
            f"input {spec.name!r} has layout {spec.layout} without a time axis, but "
            f"clip.num_frames is {num_frames}; which frame it takes must be said: "
            'frames = "first" or frames = "last"'
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
