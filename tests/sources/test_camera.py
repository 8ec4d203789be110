from __future__ import annotations

import os
import time
from collections.abc import Collection
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from source_media import index_of, make_video

from edgevid.errors import SourceError, SourceNotFoundError
from edgevid.protocols import FrameSource
from edgevid.sources import camera, open_source
from edgevid.sources.camera import CaptureSource
from edgevid.sources.v4l2 import CameraFinder, CameraOptions
from edgevid.types import Array, FrameTime


class FakeCapture:
    """A camera that stamps its frames as told, and may stop or change its format."""

    def __init__(
        self,
        stamps_ms: list[float],
        image: Array | None = None,
        fps: float = 0,
        has: Collection[tuple[int, float]] = (),
        silent_s: float = 0.0,
    ) -> None:
        self._stamps_ms = stamps_ms
        self._has = has
        self._silent_s = silent_s
        self.properties = {cv2.CAP_PROP_FRAME_WIDTH: 6.0, cv2.CAP_PROP_FRAME_HEIGHT: 4.0}
        self._image = np.zeros((4, 6, 3), np.uint8) if image is None else image
        self._fps = fps
        self._position = -1
        self.retrieved = 0
        self.is_released = False

    def isOpened(self) -> bool:
        return not self.is_released

    def grab(self) -> bool:
        self._position += 1
        if self._position >= len(self._stamps_ms):
            time.sleep(self._silent_s)
        return self._position < len(self._stamps_ms)

    def retrieve(self) -> tuple[bool, Array]:
        self.retrieved += 1
        return True, self._image

    def get(self, propId: int) -> float:
        return {
            cv2.CAP_PROP_FPS: self._fps,
            cv2.CAP_PROP_POS_MSEC: self._stamps_ms[self._position] if self._stamps_ms else 0.0,
            **self.properties,
        }.get(propId, 0.0)

    def set(self, propId: int, value: float) -> bool:
        if (propId, value) in self._has:
            self.properties[propId] = value
        return (propId, value) in self._has

    def release(self) -> None:
        self.is_released = True


def read_all(source: FrameSource) -> list[FrameTime]:
    times: list[FrameTime] = []

    def refuse(frame_time: FrameTime) -> bool:
        times.append(frame_time)
        return False

    with pytest.raises(SourceError, match="stopped after"):
        source.read(refuse)
    return times


