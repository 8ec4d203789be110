"""GStreamer pipelines: what reads a place, on a Jetson's own decoder or in software.

    gst:rtsp://camera/1               H.264, H.265 or MJPEG over RTSP
    gst:clip.mp4                      a file
    csi:0, csi:1?size=1280x720&fps=30 a camera on the Jetson's CSI port
    gst:A ! B ! C                     a pipeline of one's own that ends in raw video

`#size=640x360` behind a place has the decoder scale its pictures (on a Jetson without the CPU).
"""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from edgevid.errors import SourceError
from edgevid.sources.raw_pictures import FORMATS
from edgevid.sources.uri import local_path, redact, scheme_of

LAUNCH = "gst-launch-1.0"
_RANK = "nvv4l2decoder:MAX"
"""Has `decodebin` take the Jetson's decoder before any other."""

# A queue that gives way at its old end: a slow reader gets the newest pictures. Of one place only
# it would lose some whenever the machine is busy with something else for a moment.
_NEWEST = "queue leaky=downstream max-size-buffers=4 max-size-bytes=0 max-size-time=0"
_SOFTWARE = f"videoconvert ! 'video/x-raw,format={{{','.join(FORMATS)}}}'"
_UNCLOCKED = ("filesrc", "multifilesrc", "splitfilesrc", "imagesequencesrc", "videotestsrc")
_RTSP_LATENCY_MS = 100
"""How long packets that come out of order are waited for (UDP)."""


@dataclass(frozen=True)
class Pipeline:
    """What `gst-launch-1.0` is given; raw pictures come out of its end.

    Attributes:
        description: In the language of gst-launch, quoted for a shell; holds passwords.
        is_live: Pictures come by the clock, and a slow reader loses the oldest.
        place: What it reads, for messages; holds no password.
        on_jetson: Uses the Jetson's decoder.
    """

    description: str
    is_live: bool
    place: str
    on_jetson: bool = False

    def words(self, fd: int) -> list[str]:
        """Arguments for gst-launch; pictures are written to `fd`, see `edgevid.sources.gdp`."""
        newest = f"! {_NEWEST} " if self.is_live else ""
        return shlex.split(f"{self.description} {newest}! gdppay ! fdsink fd={fd} sync=false")

    @property
    def environment(self) -> dict[str, str]:
        """Variables to set for gst-launch."""
        rank = {"GST_PLUGIN_FEATURE_RANK": _RANK} if self.on_jetson else {}
        return {"LC_ALL": "C", "GST_DEBUG_NO_COLOR": "1", **rank}

    @property
    def shown(self) -> str:
        """The command for people, to try by hand: without passwords, into a window."""
        rank = f"GST_PLUGIN_FEATURE_RANK={_RANK} " if self.on_jetson else ""
        return f"{rank}{LAUNCH} {redact(self.description)} ! autovideosink"


def has_jetson_decoder(root: Path = Path("/")) -> bool:
    """True where GStreamer and NVIDIA's plugins for a Jetson are installed.

    Args:
        root: Of the file system; a recorded tree in tests.
    """
    launch = shutil.which(LAUNCH) if root == Path("/") else (root / "usr/bin" / LAUNCH).exists()
    folders = [*root.glob("usr/lib/*/gstreamer-1.0"), root / "usr/lib/gstreamer-1.0"]
    plugins = ("nvvideo4linux2", "nvvidconv", "rtsp", "gdp")
    return bool(launch) and all(
        any((folder / f"libgst{name}.so").exists() for folder in folders) for name in plugins
    )


def pipeline_for(
    uri: str, *, transport: str = "tcp", connect_s: float = 10.0, on_jetson: bool | None = None
) -> Pipeline:
    """The pipeline that reads `uri`.

    Args:
        uri: As above; `gst:` before it may be missing.
        transport: For RTSP: "tcp" or "udp".
        connect_s: For RTSP: how long the device may take to answer.
        on_jetson: Use the Jetson's decoder and scaler; None: where they are installed.

    Raises:
        SourceError: It cannot be read so.
    """
    body = uri.removeprefix("gst:").strip()
    if _is_description(body):
        return _own(body)
    jetson = has_jetson_decoder() if on_jetson is None else on_jetson
    if body.startswith("csi:"):
        return _csi(body)
    place, _, options = body.partition("#")
    scale = _size(_options(options, place, ("size",)), place)
    if scheme_of(place) in ("rtsp", "rtsps"):
        # Otherwise times are bent to those of arrival, each by something else. Over UDP the bent
        # ones also say how long a lost packet is waited for.
        times = "buffer-mode=synced " if transport == "tcp" else ""
        source = (
            f"rtspsrc location={shlex.quote(place)} protocols={transport} {times}"
            f"latency={_RTSP_LATENCY_MS} tcp-timeout={round(connect_s * 1e6)} "
            "! application/x-rtp,media=video ! decodebin"
        )
        return Pipeline(f"{source} {_decoded(jetson, scale)}", True, redact(place), jetson)
    if scheme_of(place) not in ("", "file"):
        raise SourceError(
            f"gst: cannot read {redact(place)!r}",
            "Give an rtsp:// URL, a file, csi:0, or a whole pipeline with ! between its elements",
        )
    path = local_path(place)
    if not path.is_file():
        raise SourceError(f"no such file: {path}", "Check the path")
    source = f"filesrc location={shlex.quote(str(path))} ! decodebin"
    return Pipeline(f"{source} {_decoded(jetson, scale)}", False, str(path), jetson)


