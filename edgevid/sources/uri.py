"""What a source's name means, and what of it may be shown."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from enum import Enum, auto
from pathlib import Path
from urllib.parse import unquote, urlsplit

from edgevid.errors import SourceError, SourceNotFoundError
from edgevid.sources.v4l2 import is_camera, parse_camera

_VIDEOS = "3gp avi flv h264 h265 m2ts m4v mjpeg mjpg mkv mov mp4 mpeg mpg mts ogv ts webm wmv y4m"
_IMAGES = "bmp jpeg jpg png ppm tif tiff webp"
_LIVE = "rtmp rtmps rtp rtsp rtsps srt tcp udp"

VIDEO_SUFFIXES = frozenset(f".{name}" for name in _VIDEOS.split())
IMAGE_SUFFIXES = frozenset(f".{name}" for name in _IMAGES.split())
_LIVE_SCHEMES = frozenset(_LIVE.split())
_NETWORK_SCHEMES = _LIVE_SCHEMES | {"http", "https"}

# `user:password@` of any URL, also inside a pipeline string; GStreamer's own property;
# and query parameters whose name says what they hold.
_USER_INFO = re.compile(r"(?<=://)[^/\s\"'?#]*@")
_SECRETS = re.compile(
    r"(?i)(\buser-pw=|[?&][^=&\s]*(?:pass|pwd|token|secret|key|auth|sig)[^=&\s]*=)[^&\s\"'!]+"
)


_NAMED = re.compile(r"([A-Za-z][\w.-]{0,63})=(.+)", re.DOTALL)


class Kind(Enum):
    """How a source is read."""

    FILE = auto()
    IMAGES = auto()
    CAMERA = auto()
    NETWORK = auto()
    GSTREAMER = auto()
    SYNTHETIC = auto()


def redact(text: str) -> str:
    """The text without passwords: user information and secret parameters become `***`."""
    return _SECRETS.sub(r"\1***", _USER_INFO.sub("***@", text))


def scheme_of(uri: str) -> str:
    """The URI's scheme in lower case; empty for a path."""
    head, separator, _ = uri.partition("://")
    return head.lower() if separator and re.fullmatch(r"[A-Za-z][\w+.-]*", head) else ""


def is_live_scheme(uri: str) -> bool:
    """True for URLs that always carry a live stream."""
    return scheme_of(uri) in _LIVE_SCHEMES


def kind_of(uri: str) -> Kind:
    """How to read `uri`.

    Raises:
        SourceError: It is of no kind that can be read.
        SourceNotFoundError: The path does not exist, or the folder or glob holds nothing.
    """
    if uri.startswith("synthetic:"):
        return Kind.SYNTHETIC
    if _is_pipeline(uri):
        return Kind.GSTREAMER
    if scheme_of(uri) in _NETWORK_SCHEMES:
        return Kind.NETWORK
    if is_camera(uri) and not os.path.isfile(uri):
        return Kind.CAMERA
    if scheme_of(uri) not in ("", "file"):
        raise SourceError(
            f"{redact(uri)!r} has the unknown scheme {scheme_of(uri)!r}",
            f"Use a path or one of: {', '.join(sorted(_NETWORK_SCHEMES))}",
        )
    return _kind_of_path(uri)


def may_return(uri: str) -> bool:
    """True for what can be lost and come back: cameras, network streams, GStreamer's places."""
    if _is_pipeline(uri):
        return "filesrc" not in uri and not local_path(uri.removeprefix("gst:")).is_file()
    camera = is_camera(uri) and not os.path.isfile(uri)
    return camera or scheme_of(uri) in _NETWORK_SCHEMES


def shown_name(uri: str) -> str:
    """What a source is called where nobody named it: its place, without passwords."""
    if is_camera(uri) and not os.path.isfile(uri):
        return parse_camera(uri)[0]
    return redact(uri.removeprefix("gst:").strip())


def split_name(text: str) -> tuple[str | None, str]:
    """`door=rtsp://camera/1` to ("door", "rtsp://camera/1"); without a name, (None, text).

    What exists, or is a pattern of what exists, has no name, whatever it looks like.
    """
    match = _NAMED.fullmatch(text)
    if match is None or os.path.lexists(text) or (is_glob(text) and glob.glob(text)):
        return None, text
    return match[1], match[2]


def _is_pipeline(uri: str) -> bool:
    return uri.startswith(("gst:", "csi:")) or (" ! " in uri and "appsink" in uri)


def _kind_of_path(uri: str) -> Kind:
    path = local_path(uri)
    if path.is_dir() or is_glob(uri):
        videos, images = media_in(uri)
        if videos:
            raise SourceError(
                f"{uri!r} holds {len(videos)} videos, which are {len(videos)} sources",
                "Open them one by one; edgevid.sources.expand lists them",
            )
        if not images:
            raise _nothing_in(uri)
        return Kind.IMAGES
    if not path.exists():
        raise SourceNotFoundError(f"no such file: {path}", "Check the path")
    return Kind.IMAGES if path.suffix.lower() in IMAGE_SUFFIXES else Kind.FILE


def local_path(uri: str) -> Path:
    """The path that a plain path or a file:// URI names."""
    return Path(unquote(urlsplit(uri).path)) if scheme_of(uri) == "file" else Path(uri)


def is_glob(uri: str) -> bool:
    """True for a pattern; a file whose name happens to hold `[` or `*` comes first."""
    if scheme_of(uri) or uri.startswith("synthetic:") or _is_pipeline(uri):
        return False
    return glob.has_magic(uri) and not os.path.lexists(uri)


def media_in(uri: str) -> tuple[list[str], list[str]]:
    """The videos and the images of a folder or glob, each in natural order of their names."""
    if is_glob(uri):
        found: Iterable[str] = glob.glob(uri, recursive=True)
    else:
        folder = local_path(uri)
        found = (str(folder / name) for name in os.listdir(folder))
    files = sorted((f for f in found if os.path.isfile(f)), key=natural_key)
    return (
        [f for f in files if Path(f).suffix.lower() in VIDEO_SUFFIXES],
        [f for f in files if Path(f).suffix.lower() in IMAGE_SUFFIXES],
    )


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sorts `frame_2` before `frame_10`; names padded with zeros sort as ever."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), part) if i % 2 else (0, part) for i, part in enumerate(parts)]


def expand(uri: str | int | os.PathLike[str]) -> list[str]:
    """The sources that `uri` stands for, each fit for `open_source`.

    A folder or glob of videos becomes its video files, in natural order (`clip2` before
    `clip10`; of a folder, only its own files). Everything else is one source: a folder or
    glob of images too, for they are the frames of one video.

    Raises:
        SourceError: The folder cannot be read.
        SourceNotFoundError: The folder or glob holds neither videos nor images.
    """
    name = str(uri) if isinstance(uri, int) else os.fspath(uri)
    try:
        if not (is_glob(name) or local_path(name).is_dir()):
            return [name]
        videos, images = media_in(name)
    except OSError as exc:
        raise SourceError(f"{name} cannot be read: {exc.strerror}") from None
    if not videos and not images:
        raise _nothing_in(name)
    return videos or [name]


def _nothing_in(uri: str) -> SourceNotFoundError:
    if is_glob(uri):
        return SourceNotFoundError(
            f"no video or image matches {uri!r}", "Check the pattern, and quote it for the shell"
        )
    return SourceNotFoundError(
        f"the folder {uri} holds no video and no image",
        f"Videos are files named {' '.join(sorted(VIDEO_SUFFIXES))}; for folders below it, "
        "use a pattern such as 'folder/**/*.mp4'",
    )
