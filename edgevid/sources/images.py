"""A folder of images, a glob of them or a single one, as the frames of one video."""

from __future__ import annotations

import time

import cv2
import numpy as np

from edgevid.errors import SourceError
from edgevid.protocols import WantFrame, every_frame
from edgevid.sources.uri import local_path, media_in
from edgevid.types import Frame, FrameTime, SourceInfo, SourceStats, UInt8Array

DEFAULT_FPS = 25.0
"""What FFmpeg, too, takes for a sequence of images (its option `-framerate`)."""


class ImageSource:
    """Images in natural order of their names, the i-th shown at i / fps seconds.

    Only images that are wanted are read. One that cannot be read is left out and counted;
    the times of the others stay.

    Args:
        uri: The folder, glob or image file.
        fps: Frame rate; None: `DEFAULT_FPS`, with a note where there are several images.

    Raises:
        SourceError: No image can be read, or `fps` is not positive.
    """

    def __init__(self, uri: str, fps: float | None = None) -> None:
        if fps is not None and not 0 < fps <= 1000:
            raise SourceError(f"the frame rate {fps:g} of {uri} is out of range", "Give 0 to 1000")
        path = local_path(uri)
        self._source_id = uri
        self._paths = [str(path)] if path.is_file() else media_in(uri)[1]
        self._fps = fps or DEFAULT_FPS
        self._position = 0
        self._frames_read = 0
        self._unreadable: list[str] = []
        several = len(self._paths) > 1
        self._notes = (
            (f"images name no frame rate: {DEFAULT_FPS:g} a second assumed",)
            if several and fps is None
            else ()
        )
        first = self._skip_to_readable()
        height, width = first.shape[:2]
        self._first: UInt8Array | None = first
        self._info = SourceInfo(
            width=width,
            height=height,
            fps=self._fps if several else 0.0,
            num_frames=len(self._paths),
            is_live=False,
            description=f"{len(self._paths)} image(s) {width}x{height} via OpenCV",
        )

    def _skip_to_readable(self) -> UInt8Array:
        while self._position < len(self._paths):
            image = self._load()
            if image is not None:
                return image
            self._position += 1
        raise SourceError(
            f"{self._paths[0]} cannot be read as an image", "Check that the file is whole"
        )

    @property
    def source_id(self) -> str:
        return self._source_id

    @property
    def info(self) -> SourceInfo:
        return self._info

    @property
    def stats(self) -> SourceStats:
        lost = len(self._unreadable)
        notes: tuple[str, ...] = self._notes
        if lost:
            notes += (f"{lost} image(s) could not be read, the first is {self._unreadable[0]}",)
        return SourceStats(frames_read=self._frames_read, frames_lost=lost, notes=notes)

    def read(self, want: WantFrame = every_frame) -> Frame | None:
        """The next image that `want` accepts; None at the end."""
        while self._position < len(self._paths):
            frame_time = FrameTime(
                self._frames_read,
                self._position / self._fps,
                (self._position + 1) / self._fps,
                time.monotonic_ns(),
            )
            if not want(frame_time):
                self._advance()
                continue
            image = self._load() if self._first is None else self._first
            self._advance(was_read=image is not None)
            if image is not None:
                return Frame(image, frame_time, self._source_id)
        return None

    def _advance(self, was_read: bool = True) -> None:
        self._first = None
        self._position += 1
        self._frames_read += was_read

    def _load(self) -> UInt8Array | None:
        path = self._paths[self._position]
        try:
            data = np.fromfile(path, np.uint8)
            image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        except (OSError, cv2.error):
            image = None
        if image is None:
            self._unreadable.append(path)
            return None
        return np.asarray(image, np.uint8)

    def close(self) -> None:
        """Forget the images; `read` then gives None."""
        self._position = len(self._paths)
        self._first = None
