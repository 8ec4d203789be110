"""An annotated video file: every sampled frame with the current answer on it."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from edgevid.errors import OutputError
from edgevid.sinks.overlay import Overlay
from edgevid.types import Frame, Prediction, UInt8Array

_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""Containers that hold frames at any time; AVI, for one, knows only a fixed rate."""

TIME_BASE = Fraction(1, 60_000)
"""Whole ticks for 24, 25, 30 and 30000/1001 frames a second; MPEG-4 allows up to 1/65535."""

DEFAULT_FPS = 25.0
MAX_OPEN_FILES = 8

_BT709 = 1  # of matrix, primaries and transfer alike, in ITU-T H.273
_MPEG4_BITS_PER_PIXEL = Fraction(1, 4)


class VideoSink:
    """Writes frames with the newest prediction of their source drawn on them.

    Each frame keeps its source's time (to 1/60000 s; 1 ms in .mkv), so a source of variable
    rate stays one. H.264 where PyAV has an encoder for it, else MPEG-4 part 2. A file is
    written under a temporary name in the same folder and renamed when it is complete.

    One file holds one source. The first source goes to `path`; a second to `NAME-2.mp4`, and
    so on, replacing files of that name. At most eight are open: beyond that the one that was
    idle longest is completed.

    Args:
        path: The file; its extension chooses the container.
        fps: Nominal rate, for players and rate control only; 0 where unknown.
        size: Width and height of the video; None: as the source's first frame. Frames of
            another shape are fitted in, with black borders.
        labels: Where given, the three best classes are drawn (see `Overlay`).

    Raises:
        OutputError: The extension is unknown, or the folder cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float,
        size: tuple[int, int] | None = None,
        labels: Sequence[str] = (),
    ) -> None:
        self._path = Path(path)
        self._fps = fps if fps > 0 else DEFAULT_FPS
        self._size = size
        self._overlay = Overlay(labels)
        self._files: dict[str, _VideoFile] = {}
        self._made = 0
        _check_target(self._path)

    def write(self, prediction: Prediction) -> None:
        """Draw this prediction on the frames of its source that come after it."""
        self._overlay.note(prediction)

    def write_frame(self, frame: Frame) -> None:
        """Append one frame to its source's file.

        Raises:
            OutputError: The file cannot be written, for instance because the disk is full.
        """
        file = self._files.pop(frame.source_id, None) or self._new_file(frame)
        self._files[frame.source_id] = file  # at the end: the others are idle for longer
        fitted = replace(frame, data=_fit(frame.data, file.size))
        try:
            file.append(self._overlay.draw(fitted), frame.time.pts_s)
        except OutputError:
            del self._files[frame.source_id]
            file.discard()
            raise

    def close(self) -> None:
        """Complete every file and give it its name.

        Raises:
            OutputError: A file cannot be completed; it and those after it are removed.
        """
        try:
            while self._files:
                self._finish_oldest()
        finally:
            for file in self._files.values():
                file.discard()
            self._files.clear()

    def _finish_oldest(self) -> None:
        self._files.pop(next(iter(self._files))).finish()

    def _new_file(self, frame: Frame) -> _VideoFile:
        if len(self._files) == MAX_OPEN_FILES:
            self._finish_oldest()
        self._made += 1
        suffix = "" if self._made == 1 else f"-{self._made}"
        path = self._path.with_name(f"{self._path.stem}{suffix}{self._path.suffix}")
        height, width = frame.data.shape[:2]
        return _VideoFile(path, self._fps, self._size or (width, height))


class _VideoFile:
    """One encoder and its container, under a temporary name until it is finished.

    Attributes:
        size: Width and height of the pictures that `append` takes.
    """

    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        self._path = path
        # Two by two pixels share one colour sample, so both sides are even.
        self.size = (size[0] + size[0] % 2, size[1] + size[1] % 2)
        self._last_pts = -1
        with _output_errors(path):
            handle, name = tempfile.mkstemp(path.suffix, ".tmp-", path.parent)
            os.close(handle)
            self._temporary = Path(name)
            self._container = av.open(name, "w", format=_FORMATS[path.suffix.lower()])
        self._stream = self._add_stream(_encoder(), Fraction(fps).limit_denominator(1001))

    def _add_stream(self, encoder: str, rate: Fraction) -> Any:
        stream = self._container.add_stream(encoder, rate=rate)
        stream.width, stream.height = self.size
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = TIME_BASE
        context.thread_count = 1  # the other cores belong to decoding and inference
        # Said in the file, or players would guess the colours from the picture's height.
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = ColorRange.MPEG
        if encoder == "libx264":
            context.options = {"preset": "veryfast", "crf": "20"}
        else:
            context.bit_rate = round(self.size[0] * self.size[1] * rate * _MPEG4_BITS_PER_PIXEL)
        return stream

    def append(self, image: UInt8Array, pts_s: float) -> None:
        """Encode one picture, uint8 BGR of this file's size, shown from `pts_s` on."""
        picture = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709
        )
        # No player takes two frames at one time, nor one that runs backwards.
        self._last_pts = max(round(pts_s / TIME_BASE), self._last_pts + 1)
        picture.pts, picture.time_base = self._last_pts, TIME_BASE
        with _output_errors(self._path):
            self._container.mux(self._stream.encode(picture))

    def finish(self) -> None:
        """Write what the encoder still holds, close, and rename."""
        try:
            with _output_errors(self._path):
                self._container.mux(self._stream.encode())
                self._container.close()
                os.chmod(self._temporary, 0o644)  # mkstemp makes files private
                os.replace(self._temporary, self._path)
        except OutputError:
            self.discard()
            raise

    def discard(self) -> None:
        """Leave nothing behind."""
        # Unlinked first: closing writes the file's end, which may fail like what led here.
        self._temporary.unlink(missing_ok=True)
        with suppress(OSError, av.FFmpegError):
            self._container.close()


def _encoder() -> str:
    return "libx264" if "libx264" in av.codecs_available else "mpeg4"


def _fit(image: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    """`image` as large as `size` (width, height) allows, in its centre, on black."""
    width, height = size
    if image.shape[:2] == (height, width):
        return image
    scale = min(width / image.shape[1], height / image.shape[0])
    inner = (max(1, int(image.shape[1] * scale)), max(1, int(image.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(
        image, inner, interpolation=method
    )
    return canvas


def _check_target(path: Path) -> None:
    """Fail before the work starts, not when the file is to be renamed."""
    if path.suffix.lower() not in _FORMATS:
        raise OutputError(
            f"cannot write a video as {path.name!r}: unknown extension {path.suffix!r}",
            f"Name the file with one of: {', '.join(_FORMATS)}",
        )
    with _output_errors(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        tempfile.TemporaryFile(dir=path.parent).close()


@contextmanager
def _output_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, av.FFmpegError) as exc:
        raise OutputError(
            f"cannot write {path}: {exc.strerror or exc}",
            "Name a file in a folder that exists, that you may write to and that has room",
        ) from None
