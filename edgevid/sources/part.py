"""A part of a video, as if it were a file of its own."""

from __future__ import annotations

import math
from dataclasses import replace

from edgevid.protocols import FrameSource, WantFrame, every_frame
from edgevid.types import Frame, FrameTime, SourceInfo, SourceStats


class Part:
    """The frames of a source from `start_s` to before `end_s`; indices count from its first.

    Times stay those of the whole source.

    Args:
        source: Not read yet; closed with the part.
        start_s, end_s: In seconds; `end_s` may be infinite.
    """

    def __init__(self, source: FrameSource, start_s: float = 0.0, end_s: float = math.inf) -> None:
        self._source = source
        self._start_s = start_s
        self._end_s = end_s
        self._frames = 0
        self._over = False

    @property
    def source_id(self) -> str:
        return self._source.source_id

    @property
    def info(self) -> SourceInfo:
        info = self._source.info
        whole = self._start_s == 0 and math.isinf(self._end_s)
        return info if whole else replace(info, num_frames=None)

    @property
    def stats(self) -> SourceStats:
        return replace(self._source.stats, frames_read=self._frames)

    def read(self, want: WantFrame = every_frame) -> Frame | None:
        """The next frame of the part that `want` accepts; None at its end."""
        current: list[FrameTime] = []

        def inside(time: FrameTime) -> bool:
            if time.pts_s >= self._end_s:
                self._over = True
                return True
            if time.pts_s < self._start_s:
                return False
            current[:] = [replace(time, index=self._frames)]
            self._frames += 1
            return want(current[0])

        if self._over:
            return None
        frame = self._source.read(inside)
        return None if frame is None or self._over else replace(frame, time=current[0])

    def close(self) -> None:
        self._source.close()
