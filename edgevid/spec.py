"""The temporal and pictorial contract of a model.

The same words stand in a user's `spec.toml` and in a bundle's manifest. Unknown keys are
refused. See docs/spec.md for a worked page.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from edgevid.inputs import InputSpec, check_positions
from edgevid.strict import Strict, parse

__all__ = [
    "DEFAULT_WINDOW_S",
    "ClipSpec",
    "InputSpec",
    "OutputKind",
    "OutputSpec",
    "Sampling",
    "Spec",
    "StateSpec",
    "StateType",
    "Strict",
    "check_states",
    "check_time_axes",
    "parse",
]

Sampling = Literal["uniform", "segments", "interval"]
OutputKind = Literal["logits", "probabilities", "sigmoid"]
StateType = Literal[
    "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"
]

DEFAULT_WINDOW_S = 2.0
"""Span of a live window where a `uniform` or `segments` contract does not say."""


_HOP_TOLERANCE = 0.01


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
        check_positions(spec, clip.num_frames)
    intervals = {i.flow_interval for i in inputs if i.flow_interval is not None}
    if len(intervals) > 1:
        raise ValueError(f"inputs have different flow_interval: {sorted(intervals)}")
    if clip.sampling == "interval" and any(n > clip.frame_interval for n in intervals):
        raise ValueError(
            f"flow_interval {max(intervals)} is longer than clip.frame_interval "
            f"{clip.frame_interval}; left out, flow goes from each sampled frame to the next"
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
