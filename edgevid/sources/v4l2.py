"""V4L2 cameras by name: what is asked of one, and where it is after it was unplugged.

0   /dev/video2   /dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920-video-index0
0?format=MJPG&size=1280x720&fps=30
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from edgevid.errors import SourceError, SourceNotFoundError

_CAMERA = re.compile(r"(\d+|/dev/video\d+|/dev/v4l/by-(?:id|path)/[^?]+)(?:\?(.*))?", re.DOTALL)
_KNOWN = ("format", "size", "fps")
DEVICES = Path("/dev")


def is_camera(uri: str) -> bool:
    """True for the name of a camera; a file of digits is the caller's to rule out."""
    return _CAMERA.fullmatch(uri) is not None


@dataclass(frozen=True)
class CameraOptions:
    """What is asked of a camera; None: what it gives by itself.

    Attributes:
        format: Four characters, such as "MJPG" or "YUYV" (`v4l2-ctl --list-formats-ext`).
        size: Width and height in pixels.
        fps: Frames a second.
    """

    format: str | None = None
    size: tuple[int, int] | None = None
    fps: float | None = None


def parse_camera(uri: str) -> tuple[str, CameraOptions]:
    """The device of a camera's name, and what is asked of it.

    Raises:
        SourceError: An option is unknown, or its value cannot be right.
    """
    match = _CAMERA.fullmatch(uri)
    if match is None:
        raise SourceError(f"{uri!r} names no camera", "Give a number or /dev/videoN")
    device = f"/dev/video{match[1]}" if match[1].isdecimal() else match[1]
    said = dict(parse_qsl(match[2] or "", keep_blank_values=True))
    for name in said:
        if name not in _KNOWN:
            raise SourceError(
                f"{uri}: unknown option {name!r}", f"A camera has {', '.join(_KNOWN)}"
            )
    return device, CameraOptions(
        _value(uri, said, "format", r"[\w ]{4}", "MJPG"),
        _pair(_value(uri, said, "size", r"[1-9]\d{0,4}x[1-9]\d{0,4}", "1280x720")),
        _number(_value(uri, said, "fps", r"[1-9]\d{0,2}(\.\d+)?", "30")),
    )


def _value(uri: str, said: dict[str, str], name: str, pattern: str, example: str) -> str | None:
    value = said.get(name)
    if value is not None and re.fullmatch(pattern, value) is None:
        raise SourceError(f"{uri}: {name}={value} is no {name}", f"Give it as {name}={example}")
    return value


def _pair(size: str | None) -> tuple[int, int] | None:
    if size is None:
        return None
    width, _, height = size.partition("x")
    return int(width), int(height)


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


class CameraFinder:
    """Finds one camera each time it is opened, under whatever number it then has.

    udev links a camera by where it is plugged in (`by-path`) and by what it says of itself
    (`by-id`). Both links are remembered when the camera is first found. Later the port counts
    first; a camera that moved to another port is known by its own name, unless that name now
    leads to one that was there all along: two of a kind have the same.

    Args:
        device: As from `parse_camera`.
        root: The folder of devices; a recorded tree in tests.
    """

    def __init__(self, device: str, root: Path = DEVICES) -> None:
        self._device = root / Path(device).relative_to("/dev")
        self._root = root
        self._links: list[Path] = []
        self._others: set[Path] = set()

    def find(self) -> Path:
        """The device to open now.

        Raises:
            SourceNotFoundError: It is not there.
        """
        if not self._links:
            if not self._device.exists():
                raise _not_there(self._device, self._root)
            self._remember(self._device.resolve())
            return self._device.resolve()
        for link in self._links:
            target = link.resolve()
            if target.exists() and not (link.parent.name == "by-id" and self._is_other(target)):
                return target
        raise _not_there(self._device, self._root)

    def _remember(self, target: Path) -> None:
        by_path = self._named("by-path")
        self._links = [link for link in by_path + self._named("by-id") if link.resolve() == target]
        self._others = {link for link in by_path if link not in self._links}

    def _is_other(self, target: Path) -> bool:
        return any(link.resolve() == target for link in self._others)

    def _named(self, folder: str) -> list[Path]:
        return sorted((self._root / "v4l" / folder).glob("*"))


def _not_there(device: Path, root: Path) -> SourceNotFoundError:
    present = sorted(d.name for d in root.glob("video*"))
    found = ", ".join(f"/dev/{name}" for name in present) or "no camera"
    return SourceNotFoundError(f"no such camera: {device}", f"This machine has {found}")
