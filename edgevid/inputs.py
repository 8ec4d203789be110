"""How one input of a model is made from the frames of a window."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from edgevid.strict import Strict

Modality = Literal["rgb", "rgb_diff", "flow"]
Layout = Literal["NCHW", "NHWC", "NCTHW", "NTCHW", "NTHWC", "N(TC)HW", "N(CT)HW"]
Frames = Literal["all", "pair", "first", "last"]
FlowMethod = Literal["dis-ultrafast", "dis-fast", "dis-medium", "farneback", "nvidia"]
FLOW_METHODS: tuple[str, ...] = get_args(FlowMethod)

MIN_FLOW_SIDE = 16
"""Pixels; OpenCV's DIS flow fails below 12."""


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


def check_positions(spec: InputSpec, num_frames: int) -> None:
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