def _is_description(body: str) -> bool:
    """True for a pipeline, also of one element with its properties, and for no file."""
    if re.search(r"(^|\s)!(\s|$)", body):
        return True
    return bool(re.fullmatch(r"[a-z]\w*(\s+[\w-]+=\S+)*", body)) and not Path(body).exists()


def _decoded(jetson: bool, size: tuple[int, int] | None) -> str:
    """What follows the decoder: scaled, and in a format that can be read."""
    if jetson:
        wanted = "" if size is None else f",width={size[0]},height={size[1]}"
        return f"! nvvidconv ! video/x-raw,format=BGRx{wanted}"
    if size is None:
        return f"! {_SOFTWARE}"
    return (
        f"! videoscale add-borders=false ! video/x-raw,width={size[0]},height={size[1]} "
        f"! {_SOFTWARE}"
    )


def _csi(body: str) -> Pipeline:
    """A CSI camera, by way of Argus: exposure, white balance and scaling without the CPU."""
    place, _, text = body.partition("?")
    sensor = place.removeprefix("csi:") or "0"
    if not sensor.isdecimal():
        raise SourceError(f"{body!r} names no CSI camera", "Give its number, such as csi:0")
    options = _options(text, place, ("size", "fps"))
    width, height = _size(options, place) or (1280, 720)
    fps = options.get("fps", "30")
    if not fps.isdecimal() or not 1 <= int(fps) <= 240:
        raise SourceError(f"{body}: fps={fps} is no frame rate", "Give 1 to 240, such as fps=30")
    return Pipeline(
        f"nvarguscamerasrc sensor-id={sensor} "
        f"! 'video/x-raw(memory:NVMM),width={width},height={height},framerate={fps}/1,format=NV12' "
        "! nvvidconv ! video/x-raw,format=BGRx",
        True,
        f"csi:{sensor}",
        True,
    )


def _own(body: str) -> Pipeline:
    """A pipeline as it was given, with or without an `appsink` at its end."""
    try:
        elements = _elements(shlex.split(body))
    except ValueError as exc:
        raise SourceError(f"the pipeline {redact(body)!r} cannot be read: {exc}") from None
    last = elements[-1][0] if elements[-1] else ""
    if last == "appsink":
        elements.pop()
    elif last.endswith("sink"):
        raise SourceError(
            f"the pipeline ends in {last}, so no picture comes out of it",
            "End it with raw video, or with appsink",
        )
    if not all(elements) or not elements:
        raise SourceError(
            f"the pipeline {redact(body)!r} has an element that is empty",
            "Try it with gst-launch-1.0",
        )
    description = " ! ".join(shlex.join(words) for words in elements)
    first = elements[0]
    is_live = first[0] not in _UNCLOCKED or "is-live=true" in first
    return Pipeline(f"{description} ! {_SOFTWARE}", is_live, redact(description))


def _elements(words: list[str]) -> list[list[str]]:
    elements: list[list[str]] = [[]]
    for word in words:
        if word == "!":
            elements.append([])
        else:
            elements[-1].append(word)
    return elements


def _options(text: str, place: str, known: tuple[str, ...]) -> dict[str, str]:
    options = dict(parse_qsl(text, keep_blank_values=True))
    for name in options:
        if name not in known:
            raise SourceError(
                f"{redact(place)} has no option {name!r}", f"It knows {' and '.join(known)}"
            )
    return options


def _size(options: dict[str, str], place: str) -> tuple[int, int] | None:
    if "size" not in options:
        return None
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", options["size"])
    if match is None or not int(match[1]) * int(match[2]):
        raise SourceError(
            f"{redact(place)}: size={options['size']} is no size", "Give it as size=640x360"
        )
    return int(match[1]), int(match[2])
