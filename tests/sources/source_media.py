"""Pictures that carry their index, files made of them, and ways to spoil these."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from edgevid.protocols import FrameSource
from edgevid.types import FrameTime, UInt8Array

_BITS = 6


def picture(index: int, width: int = 160, height: int = 120) -> UInt8Array:
    """BGR `(H, W, 3)`: fine noise above, the index as six black or white fields below."""
    noise = np.random.default_rng(index).integers(0, 255, (height, width, 3), np.uint8)
    image = cv2.GaussianBlur(noise, (5, 5), 0)
    for bit, columns in enumerate(np.array_split(np.arange(width), _BITS)):
        image[height // 2 :, columns] = 255 * (index >> bit & 1)
    return np.asarray(image, np.uint8)


def index_of(image: UInt8Array) -> int:
    """The index that `picture` painted (below 64)."""
    below = image[2 * image.shape[0] // 3 :].mean(axis=(0, 2))
    fields = np.array_split(below, _BITS)
    return sum(int(field[2:-2].mean() > 127) << bit for bit, field in enumerate(fields))


def make_video(
    path: Path,
    *,
    frames: int = 30,
    fps: int = 25,
    codec: str = "libx264",
    pts: Sequence[int] | None = None,
    size: tuple[int, int] = (160, 120),
    movflags: str = "",
    pixels: str = "yuv420p",
    **options: str,
) -> Path:
    """Encode `frames` of `picture`; `pts` are in units of 1 / fps, `pixels` FFmpeg's format."""
    container_options = {"movflags": movflags} if movflags else {}
    with av.open(str(path), "w", container_options=container_options) as out:
        stream: Any = out.add_stream(codec, rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else pixels
        stream.options = options
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(index, *size), format="bgr24")
            frame.pts = index if pts is None else pts[index]
            frame.time_base = Fraction(1, fps)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def copy_from(whole: Path, path: Path, start: int) -> Path:
    """Copy packets from the key frame before frame `start`; an edit list hides the lead."""
    with av.open(str(whole)) as given, av.open(str(path), "w") as out:
        video = given.streams.video[0]
        copied = out.add_stream_from_template(video)
        ticks = int(start / video.average_rate / video.time_base)
        given.seek(ticks, stream=video)
        for packet in given.demux(video):
            if packet.dts is not None:
                packet.pts -= ticks
                packet.dts -= ticks
                packet.stream = copied
                out.mux(packet)
    return path


def make_sound(path: Path, cover: bool = False, **options: str) -> Path:
    """Half a second of silence, with a picture on its cover where asked; `options` of the muxer."""
    with av.open(str(path), "w", options=options) as out:
        sound: Any = out.add_stream("libmp3lame" if path.suffix == ".mp3" else "aac", rate=44100)
        if cover:
            art: Any = out.add_stream("mjpeg", rate=1)
            art.width, art.height, art.pix_fmt = 160, 120, "yuvj420p"
            frame = av.VideoFrame.from_ndarray(picture(0), format="bgr24")
            frame.pts = 0
            out.mux(art.encode(frame))
            out.mux(art.encode())
        for index in range(20):
            silence = np.zeros((1, 1152), np.float32)
            block: Any = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            block.sample_rate, block.pts = 44100, 1152 * index
            out.mux(sound.encode(block))
        out.mux(sound.encode())
    return path


def read_times(source: FrameSource) -> list[FrameTime]:
    """Every frame's time; no frame is converted."""
    times: list[FrameTime] = []

    def refuse(time: FrameTime) -> bool:
        times.append(time)
        return False

    assert source.read(refuse) is None
    return times


def read_indices(source: FrameSource) -> list[int]:
    """Every frame's painted index."""
    indices = []
    while (frame := source.read()) is not None:
        indices.append(index_of(frame.data))
    return indices


def truncate(path: Path, packets: int) -> Path:
    """Cut a file off in the middle of the packet after so many."""
    offset, size = packet_places(path)[packets]
    path.write_bytes(path.read_bytes()[: offset + size // 2])
    return path


def spoil(path: Path, packet: int) -> Path:
    """Overwrite one packet of a file; the number is in order of decoding."""
    offset, size = packet_places(path)[packet]
    data = bytearray(path.read_bytes())
    data[offset + 4 : offset + size] = b"\xff" * (size - 4)
    path.write_bytes(data)
    return path


def packet_places(path: Path) -> list[tuple[int, int]]:
    """Where each packet lies in a file: offset and size, in order of decoding."""
    with av.open(str(path)) as container:
        return [
            (packet.pos, packet.size)
            for packet in container.demux(video=0)
            if packet.size and packet.pos is not None
        ]
