"""Raw pictures as GStreamer lays them out in memory, to BGR."""

from __future__ import annotations

from collections.abc import Mapping

import av
import cv2
import numpy as np

from edgevid.sources.pixels import BgrConverter
from edgevid.types import UInt8Array

# FFmpeg's names, and for each plane: columns and rows that share a value, bytes of a value.
_PLANAR = {
    "I420": ("yuv420p", ((1, 1, 1), (2, 2, 1), (2, 2, 1))),
    "NV12": ("nv12", ((1, 1, 1), (2, 2, 2))),
    "Y42B": ("yuv422p", ((1, 1, 1), (2, 1, 1), (2, 1, 1))),
    "Y444": ("yuv444p", ((1, 1, 1), (1, 1, 1), (1, 1, 1))),
    "I420_10LE": ("yuv420p10le", ((1, 1, 2), (2, 2, 2), (2, 2, 2))),
}
_PACKED = {"BGR": 3, "BGRx": 4, "GRAY8": 1}

FORMATS = (*_PLANAR, *_PACKED)
"""What can be read, by GStreamer's names."""

# GStreamer's names of matrices, and their numbers in `range:matrix:transfer:primaries`
# (gst-plugins-base, video-color.c), to FFmpeg's AVCOL_SPC_*.
_MATRICES = {"bt709": 1, "bt601": 5, "smpte240m": 7, "bt2020": 9, "bt2020-10": 9}
_MATRIX_NUMBERS = {2: 4, 3: 1, 4: 5, 5: 7, 6: 9}
_UNSPECIFIED, _LIMITED, _FULL = 2, 1, 2


class RawPictures:
    """Converts pictures of one format; holds the scaler's tables between them.

    YUV takes the way of decoded files (`BgrConverter`), so its colours are the same. The layout
    is that of `gst_video_info_set_format`: rows begin at multiples of 4 bytes, and where colour
    is shared by two rows a picture of odd height has room for one row more.

    Args:
        caps: Fields of the format, see `edgevid.sources.gdp.parse_caps`.

    Raises:
        ValueError: The format is none of `FORMATS`, or has no size.
    """

    def __init__(self, caps: Mapping[str, str]) -> None:
        self.format = caps.get("format", "")
        width, height = caps.get("width", ""), caps.get("height", "")
        is_raw = caps.get("media") == "video/x-raw" and self.format in FORMATS
        if not (is_raw and width.isdecimal() and height.isdecimal()):
            raise ValueError(f"{caps.get('media', 'nothing')} {self.format} {width}x{height}")
        self.width, self.height = int(width), int(height)
        self.num_bytes = 0
        self._planes: list[tuple[int, int, int, int]] = []  # offset, stride, rows, bytes in a row
        if self.format in _PLANAR:
            name, shapes = _PLANAR[self.format]
            whole_rows = max(rows for _, rows, _ in shapes)
            for columns, rows, size in shapes:
                self._add_plane(columns, rows, size, whole_rows)
            self._frame = av.VideoFrame(self.width, self.height, name)
            self._frame.colorspace, self._frame.color_range = _colours(caps.get("colorimetry", ""))
            self._convert = BgrConverter()
        else:
            self._add_plane(1, 1, _PACKED[self.format])

    def _add_plane(self, columns: int, rows: int, size: int, whole_rows: int = 1) -> None:
        stride = _up(_up(self.width, columns) // columns * size, 4)
        used = -(-self.height // rows)
        held = _up(self.height, whole_rows) // rows
        row_bytes = -(-self.width // columns) * size
        self._planes.append((self.num_bytes, stride, used, row_bytes))
        self.num_bytes += stride * held

    def __call__(self, data: UInt8Array) -> UInt8Array:
        """`(num_bytes,)` uint8 to `(H, W, 3)` uint8 BGR, which may be a view of `data`."""
        if self.format in _PLANAR:
            for plane, place in zip(self._frame.planes, self._planes, strict=True):
                rows, row_bytes = place[2:]
                target = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
                target[:rows, :row_bytes] = _rows(data, *place)
            return self._convert(self._frame)
        image = _rows(data, *self._planes[0]).reshape(self.height, self.width, -1)
        if self.format == "BGRx":
            return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGRA2BGR), np.uint8)
        if self.format == "GRAY8":
            return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
        return np.ascontiguousarray(image)


def _rows(data: UInt8Array, offset: int, stride: int, rows: int, row_bytes: int) -> UInt8Array:
    return data[offset : offset + stride * rows].reshape(rows, stride)[:, :row_bytes]


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _colours(colorimetry: str) -> tuple[int, int]:
    """FFmpeg's colour space and range; unspecified where GStreamer names none."""
    parts = colorimetry.split(":")
    if len(parts) == 4 and all(part.isdecimal() for part in parts):
        matrix = _MATRIX_NUMBERS.get(int(parts[1]), _UNSPECIFIED)
        return matrix, _FULL if parts[0] == "1" else _LIMITED
    return _MATRICES.get(colorimetry, _UNSPECIFIED), _LIMITED
