"""What `gst-launch-1.0` says when it fails, as one line that tells how to mend it."""

from __future__ import annotations

import re
import signal

from edgevid.errors import SourceError
from edgevid.sources.gst_pipeline import Pipeline
from edgevid.sources.uri import redact

_ERROR = re.compile(
    r"^ERROR: from element (?P<element>\S+): (?P<text>.*)$"
    r"(?:\nAdditional debug info:\n(?P<debug>(?:(?!ERROR:|WARNING:|Failed to set).*\n?)*))?",
    re.MULTILINE,
)
_MALFORMED = re.compile(
    r"^(?:WARNING: erroneous pipeline|ERROR: pipeline could not be constructed): (.*)$",
    re.MULTILINE,
)
_NO_ELEMENT = re.compile(r'no element "([^"]+)"')

# Beginnings of elements' names, and the packages of Debian, Ubuntu and JetPack that hold them.
_PACKAGES = (
    ("nvarguscamerasrc", "nvidia-l4t-gstreamer nvidia-l4t-camera"),
    ("nv", "nvidia-l4t-gstreamer"),
    ("avdec_", "gstreamer1.0-libav"),
    ("rtsp rtp v4l2 jpeg vp8 vp9 qt matroska avi flv souphttp udp videoflip videocrop videobox "
     "multifile splitfile imagefreeze", "gstreamer1.0-plugins-good"),
    ("gdp h264 h265 mpegts mpegvideoparse av1 srt rtmp va", "gstreamer1.0-plugins-bad"),
    ("video decodebin uridecodebin playbin appsink app compositor ogg theora",
     "gstreamer1.0-plugins-base"),
)  # fmt: skip
_NO_CODEC = "sudo apt install gstreamer1.0-libav gstreamer1.0-plugins-bad"


def explain(pipeline: Pipeline, what: str, said: str, status: int | None) -> SourceError:
    """The error for a pipeline that failed.

    Args:
        pipeline: Of which it is said.
        what: What that means, such as "broke off".
        said: Everything that gst-launch said last.
        status: Its exit status; negative: the signal that killed it.
    """
    if match := _MALFORMED.search(said):
        return SourceError(
            f"{pipeline.place} {what}: {redact(match[1])}", _mend_description(match[1])
        )
    if match := _ERROR.search(said):
        element = match["element"].rpartition("/")[2].rpartition(":")[2]
        reason = redact(_reason(match["text"], match["debug"] or ""))
        return SourceError(
            f"{pipeline.place} {what}: {reason} ({element})", _mend(reason, pipeline.is_live)
        )
    if status is not None and status < 0:
        name = signal.Signals(-status).name
        return SourceError(
            f"{pipeline.place} {what}: GStreamer was ended by {name}",
            f"Find the element that fails with: {pipeline.shown}",
        )
    return SourceError(f"{pipeline.place} {what}", f"Try it by hand: {pipeline.shown}")


def _reason(text: str, debug: str) -> str:
    """The message, and of its debug information the last line where that says more."""
    lines = [line.strip() for line in debug.splitlines() if line.strip()]
    detail = lines[-1] if lines else ""
    is_place = re.match(r"\S+\.c(?:pp)?\(\d+\):", detail)
    text = text.strip().rstrip(".")
    return text if is_place or not detail else f"{text}: {detail.rstrip('.')}"


def _mend_description(text: str) -> str:
    match = _NO_ELEMENT.search(text)
    if match is None:
        return "Check the pipeline with gst-launch-1.0"
    for starts, package in _PACKAGES:
        if match[1].startswith(tuple(starts.split())):
            return f"Run: sudo apt install {package}"
    return f"Install the GStreamer plugin that holds {match[1]}, or check its name"


def _mend(reason: str, is_live: bool) -> str:
    lower = reason.lower()
    if "missing a plug-in" in lower or "no decoder available" in lower:
        return f"Run: {_NO_CODEC}"
    if "unauthorized" in lower:
        return "Check the user and the password"
    if is_live:
        return "Check the address, the password, and that the device is on and reachable"
    return "Give a video that GStreamer can read, and check that it is whole"
