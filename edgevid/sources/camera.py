"""V4L2 cameras, read with OpenCV."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import cv2
import numpy as np

from edgevid.errors import SourceError, SourceNotFoundError
from edgevid.protocols import WantFrame, every_frame
from edgevid.sources.timestamps import Timeline
from edgevid.types import Array, Frame, FrameTime, SourceInfo, SourceStats

FALLBACK_FPS = 30.0
"""Where the driver names no frame rate."""


class Capture(Protocol):
    """The part of `cv2.VideoCapture` that is used here."""

    def isOpened(self) -> bool: ...

    def grab(self) -> bool: ...

    def retrieve(self) -> tuple[bool, Array]: ...

    def get(self, propId: int) -> float: ...

    def release(self) -> None: ...


class CaptureSource:
    """An opened `cv2.VideoCapture` as a frame source.

    Times are those that the driver stamped on the frames where it does so, else the time at
    which they arrived. Refused frames are grabbed, not converted.

    Args:
        capture: Opened; this source releases it.
        source_id: Name without passwords.
        is_live: False for a pipeline that reads a file.
        backend: For people, such as "V4L2".

    Raises:
        SourceError: It gives no frame.
    """

    def __init__(self, capture: Capture, source_id: str, is_live: bool, backend: str) -> None:
        self._capture = capture
        self._source_id = source_id
        self._is_live = is_live
        fps = capture.get(cv2.CAP_PROP_FPS)
        self._fps = fps if 0 < fps <= 1000 else 0.0
        self._period_s = 1.0 / (self._fps or FALLBACK_FPS)
        self._timeline = Timeline(1.0 / self._period_s)
        self._frames_read = 0
        self._frames_lost = 0
        if not capture.grab():
            capture.release()
            raise SourceError(
                f"{source_id} opened, but gives no frame",
                "Check that no other program uses it, and its cable",
            )
        self._grabbed: int | None = time.monotonic_ns()
        # A driver that stamps nothing answers 0 or -1.
        self._has_stamps = capture.get(cv2.CAP_PROP_POS_MSEC) > 0
        width = round(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = round(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        self._info = SourceInfo(
            width=width,
            height=height,
            fps=self._fps,
            num_frames=None,
            is_live=is_live,
            description=f"{width}x{height} via OpenCV {backend}",
        )

    @property
    def source_id(self) -> str:
        return self._source_id

    @property
    def info(self) -> SourceInfo:
        return self._info

    @property
    def stats(self) -> SourceStats:
        return SourceStats(self._frames_read, self._frames_lost, self._timeline.repaired)

    def read(self, want: WantFrame = every_frame) -> Frame | None:
        """The next frame that `want` accepts; None at the end of a file.

        Raises:
            SourceError: The camera stopped.
        """
        while (frame_time := self._grab()) is not None:
            if not want(frame_time):
                continue
            decoded, image = self._capture.retrieve()
            if decoded:
                return Frame(_as_bgr(image), frame_time, self._source_id)
            self._frames_lost += 1
        return None

    def _grab(self) -> FrameTime | None:
        received_ns = self._grabbed
        self._grabbed = None
        if received_ns is None:
            if not self._capture.isOpened():
                return None
            if not self._capture.grab():
                if self._is_live:
                    raise SourceError(
                        f"{self._source_id} stopped after {self._frames_read} frames",
                        "Check the cable and whether another program took the device",
                    )
                return None
            received_ns = time.monotonic_ns()
        stamp_s = received_ns / 1e9
        if self._has_stamps:
            stamp_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
        pts_s = self._timeline.place(stamp_s)
        frame_time = FrameTime(self._frames_read, pts_s, pts_s + self._period_s, received_ns)
        self._frames_read += 1
        return frame_time

    def close(self) -> None:
        """Release the device; `read` then gives None."""
        self._grabbed = None
        self._capture.release()


def open_camera(name: str) -> CaptureSource:
    """Open a V4L2 camera, by number or /dev/videoN.

    Raises:
        SourceNotFoundError: There is no such device.
        SourceError: It cannot be opened, or gives no frame.
    """
    device = f"/dev/video{name}" if name.isdecimal() else name
    if not os.path.exists(device):
        present = sorted(d for d in os.listdir("/dev") if d.startswith("video"))
        found = ", ".join(f"/dev/{d}" for d in present) or "no camera"
        raise SourceNotFoundError(f"no such camera: {device}", f"This machine has {found}")
    with _silent_opencv():
        capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
        if not capture.isOpened():
            raise SourceError(
                f"the camera {device} cannot be opened",
                "Check that no other program uses it, and that you are in the group `video`",
            )
        # A longer queue hands over frames that are already old.
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return CaptureSource(capture, device, is_live=True, backend="V4L2")


@contextmanager
def _silent_opencv() -> Iterator[None]:
    """Keep OpenCV's own warnings off stderr while a device is opened: errors say it all."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(0)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _as_bgr(image: Array) -> Array:
    if image.ndim == 2:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
    if image.shape[2] == 4:
        # Jetson's converter gives BGRx; the fourth byte means nothing.
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGRA2BGR))
    return image
