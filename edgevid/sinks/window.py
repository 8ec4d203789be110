"""A window with the sampled frames and the current answer (`--show`)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import cv2

from edgevid.errors import OutputError
from edgevid.sinks.overlay import Overlay
from edgevid.types import Frame, Prediction

MAX_WINDOWS = 4
_ESCAPE = 27
_STOP_KEYS = (ord("q"), ord("Q"), _ESCAPE)
# To be resized by hand, in proportion, without Qt's tool bar.
_WINDOW_FLAGS = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
_PROBE = "import cv2; cv2.namedWindow('edgevid'); cv2.destroyAllWindows()"
_PROBE_TIMEOUT_S = 60


class WindowSink:
    """Shows every source in a window of its own; at most four, the newest.

    Call `write_frame` and `close` from one thread: window toolkits ask for that.

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
        _probe_display()
        self._title = title
        self._overlay = Overlay(labels)
        self._windows: list[str] = []
        self.stop_requested = False

    def write(self, prediction: Prediction) -> None:
        """Draw this prediction on the frames of its source that come after it."""
        self._overlay.note(prediction)

    def write_frame(self, frame: Frame) -> None:
        """Show one frame, and look for keys."""
        # Before anything is shown: imshow would open a closed window again.
        self.stop_requested = self.stop_requested or not all(map(_is_open, self._windows))
        if self.stop_requested:
            return
        cv2.imshow(self._window(frame), self._overlay.draw(frame))
        self.stop_requested = cv2.pollKey() & 0xFF in _STOP_KEYS

    def close(self) -> None:
        """Close the windows."""
        for name in self._windows:
            # One that the user closed is gone already, and may not be destroyed again.
            if _is_open(name):
                cv2.destroyWindow(name)
        self._windows.clear()

    def _window(self, frame: Frame) -> str:
        name = f"{self._title} - {frame.source_id}"
        if name not in self._windows:
            if len(self._windows) == MAX_WINDOWS:
                cv2.destroyWindow(self._windows.pop(0))
            cv2.namedWindow(name, _WINDOW_FLAGS)
            cv2.resizeWindow(name, frame.data.shape[1], frame.data.shape[0])
            self._windows.append(name)
        return name


def _is_open(name: str) -> bool:
    return bool(cv2.getWindowProperty(name, cv2.WND_PROP_VISIBLE) >= 1)


def _probe_display() -> None:
    """Open a window in another process: without a display Qt ends the one that asks."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise OutputError("no window opens: the display does not answer", "Check DISPLAY") from None
    if done.returncode == 0:
        return
    if "not implemented" in done.stderr:
        raise OutputError(
            "no window opens: this OpenCV was built without them",
            "Run: pip uninstall opencv-python-headless && pip install --force-reinstall "
            "opencv-python",
        )
    lines = done.stderr.strip().splitlines() or ["for no stated reason"]
    raise OutputError(
        f"no window opens: {'there is no display' if 'display' in done.stderr else lines[-1]}",
        "Run on a desktop, set DISPLAY (over ssh: ssh -X), or write a video file instead",
    )
