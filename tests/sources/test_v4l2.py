"""Where a camera is after it was unplugged, on trees as udev makes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgevid.errors import SourceError, SourceNotFoundError
from edgevid.sources.v4l2 import CameraFinder, CameraOptions, parse_camera

FRONT, BACK = "pci-0000:00:14.0-usb-0:1:1.0", "pci-0000:00:14.0-usb-0:2:1.0"
C920 = "usb-046d_HD_Pro_Webcam_C920_1A2B3C4F"
PLAIN = "usb-Generic_Camera"


class Udev:
    """A /dev in which cameras are plugged and unplugged."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("by-id", "by-path"):
            (root / "v4l" / folder).mkdir(parents=True)

    def plug(self, number: int, port: str, identity: str) -> None:
        (self.root / f"video{number}").touch()
        for folder, name in (("by-path", port), ("by-id", identity)):
            link = self.root / "v4l" / folder / f"{name}-video-index0"
            link.unlink(missing_ok=True)
            link.symlink_to(f"../../video{number}")

    def unplug(self, number: int) -> None:
        (self.root / f"video{number}").unlink()
        for link in self.root.glob("v4l/*/*"):
            if not link.exists():
                link.unlink()


@pytest.fixture
def udev(tmp_path: Path) -> Udev:
    return Udev(tmp_path)


@pytest.mark.parametrize("device", ["/dev/video0", f"/dev/v4l/by-id/{C920}-video-index0"])
def test_a_camera_comes_back_under_another_number(udev: Udev, device: str) -> None:
    udev.plug(0, FRONT, C920)
    udev.plug(1, BACK, PLAIN)
    finder = CameraFinder(device, udev.root)
    assert finder.find() == udev.root / "video0"
    udev.unplug(0)
    with pytest.raises(SourceNotFoundError, match=r"no such camera: .*\. This machine has /dev/vi"):
        finder.find()
    udev.plug(2, FRONT, C920)
    assert finder.find() == udev.root / "video2"
    udev.unplug(2)
    udev.plug(3, "another-port", C920)
    assert finder.find() == udev.root / "video3", "moved to another port"


def test_another_camera_that_takes_its_number_is_not_it(udev: Udev) -> None:
    udev.plug(0, FRONT, C920)
    finder = CameraFinder("/dev/video0", udev.root)
    finder.find()
    udev.unplug(0)
    udev.plug(0, BACK, PLAIN)
    with pytest.raises(SourceNotFoundError):
        finder.find()


def test_one_of_two_that_call_themselves_the_same_is_not_the_other(udev: Udev) -> None:
    udev.plug(1, BACK, PLAIN)
    udev.plug(0, FRONT, PLAIN)
    front = CameraFinder("/dev/video0", udev.root)
    assert front.find() == udev.root / "video0"
    udev.unplug(0)
    udev.plug(1, BACK, PLAIN)  # udev gives the name to the one that is left
    with pytest.raises(SourceNotFoundError):
        front.find()
    udev.plug(4, FRONT, PLAIN)
    assert front.find() == udev.root / "video4"


def test_a_camera_that_is_not_there_yet_is_looked_for_each_time(udev: Udev) -> None:
    finder = CameraFinder("/dev/video0", udev.root)
    for _ in range(2):
        with pytest.raises(SourceNotFoundError, match="This machine has no camera"):
            finder.find()
    udev.plug(0, FRONT, C920)
    assert finder.find() == udev.root / "video0"


def test_without_udev_the_number_is_all_there_is(tmp_path: Path) -> None:
    (tmp_path / "video0").touch()
    finder = CameraFinder("/dev/video0", tmp_path)
    assert [finder.find(), finder.find()] == [tmp_path / "video0"] * 2


def test_what_is_asked_of_a_camera() -> None:
    assert parse_camera("0") == ("/dev/video0", CameraOptions())
    assert parse_camera("/dev/video3?format=MJPG&size=1280x720&fps=7.5") == (
        "/dev/video3",
        CameraOptions("MJPG", (1280, 720), 7.5),
    )
    link = f"/dev/v4l/by-id/{C920}-video-index0"
    assert parse_camera(f"{link}?format=YUYV") == (link, CameraOptions("YUYV"))


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("0?gain=3", r"0\?gain=3: unknown option 'gain'\. A camera has format, size, fps"),
        ("0?format=JPEGS", r"format=JPEGS is no format\. Give it as format=MJPG"),
        ("0?size=1280", r"size=1280 is no size\. Give it as size=1280x720"),
        ("0?size=0x4", r"size=0x4 is no size"),
        ("0?fps=-3", r"fps=-3 is no fps\. Give it as fps=30"),
        ("0?fps=", r"fps= is no fps"),
        ("front", r"'front' names no camera"),
    ],
)
def test_what_cannot_be_asked(uri: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        parse_camera(uri)
