"""The window: its logic with a fake OpenCV window, the real one where there is Xvfb."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgevid.errors import OutputError
from edgevid.protocols import FrameSink, Sink
from edgevid.sinks import window
from edgevid.sinks.window import WindowSink
from edgevid.types import Frame, FrameTime


def _frame(source: str = "cam0", pts_s: float = 0.0) -> Frame:
    image = np.full((240, 320, 3), (10, 200, 60), np.uint8)
    return Frame(image, FrameTime(0, pts_s, pts_s + 0.04), source)


class _FakeWindows:
    """What OpenCV's windows do, without a display."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open: list[str] = []
        self.shown: list[str] = []
        self.key = -1
        monkeypatch.setattr(window, "_probe_display", lambda: None)
        monkeypatch.setattr(cv2, "namedWindow", lambda name, _: self.open.append(name))
        monkeypatch.setattr(cv2, "resizeWindow", lambda *_: None)
        monkeypatch.setattr(cv2, "imshow", self._show)
        monkeypatch.setattr(cv2, "pollKey", lambda: self.key)
        monkeypatch.setattr(
            cv2, "getWindowProperty", lambda name, _: 1.0 if name in self.open else -1.0
        )
        monkeypatch.setattr(cv2, "destroyWindow", self.open.remove)

    def _show(self, name: str, _: object) -> None:
        if name not in self.open:
            self.open.append(name)  # as the real one does
        self.shown.append(name)


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> _FakeWindows:
    return _FakeWindows(monkeypatch)


@pytest.mark.parametrize("key", [ord("q"), ord("Q"), 27, 0x100000 | ord("q")])
def test_q_and_escape_ask_for_a_stop(windows: _FakeWindows, key: int) -> None:
    sink = WindowSink("demo")
    assert isinstance(sink, Sink)
    assert isinstance(sink, FrameSink)
    for windows.key in (-1, ord("x")):
        sink.write_frame(_frame())
        assert not sink.stop_requested
    windows.key = key
    sink.write_frame(_frame())
    assert sink.stop_requested
    sink.write_frame(_frame())
    assert len(windows.shown) == 3
    sink.close()
    assert windows.open == []


def test_closing_a_window_asks_for_a_stop(windows: _FakeWindows) -> None:
    sink = WindowSink("demo")
    sink.write_frame(_frame("a"))
    sink.write_frame(_frame("b"))
    windows.open.remove("demo - a")
    sink.write_frame(_frame("b"))
    assert sink.stop_requested
    sink.close()
    assert windows.open == []


def test_sources_have_their_own_windows_and_the_oldest_goes(windows: _FakeWindows) -> None:
    sink = WindowSink("demo")
    for n in range(window.MAX_WINDOWS + 2):
        sink.write_frame(_frame(f"s{n}"))
        sink.write_frame(_frame(f"s{n}"))
    assert windows.open == [f"demo - s{n}" for n in range(2, window.MAX_WINDOWS + 2)]
    assert not sink.stop_requested


@pytest.mark.parametrize("display", [None, ":4711"])
def test_without_a_display_one_clear_error(monkeypatch, display: str | None) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    if display is not None:
        monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(OutputError, match="no window opens") as caught:
        WindowSink()
    assert "DISPLAY" in caught.value.hint or "opencv-python" in caught.value.hint


def test_an_opencv_without_windows_is_told_apart(monkeypatch) -> None:
    # The words of opencv-python-headless 4.10 and 5.0.
    message = (
        "cv2.error: OpenCV(4.10.0) /io/opencv/modules/highgui/src/window.cpp:1301: error: "
        "(-2:Unspecified error) The function is not implemented. Rebuild the library with "
        "Windows, GTK+ 2.x or Cocoa support. in function 'cvNamedWindow'"
    )
    probe = f"import sys; sys.exit({message!r})"
    monkeypatch.setattr(window, "_PROBE", probe)
    with pytest.raises(OutputError, match="built without them") as caught:
        WindowSink()
    assert "pip install --force-reinstall opencv-python" in caught.value.hint


_SHOW = """
import cv2, sys
import numpy as np
from edgevid.sinks.window import WindowSink
from edgevid.types import Frame, FrameTime

sink = WindowSink("demo")
frame = Frame(np.full((240, 320, 3), (10, 200, 60), np.uint8), FrameTime(0, 1.0, 1.1), "cam0")
for _ in range(5):
    sink.write_frame(frame)
print(sink.stop_requested, flush=True)
sys.stdin.readline()
cv2.destroyAllWindows()
sink.write_frame(frame)
print(sink.stop_requested)
sink.close()
"""


def test_a_real_window(tmp_path: Path) -> None:
    server_path = shutil.which("Xvfb")
    if server_path is None:
        pytest.skip("Xvfb is not installed: no display to open a window on")
    number_read, number_write = os.pipe()
    command = [server_path, "-displayfd", str(number_write), "-screen", "0", "640x480x24"]
    with subprocess.Popen(
        [*command, "-fbdir", str(tmp_path)], pass_fds=[number_write], stderr=subprocess.DEVNULL
    ) as server:
        try:
            with os.fdopen(number_read) as numbers:
                display = f":{numbers.readline().strip()}"
            with subprocess.Popen(
                [sys.executable, "-c", _SHOW],
                env={**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            ) as shower:
                assert shower.stdout is not None
                assert shower.stdout.readline() == "False\n"
                green = (_screen(tmp_path / "Xvfb_screen0") == (10, 200, 60)).all(axis=2)
                rest, _ = shower.communicate("\n", timeout=30)
            assert rest == "True\n", "a window that is gone asks for a stop"
        finally:
            os.close(number_write)
            server.terminate()
    assert 0.8 < green.sum() / (320 * 240) <= 1.0


def _screen(path: Path) -> np.ndarray:
    """Xvfb's screen `(H, W, 3)` BGR from its dump, an XWD file (X11's XWDFile.h)."""
    data = path.read_bytes()
    header = struct.unpack(">25I", data[:100])
    width, height, line, colours = header[4], header[5], header[12], header[19]
    pixels = np.frombuffer(data, np.uint8, line * height, header[0] + 12 * colours)
    return pixels.reshape(height, line)[:, : 4 * width].reshape(height, width, 4)[:, :, :3]
