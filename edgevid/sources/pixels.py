"""Decoded pictures to upright BGR arrays."""

from __future__ import annotations

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from edgevid.types import UInt8Array

_UPRIGHT = {
    90: cv2.ROTATE_90_COUNTERCLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_CLOCKWISE,
}
"""Counter-clockwise degrees, as FFmpeg's display matrix has them, to OpenCV's turn."""

_COLORSPACES = {1: 1, 4: 4, 7: 7, 9: 9, 10: 9}
"""FFmpeg's AVCOL_SPC_* of a frame to the scaler's SWS_CS_*: BT.709, FCC, SMPTE 240M, BT.2020."""

_BT601 = 5
"""SWS_CS_ITU601, the scaler's default, for the frames that name no other."""

_FULL_RANGE = 2
"""AVCOL_RANGE_JPEG: BGR is always 0 to 255."""


class BgrConverter:
    """Converts the frames of one stream; holds the scaler's tables between frames.

    Pixels equal those of `cv2.VideoCapture` of OpenCV 5, which uses the same library with
    the same (bicubic) flag. Quarter turns of the display matrix are applied, other angles
    are not.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        # One thread: by default PyAV starts one a core for every picture. PyAV before 17
        # knows no such parameter and uses one.
        self._options: dict[str, int] = {"threads": 1}

    def __call__(self, frame: av.VideoFrame) -> UInt8Array:
        """`(H, W, 3)` uint8 BGR, upright and C-contiguous."""
        image = _as_array(self._reformat(frame))
        turn = _UPRIGHT.get(frame.rotation % 360)
        return image if turn is None else np.asarray(cv2.rotate(image, turn), np.uint8)

    def _reformat(self, frame: av.VideoFrame) -> av.VideoFrame:
        try:
            # Colour space and range are spelt out: PyAV before 17 takes BT.601 for all.
            return self._reformatter.reformat(
                frame,
                format="bgr24",
                interpolation="BICUBIC",
                src_colorspace=_COLORSPACES.get(frame.colorspace, _BT601),
                dst_colorspace=_BT601,
                src_color_range=frame.color_range,
                dst_color_range=_FULL_RANGE,
                **self._options,
            )
        except TypeError:
            if not self._options:
                raise
            self._options = {}
            return self._reformat(frame)


def upright_size(frame: av.VideoFrame) -> tuple[int, int]:
    """Width and height after `BgrConverter`."""
    if frame.rotation % 180 == 90:
        return frame.height, frame.width
    return frame.width, frame.height


def _as_array(frame: av.VideoFrame) -> UInt8Array:
    plane = frame.planes[0]
    if plane.line_size == 3 * frame.width:
        # No padding between rows: a view of the plane, which it keeps alive.
        image: UInt8Array = np.ndarray((frame.height, frame.width, 3), np.uint8, plane)
        return image
    return np.ascontiguousarray(frame.to_ndarray(), np.uint8)
