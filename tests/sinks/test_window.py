"""The window: each part without a display, the whole of it where there is Xvfb."""

from __future__ import annotations

import io
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgevid.errors import OutputError
from edgevid.protocols import FrameSink, Sink
from edgevid.sinks import viewer
from edgevid.sinks.viewer import GOING, HEADER, STOP, Windows
from edgevid.sinks.window import WindowSink
from edgevid.types import Frame, FrameTime, Prediction, UInt8Array

GREEN = (10, 200, 60)


def _frame(source: str = "cam0", shape: tuple[int, int] = (240, 320)) -> Frame:
    return Frame(np.full((*shape, 3), GREEN, np.uint8), FrameTime(0, 1.0, 1.1), source)


class _FakeOpenCV:
    """What OpenCV's windows do, without a display."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.titles: dict[str, str] = {}
        self.key = -1
        monkeypatch.setattr(cv2, "namedWindow", lambda name, _: self.titles.update({name: name}))
        monkeypatch.setattr(cv2, "setWindowTitle", self.titles.__setitem__)
        monkeypatch.setattr(cv2, "imshow", lambda *_: None)
        monkeypatch.setattr(cv2, "pollKey", lambda: self.key)
        monkeypatch.setattr(
            cv2, "getWindowProperty", lambda name, _: 1.0 if name in self.titles else -1.0
        )


@pytest.fixture
def opencv(monkeypatch: pytest.MonkeyPatch) -> _FakeOpenCV:
    return _FakeOpenCV(monkeypatch)


# GTK puts the modifiers above the low byte.
_KEYS = {-1: False, ord("x"): False, ord("q"): True, ord("Q"): True, 27: True, 0x100071: True}


@pytest.mark.parametrize(("key", "stops"), _KEYS.items())
def test_q_and_escape_ask_for_a_stop(opencv: _FakeOpenCV, key: int, stops: bool) -> None:
    windows = Windows()
    windows.show("a", _frame().data)
    opencv.key = key
    assert windows.stop_asked() is stops


def test_closing_any_window_asks_for_a_stop(opencv: _FakeOpenCV) -> None:
    windows = Windows()
    windows.show("a", _frame().data)
    windows.show("b", _frame().data)
    assert not windows.stop_asked()
    opencv.titles.popitem()
    assert windows.stop_asked()


def test_the_oldest_source_gives_its_window_up(opencv: _FakeOpenCV) -> None:
    windows = Windows()
    assert len(opencv.titles) == 1, "the first window tells whether windows can be"
    for n in range(viewer.MAX_WINDOWS + 2):
        windows.show(f"s{n}", _frame().data)
        windows.show(f"s{n}", _frame().data)
    assert list(opencv.titles.values()) == ["s4", "s5", "s2", "s3"]
    windows.show("s4", _frame().data)
    assert list(opencv.titles.values()) == ["s4", "s5", "s2", "s3"]
    assert not windows.stop_asked()


class _Scripted(Windows):
    """Asks for a stop after so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks
        self.seen: list[tuple[str, tuple[int, ...]]] = []

    def show(self, name: str, image: UInt8Array) -> None:
        assert (image == GREEN).all()
        self.seen.append((name, image.shape))

    def stop_asked(self) -> bool:
        self.looks -= 1
        return self.looks <= 0


def _picture(name: str, height: int, width: int) -> bytes:
    data = bytes(GREEN) * (height * width)
    return HEADER.pack(len(name.encode()), height, width) + name.encode() + data


def test_after_a_stop_pictures_are_taken_but_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "pictures"
    path.write_bytes(b"".join(_picture("é", 2 + i, 3) for i in range(4)))
    windows, replies = _Scripted(looks=2), io.BytesIO()
    with path.open("rb", buffering=0) as pictures:
        viewer.serve(pictures, replies, windows)
    assert windows.seen == [("é", (2, 3, 3)), ("é", (3, 3, 3))]
    assert replies.getvalue() == GOING + GOING + STOP * 3


def test_a_key_pressed_while_the_source_is_silent_counts() -> None:
    read_end, write_end = os.pipe()
    windows, replies = _Scripted(looks=4), io.BytesIO()

    class _Pictures(io.FileIO):
        def readinto(self, buffer: memoryview) -> int:
            if replies.getvalue() and windows.looks <= 0:
                # By now the key was pressed, between the first picture and the second.
                os.write(write_end, _picture("a", 1, 1))
                os.close(write_end)
                windows.looks = 1_000_000
            return super().readinto(buffer) or 0

    os.write(write_end, _picture("a", 1, 1))
    with _Pictures(read_end) as pictures:
        viewer.serve(pictures, replies, windows)
    assert replies.getvalue() == GOING + GOING + STOP
    assert len(windows.seen) == 1


_FAKE_VIEWER = """
import sys
from edgevid.sinks.viewer import Windows, serve

class Log(Windows):
    name = ""
    def __init__(self):
        pass
    def show(self, name, image):
        changed = int((image != (10, 200, 60)).any(axis=2).sum())
        with open({log!r}, "a") as log:
            print(name, *image.shape, changed > 0, file=log)
        self.name = name
    def stop_asked(self):
        return self.name.endswith("last")

with open(0, "rb", buffering=0) as pictures, open(1, "wb", buffering=0) as replies:
    serve(pictures, replies, Log())
"""

