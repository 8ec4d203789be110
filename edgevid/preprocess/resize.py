"""Crop and resize a frame to a model input, exactly as the contract says.

`short_side` follows torchvision's `Resize` and `CenterCrop`: the shorter side becomes
`short_side`, the longer one `int(short_side * longer / shorter)`, and the crop starts at
`round((resized - size) / 2)`. A fovea (Karpathy et al. 2014) is the centre of the frame as it
comes, cut out where that crop would start.

Only the part of the picture that the crop needs is resized. That gives the same pixels as
resizing all of it where the part starts and ends on whole pixels in both pictures:

    source   0        256                    1024     1280    (1280 -> 455: ratio 256 / 91)
             |.........|======================|.........|
    resized  0        91    116       340    364      455
                       |.....[  crop  ].......|

Every 91 resized pixels are 256 source pixels, so the part from 91 to 364 is resized alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Literal, cast

import cv2
import numpy as np

from edgevid.spec import InputSpec
from edgevid.types import UInt8Array

_INTERPOLATIONS = {
    "linear": cv2.INTER_LINEAR,
    "area": cv2.INTER_AREA,
    "cubic": cv2.INTER_CUBIC,
}


CropPlace = Literal["first", "centre", "last"]
"""Where along the longer side a crop lies: left, centre, right; or top, centre, bottom."""


class FrameTooSmall(ValueError):
    """A frame is smaller than the fovea that shall be cut from it."""


@dataclass(frozen=True)
class _Axis:
    """Along one axis: resize `source` to `length` pixels, then keep `crop`."""

    source: slice
    length: int
    crop: slice


class Resizer:
    """Makes the pixels of one input from frames of any size.

    Args:
        spec: The input's contract.
        fast: Round the source rectangle behind the crop to whole pixels, so that exactly the
            crop is resized. The picture shifts by up to half a source pixel (about 1.3 grey
            levels on average at 1280x720 to 224); off unless asked for.
        place: Of a centre crop, for test protocols that look at three; along the shorter
            side it stays in the centre.
    """

    def __init__(self, spec: InputSpec, fast: bool = False, place: CropPlace = "centre") -> None:
        self._spec = spec
        self._fast = fast
        self._place = place
        self._interpolation = _INTERPOLATIONS[spec.interpolation]
        self._frame_size: tuple[int, int] | None = None
        self._axes: tuple[_Axis, _Axis] | None = None

    def __call__(self, frame: UInt8Array) -> UInt8Array:
        """Crop and resize one frame.

        Args:
            frame: `(H, W, 3)` uint8 BGR, any size.

        Returns:
            `(h, w, 3)` uint8 BGR with (h, w) = `spec.size`; may be a view of a larger array,
            or the frame itself where it has that size already.

        Raises:
            FrameTooSmall: It is smaller than the fovea.
        """
        if frame.shape[:2] == self._spec.size and self._spec.resize == "stretch":
            return frame
        if self._spec.resize == "none":
            return self._fovea(frame)
        rows, columns = self._plan(frame.shape[0], frame.shape[1])
        resized = cv2.resize(
            frame[rows.source, columns.source],
            (columns.length, rows.length),
            interpolation=self._interpolation,
        )
        return cast(UInt8Array, resized[rows.crop, columns.crop])

    def _fovea(self, frame: UInt8Array) -> UInt8Array:
        (height, width), (out_height, out_width) = frame.shape[:2], self._spec.size
        if height < out_height or width < out_width:
            raise FrameTooSmall(
                f"its picture is {width}x{height}, and the fovea of input {self._spec.name!r} "
                f"takes the centre {out_width}x{out_height}"
            )
        top, left = round((height - out_height) / 2), round((width - out_width) / 2)
        # Not a view: it would keep the whole frame in memory.
        return np.array(frame[top : top + out_height, left : left + out_width])

    def _plan(self, height: int, width: int) -> tuple[_Axis, _Axis]:
        if self._axes is None or self._frame_size != (height, width):
            self._frame_size = (height, width)
            self._axes = self._axes_for(height, width)
        return self._axes

    def _axes_for(self, height: int, width: int) -> tuple[_Axis, _Axis]:
        out_height, out_width = self._spec.size
        if self._spec.resize == "stretch":
            return _whole(height, out_height), _whole(width, out_width)
        short_side = cast(int, self._spec.short_side)
        shorter = min(height, width)
        scaled_height = int(short_side * height / shorter)
        scaled_width = int(short_side * width / shorter)
        upright = height > width
        return (
            self._cropped(height, scaled_height, out_height, self._place if upright else "centre"),
            self._cropped(width, scaled_width, out_width, "centre" if upright else self._place),
        )

    def _cropped(self, source: int, scaled: int, out: int, place: CropPlace) -> _Axis:
        room = scaled - out
        start = {"first": 0, "centre": round(room / 2), "last": room}[place]
        if self._fast:
            ratio = source / scaled
            first = round(start * ratio)
            last = max(round((start + out) * ratio), first + 1)
            return _Axis(slice(first, last), out, slice(0, out))
        # Cubic, area and enlarging filters look beyond the rectangle: resize the whole axis.
        if self._spec.interpolation != "linear" or scaled > source:
            return _Axis(slice(0, source), scaled, slice(start, start + out))
        return _aligned(source, scaled, start, out)


def _whole(source: int, out: int) -> _Axis:
    return _Axis(slice(0, source), out, slice(0, out))


def _aligned(source: int, scaled: int, start: int, out: int) -> _Axis:
    """The smallest part around the crop that lies on whole pixels in both pictures."""
    common = gcd(source, scaled)
    source_step, scaled_step = source // common, scaled // common
    first = start // scaled_step
    last = -(-(start + out) // scaled_step)
    offset = start - first * scaled_step
    return _Axis(
        slice(first * source_step, last * source_step),
        (last - first) * scaled_step,
        slice(offset, offset + out),
    )
