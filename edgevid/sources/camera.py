"""V4L2 cameras, read with OpenCV."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import cv2
import numpy as np

from edgevid.errors import SourceError
from edgevid.protocols import WantFrame, every_frame
from edgevid.sources.timestamps import Timeline
from edgevid.sources.v4l2 import CameraFinder, CameraOptions, parse_camera
from edgevid.types import Array, Frame, FrameTime, SourceInfo, SourceStats

FALLBACK_FPS = 30.0
"""Where the driver names no frame rate."""

_OLDEST_NS = 2_000_000_000
"""No frame waits for longer in a camera's queue; a stamp that says so is of another clock."""

_TIMEOUT = "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"
"""OpenCV reads it, in seconds, when it waits for a camera for the first time."""


class Capture(Protocol):
    """The part of `cv2.VideoCapture` that is used here."""

    def isOpened(self) -> bool: ...

    def grab(self) -> bool: ...

    def retrieve(self) -> tuple[bool, Array]: ...

    def get(self, propId: int) -> float: ...

    def set(self, propId: int, value: float) -> bool: ...

    def release(self) -> None: ...


class CaptureSource:
    """An opened `cv2.VideoCapture` of a camera as a live frame source.

    Times are those that the driver stamped on the frames where it does so, else the time at
    which they arrived. Refused frames are grabbed, not converted.

    Args:
        capture: Opened; this source releases it.
        source_id: Name for people.
        read_timeout_s: How long `capture` waits for a frame before it gives up.

    Raises:
        SourceError: It gives no frame.
    """

    def __init__(self, capture: Capture, source_id: str, read_timeout_s: float = 10.0) -> None:
        self._capture = capture
        self._source_id = source_id
        self._read_timeout_s = read_timeout_s
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
            is_live=True,
            description=f"{width}x{height} via OpenCV V4L2",
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
        """The next frame that `want` accepts; None once closed.

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
            asked_s = time.monotonic()
            if not self._capture.grab():
                raise self._stopped(time.monotonic() - asked_s)
            received_ns = time.monotonic_ns()
        stamp_s, taken_ns = received_ns / 1e9, 0
        if self._has_stamps:
            stamp_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
            taken_ns = _on_our_clock(stamp_s, received_ns)
        pts_s = self._timeline.place(stamp_s)
        frame_time = FrameTime(
            self._frames_read, pts_s, pts_s + self._period_s, received_ns, taken_ns=taken_ns
        )
        self._frames_read += 1
        return frame_time

    def _stopped(self, waited_s: float) -> SourceError:
        reason = f"stopped after {self._frames_read} frames"
        if waited_s >= 0.9 * self._read_timeout_s:
            reason = f"broke off: nothing came for {waited_s:.0f} s"
        return SourceError(
            f"{self._source_id} {reason}",
            "Check the cable and whether another program took the device",
        )

    def close(self) -> None:
        """Release the device; `read` then gives None."""
        self._grabbed = None
        self._capture.release()


def _on_our_clock(stamp_s: float, received_ns: int) -> int:
    """The driver's stamp in nanoseconds; 0 where it is of another clock.

    Drivers stamp with the monotonic clock of the kernel (V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC),
    `time.monotonic_ns()`; some count from another zero, and then it is no time of capture.
    """
    taken_ns = round(stamp_s * 1e9)
    return taken_ns if 0 <= received_ns - taken_ns <= _OLDEST_NS else 0


def open_camera(uri: str, read_timeout_s: float = 10.0) -> CaptureSource:
    """Open a V4L2 camera.

    Args:
        uri: See `edgevid.sources.v4l2`.
        read_timeout_s: How long it may be silent, in whole seconds. OpenCV keeps the first one
            of a process for all cameras.

    Raises:
        SourceNotFoundError: There is no such device.
        SourceError: It cannot be opened, has not what is asked of it, or gives no frame.
    """
    device, options = parse_camera(uri)
    path = CameraFinder(device).find()
    timeout = os.environ.setdefault(_TIMEOUT, str(max(1, round(read_timeout_s))))
    with _silent_opencv():
        capture = cv2.VideoCapture(str(path), cv2.CAP_V4L2)
        if not capture.isOpened():
            raise SourceError(
                f"the camera {device} cannot be opened",
                "Check that no other program uses it, and that you are in the group `video`",
            )
        try:
            apply_options(capture, device, options)
        except BaseException:
            capture.release()
            raise
        return CaptureSource(capture, device, float(timeout))


def apply_options(capture: Capture, device: str, options: CameraOptions) -> None:
    """Ask a camera for a format, a size and a rate.

    Raises:
        SourceError: It takes another format or size than the one that was asked for. The rate
            is a wish: a camera may be slower in the dark.
    """
    wanted: list[tuple[int, float]] = []
    if options.format is not None:
        wanted.append((cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*options.format)))
    if options.size is not None:
        wanted.append((cv2.CAP_PROP_FRAME_WIDTH, options.size[0]))
        wanted.append((cv2.CAP_PROP_FRAME_HEIGHT, options.size[1]))
    if options.fps is not None:
        wanted.append((cv2.CAP_PROP_FPS, options.fps))
    # A longer queue hands over frames that are already old.
    for key, value in (*wanted, (cv2.CAP_PROP_BUFFERSIZE, 1)):
        capture.set(key, value)
    for key, value in wanted:
        if key != cv2.CAP_PROP_FPS and round(capture.get(key)) != value:
            raise SourceError(
                f"{device} does not give {_asked(options)}",
                f"See what it has: v4l2-ctl --device {device} --list-formats-ext",
            )


def _asked(options: CameraOptions) -> str:
    size = "" if options.size is None else f"{options.size[0]}x{options.size[1]}"
    return " ".join(part for part in (options.format, size) if part)


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