MakeViewer = Callable[[str], None]


@pytest.fixture
def use_viewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeViewer:
    def use(program: str) -> None:
        path = tmp_path / "viewer.py"
        path.write_text(program)
        monkeypatch.setattr(viewer, "__file__", str(path))

    return use


def test_frames_reach_the_viewer_and_its_stop_comes_back(
    use_viewer: MakeViewer, tmp_path: Path, predict
) -> None:
    log = tmp_path / "log"
    use_viewer(_FAKE_VIEWER.format(log=str(log)))
    sink = WindowSink("demo")
    assert isinstance(sink, Sink)
    assert isinstance(sink, FrameSink)
    sink.write(predict(source="cam0"))
    for source, shape in (("cam0", (480, 640)), ("cam1", (2160, 1280))):
        sink.write_frame(_frame(source, shape))
        assert not sink.stop_requested
    sink.write_frame(_frame("last"))
    sink.write_frame(_frame("never shown"))
    assert sink.stop_requested
    sink.write_frame(_frame("never shown"))
    sink.close()
    sink.close()
    assert log.read_text().splitlines() == [
        "demo - cam0 480 640 3 True",
        "demo - cam1 720 427 3 True",
        "demo - last 480 640 3 True",
    ]


def test_a_viewer_that_dies_is_one_clear_error(use_viewer: MakeViewer) -> None:
    use_viewer("import os; os.write(1, b'.'); raise SystemExit('lost the display')")
    sink = WindowSink()
    sink._viewer.wait()
    with pytest.raises(OutputError, match="there is no display"):
        sink.write_frame(_frame())
    sink.close()


@pytest.mark.parametrize("display", [None, ":4711"])
def test_without_a_display_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, display: str | None
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    if display is not None:
        monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(OutputError, match="no window opens") as caught:
        WindowSink()
    assert "DISPLAY" in caught.value.hint or "opencv-python" in caught.value.hint


def test_an_opencv_without_windows_is_told_apart(use_viewer: MakeViewer) -> None:
    # The words of opencv-python-headless 4.10.
    message = (
        "cv2.error: OpenCV(4.10.0) /io/opencv/modules/highgui/src/window.cpp:1301: error: "
        "(-2:Unspecified error) The function is not implemented. Rebuild the library with "
        "Windows, GTK+ 2.x or Cocoa support. in function 'cvNamedWindow'"
    )
    use_viewer(f"raise SystemExit({message!r})")
    with pytest.raises(OutputError, match="built without them") as caught:
        WindowSink()
    assert "pip install --force-reinstall opencv-python" in caught.value.hint


@pytest.fixture
def screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A display of its own; the value is the file that mirrors its pixels."""
    program = shutil.which("Xvfb")
    if program is None:
        pytest.skip("Xvfb is not installed: no display to open a window on")
    read_end, write_end = os.pipe()
    command = [program, "-displayfd", str(write_end), "-screen", "0", "640x480x24"]
    with subprocess.Popen(
        [*command, "-fbdir", str(tmp_path)], pass_fds=[write_end], stderr=subprocess.DEVNULL
    ) as server:
        os.close(write_end)
        with os.fdopen(read_end) as numbers:
            monkeypatch.setenv("DISPLAY", f":{numbers.readline().strip()}")
        monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
        # Without a window manager Qt's usual way of painting leaves some windows black.
        monkeypatch.setenv("QT_XCB_NATIVE_PAINTING", "1")
        yield tmp_path / "Xvfb_screen0"
        server.terminate()


def test_a_real_window(screen: Path, predict) -> None:
    # Without a window manager Qt leaves about one window in thirty black, whoever opens it.
    green = next(filter(None, (_green_share(screen, predict()) for _ in range(4))), 0.0)
    assert 0.8 < green < 1.0, "the picture, less the overlay, is on the screen"
    assert not (_pixels(screen) == GREEN).all(axis=2).any(), "closed, it is gone"


def _green_share(screen: Path, prediction: Prediction) -> float:
    """How much of a green picture a window shows within two seconds."""
    sink = WindowSink("demo")
    sink.write(prediction)
    for _ in range(20):
        sink.write_frame(_frame())
        green = float((_pixels(screen) == GREEN).all(axis=2).sum()) / (480 * 640)
        if green:
            break
        time.sleep(0.1)
    assert not sink.stop_requested
    sink.close()
    return green


def _pixels(path: Path) -> UInt8Array:
    """Xvfb's screen `(H, W, 3)` BGR from its dump, an XWD file (X11's XWDFile.h)."""
    data = path.read_bytes()
    header = struct.unpack(">25I", data[:100])
    width, height, line, colours = header[4], header[5], header[12], header[19]
    pixels = np.frombuffer(data, np.uint8, line * height, header[0] + 12 * colours)
    return pixels.reshape(height, line)[:, : 4 * width].reshape(height, width, 4)[:, :, :3]