def test_a_real_capture_reads_every_frame_in_order(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.avi", codec="mjpeg")
    source = CaptureSource(cv2.VideoCapture(str(path)), "cam")
    assert isinstance(source, FrameSource)
    assert (source.info.width, source.info.height, source.info.fps) == (160, 120, 25.0)
    frames = [source.read() for _ in range(30)]
    assert [index_of(frame.data) for frame in frames if frame is not None] == list(range(30))
    assert source.stats.frames_read == 30
    with pytest.raises(SourceError, match="stopped after 30 frames"):
        source.read()
    source.close()
    assert source.read() is None


def test_refused_frames_are_grabbed_only() -> None:
    capture = FakeCapture([100.0 + 33 * i for i in range(9)])
    source = CaptureSource(capture, "cam")
    frame = source.read(lambda t: t.index == 7)
    assert frame is not None
    assert frame.time.index == 7
    assert capture.retrieved == 1


def test_a_stamp_on_our_clock_is_when_the_camera_took_it() -> None:
    now_ms = time.monotonic() * 1e3
    source = CaptureSource(FakeCapture([now_ms - 60, now_ms - 27]), "cam")
    first = source.read()
    assert first is not None
    assert 0.06 <= (first.time.received_ns - first.time.taken_ns) / 1e9 < 1
    for other_clock_ms in (5.0, now_ms - 3_600_000, now_ms + 3_600_000):
        frame = CaptureSource(FakeCapture([other_clock_ms]), "cam").read()
        assert frame is not None
        assert frame.time.taken_ns == 0


def test_the_drivers_stamps_are_the_times() -> None:
    capture = FakeCapture([5000.0, 5033.0, 5100.0], fps=30)
    source = CaptureSource(capture, "cam")
    times = read_all(source)
    assert [t.pts_s for t in times] == pytest.approx([0.0, 0.033, 0.1])
    assert times[0].next_pts_s == pytest.approx(1 / 30)
    assert source.stats.pts_repaired == 0


def test_without_stamps_the_arrival_counts() -> None:
    source = CaptureSource(FakeCapture([0.0] * 5), "cam")
    assert source.info.fps == 0.0
    times = read_all(source)
    assert [(b.received_ns - a.received_ns) / 1e9 for a, b in pairwise(times)] == pytest.approx(
        [b.pts_s - a.pts_s for a, b in pairwise(times)], abs=1e-5
    )


@pytest.mark.parametrize("channels", [0, 3, 4])
def test_pictures_come_as_bgr(channels: int) -> None:
    bgr = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    given = {
        0: bgr[..., 0].copy(),
        3: bgr,
        4: np.dstack([bgr, np.full((4, 6), 9, np.uint8)]),
    }[channels]
    source = CaptureSource(FakeCapture([1.0], given), "cam")
    frame = source.read()
    assert frame is not None
    np.testing.assert_array_equal(frame.data, bgr if channels else bgr[..., :1].repeat(3, axis=2))


def test_a_camera_that_stops_is_an_error() -> None:
    source = CaptureSource(FakeCapture([1.0, 2.0]), "/dev/video9")
    assert source.read() is not None
    assert source.read() is not None
    with pytest.raises(SourceError, match="/dev/video9 stopped after 2 frames"):
        source.read()


def test_a_camera_that_falls_silent_says_for_how_long() -> None:
    source = CaptureSource(FakeCapture([1.0], silent_s=1.0), "/dev/video9", read_timeout_s=1.0)
    assert source.read() is not None
    with pytest.raises(SourceError, match="/dev/video9 broke off: nothing came for 1 s"):
        source.read()


ASKED = CameraOptions("MJPG", (1280, 720), 30.0)
MJPG = (cv2.CAP_PROP_FOURCC, float(cv2.VideoWriter.fourcc(*"MJPG")))
WIDTH, HEIGHT = (cv2.CAP_PROP_FRAME_WIDTH, 1280), (cv2.CAP_PROP_FRAME_HEIGHT, 720)


def test_a_camera_gives_what_it_is_asked_for() -> None:
    capture = FakeCapture([1.0], has=(MJPG, WIDTH, HEIGHT))
    camera.apply_options(capture, "/dev/video0", ASKED)
    source = CaptureSource(capture, "/dev/video0")
    assert (source.info.width, source.info.height) == (1280, 720)


@pytest.mark.parametrize("has", [(WIDTH, HEIGHT), (MJPG, HEIGHT)])
def test_a_camera_that_has_not_what_is_asked_for(has: Collection[tuple[int, float]]) -> None:
    with pytest.raises(
        SourceError, match=r"video0 does not give MJPG 1280x720\. .*v4l2-ctl --device /dev/video0"
    ):
        camera.apply_options(FakeCapture([1.0], has=has), "/dev/video0", ASKED)


def test_a_camera_that_gives_nothing_is_released() -> None:
    capture = FakeCapture([])
    with pytest.raises(SourceError, match="opened, but gives no frame"):
        CaptureSource(capture, "cam")
    assert capture.is_released


@pytest.mark.parametrize("name", [97, "97", "/dev/video97"])
def test_a_camera_that_is_not_there(name: str | int, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceNotFoundError, match=r"no such camera: /dev/video97\. This machine"):
        open_source(name)
    assert capfd.readouterr() == ("", "")


def test_a_device_that_is_no_camera(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CameraFinder, "find", lambda _: Path("/dev/null"))
    monkeypatch.delenv("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", raising=False)
    with pytest.raises(SourceError, match=r"/dev/video9 cannot be opened.*group `video`"):
        camera.open_camera("9", read_timeout_s=2.4)
    assert os.environ["OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"] == "2"
    monkeypatch.delenv("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT")
    assert capfd.readouterr() == ("", "")
