"""A window with the sampled frames and the current answer (`--show`)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import cv2

from edgevid.errors import OutputError
from edgevid.sinks import viewer
from edgevid.sinks.overlay import Overlay
from edgevid.types import Frame, Prediction, UInt8Array

_MAX_WIDTH, _MAX_HEIGHT = 1280, 720
_SMALL_WIDTH, _SMALL_HEIGHT = 640, 480
_CLOSE_TIMEOUT_S = 5.0


class WindowSink:
    """Shows every source in a window of its own; at most four, the newest.

    Frames beyond 1280 by 720 pixels are shown smaller, small ones two or more times as large.

    Args:
        title: Of the windows; each adds the name of its source.
        labels: Where given, the three best classes are drawn (see `Overlay`).

    Attributes:
        stop_requested: True once the user pressed q or Esc or closed a window. Whoever feeds
            the sink looks at it and ends; further frames are not shown.

    Raises:
        OutputError: This OpenCV has no windows, or there is no display.
    """

    def __init__(self, title: str = "edgevid", labels: Sequence[str] = ()) -> None:
        self._title = title
        self._overlay = Overlay(labels)
        self.stop_requested = False
        self._shown = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._viewer = subprocess.Popen(
            [sys.executable, viewer.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._await_reply()

    def write(self, prediction: Prediction) -> None:
        """Draw this prediction on the frames of its source that come after it."""
        self._overlay.note(prediction)

    def write_frame(self, frame: Frame) -> None:
        """Show one frame.

        Raises:
            OutputError: The display is gone.
        """
        if not self._shown:
            self._await_reply()
        if self.stop_requested:
            return
        image = self._overlay.draw(replace(frame, data=_fit_screen(frame.data)))
        name = f"{self._title} - {frame.source_id}".encode("utf-8", "replace")
        assert self._viewer.stdin is not None
        try:
            self._viewer.stdin.write(viewer.HEADER.pack(len(name), *image.shape[:2]) + name)
            self._viewer.stdin.write(image.data)
            self._viewer.stdin.flush()
        except BrokenPipeError:
            raise self._failure() from None
        self._shown = False

    def close(self) -> None:
        """Close the windows."""
        for pipe in (self._viewer.stdin, self._viewer.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):  # a frame that nobody took any more
                pipe.close()
        try:
            self._viewer.wait(_CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._viewer.kill()
            self._viewer.wait()
        self._errors.close()

    def _await_reply(self) -> None:
        # Only now, when the next frame is there: the last one was shown in the meantime.
        assert self._viewer.stdout is not None
        reply = self._viewer.stdout.read(1)
        if not reply:
            raise self._failure()
        self._shown = True
        self.stop_requested = reply == viewer.STOP

    def _failure(self) -> OutputError:
        """Why the viewer ended, from its last words."""
        self._viewer.wait()
        self._errors.seek(0)
        words = self._errors.read().decode("utf-8", "replace").strip()
        self.close()
        if "not implemented" in words:
            return OutputError(
                "no window opens: this OpenCV was built without them",
                "Run: pip uninstall opencv-python-headless && pip install --force-reinstall "
                "opencv-python",
            )
        reason = "there is no display" if "display" in words else words[-200:]
        return OutputError(
            f"no window opens: {reason}",
            "Run on a desktop, set DISPLAY (over ssh: ssh -X), or write a video file instead",
        )


def _fit_screen(image: UInt8Array) -> UInt8Array:
    """The picture no larger than most screens, and a small one enlarged by a whole number."""
    height, width = image.shape[:2]
    scale = min(_MAX_WIDTH / width, _MAX_HEIGHT / height)
    if scale >= 1:
        scale = max(1, min(_SMALL_WIDTH // width, _SMALL_HEIGHT // height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    fitted: UInt8Array = cv2.resize(image, size, interpolation=method)
    return fitted
