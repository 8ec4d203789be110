from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from source_media import make_video, read_indices, read_times

from edgevid.errors import SourceError, SourceNotFoundError
from edgevid.protocols import FrameSource
from edgevid.sources import camera, open_source
from edgevid.sources.camera import CaptureSource
from edgevid.types import Array


class FakeCapture:
    """A camera that stamps its frames as told, and may stop or change its format."""

    def __init__(self, stamps_ms: list[float], image: Array | None = None, fps: float = 0) -> None:
        self._stamps_ms = stamps_ms
        self._image = np.zeros((4, 6, 3), np.uint8) if image is None else image
        self._fps = fps
        self._position = -1
        self.retrieved = 0
        self.is_released = False

    def isOpened(self) -> bool:
        return not self.is_released

    def grab(self) -> bool:
        self._position += 1
        return self._position < len(self._stamps_ms)

    def retrieve(self) -> tuple[bool, Array]:
        self.retrieved += 1
        return True, self._image

    def get(self, propId: int) -> float:
        return {
            cv2.CAP_PROP_FPS: self._fps,
            cv2.CAP_PROP_FRAME_WIDTH: 6.0,
            cv2.CAP_PROP_FRAME_HEIGHT: 4.0,
            cv2.CAP_PROP_POS_MSEC: self._stamps_ms[self._position] if self._stamps_ms else 0.0,
        }[propId]

    def release(self) -> None:
        self.is_released = True


def test_a_real_capture_reads_every_frame_in_order(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.avi", codec="mjpeg")
    source = CaptureSource(cv2.VideoCapture(str(path)), "cam", is_live=False, backend="test")
    assert isinstance(source, FrameSource)
    assert (source.info.width, source.info.height, source.info.fps) == (160, 120, 25.0)
    assert read_indices(source) == list(range(30))
    assert source.stats.frames_read == 30
    source.close()
    assert source.read() is None


def test_refused_frames_are_grabbed_only() -> None:
    capture = FakeCapture([100.0 + 33 * i for i in range(9)])
    source = CaptureSource(capture, "cam", is_live=False, backend="test")
    frame = source.read(lambda t: t.index == 7)
    assert frame is not None
    assert frame.time.index == 7
    assert capture.retrieved == 1


def test_the_drivers_stamps_are_the_times() -> None:
    capture = FakeCapture([5000.0, 5033.0, 5100.0], fps=30)
    source = CaptureSource(capture, "cam", is_live=False, backend="test")
    times = read_times(source)
    assert [t.pts_s for t in times] == pytest.approx([0.0, 0.033, 0.1])
    assert times[0].next_pts_s == pytest.approx(1 / 30)
    assert source.stats.pts_repaired == 0


def test_without_stamps_the_arrival_counts() -> None:
    source = CaptureSource(FakeCapture([0.0] * 5), "cam", is_live=False, backend="test")
    assert source.info.fps == 0.0
    times = read_times(source)
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
    source = CaptureSource(FakeCapture([1.0], given), "cam", is_live=True, backend="test")
    frame = source.read()
    assert frame is not None
    np.testing.assert_array_equal(frame.data, bgr if channels else bgr[..., :1].repeat(3, axis=2))


def test_a_camera_that_stops_is_an_error_and_a_file_that_ends_is_not() -> None:
    live = CaptureSource(FakeCapture([1.0, 2.0]), "/dev/video9", is_live=True, backend="V4L2")
    assert live.read() is not None
    assert live.read() is not None
    with pytest.raises(SourceError, match="/dev/video9 stopped after 2 frames"):
        live.read()
    file = CaptureSource(FakeCapture([1.0]), "cam", is_live=False, backend="test")
    assert file.read() is not None
    assert file.read() is None


def test_a_camera_that_gives_nothing_is_released() -> None:
    capture = FakeCapture([])
    with pytest.raises(SourceError, match="opened, but gives no frame"):
        CaptureSource(capture, "cam", is_live=True, backend="V4L2")
    assert capture.is_released


@pytest.mark.parametrize("name", [97, "97", "/dev/video97"])
def test_a_camera_that_is_not_there(name: str | int, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceNotFoundError, match=r"no such camera: /dev/video97\. This machine"):
        open_source(name)
    assert capfd.readouterr() == ("", "")


def test_a_device_that_is_no_camera(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match=r"/dev/null cannot be opened.*group `video`"):
        camera.open_camera("/dev/null")
    assert capfd.readouterr() == ("", "")
