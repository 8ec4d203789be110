"""A file that plays at its own rate, as a camera would deliver it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from edgevid.protocols import FrameSource, WantFrame, every_frame
from edgevid.types import Frame, FrameTime, SourceInfo, SourceStats


class PacedSource:
    """Holds each frame of a source back until its time has come.

    The source counts as live: who is too slow for it loses frames. A frame counts as received
    when it was due, so that lateness shows in latency.

    Args:
        source: Plays from its beginning; closed with this one.
        stop: When set, waiting ends, and `read` gives None.
        clock_ns: Nanoseconds, monotonic; replaced in tests.
    """

    def __init__(
        self,
        source: FrameSource,
        stop: threading.Event,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._source = source
        self._stop = stop
        self._clock_ns = clock_ns
        self._started_ns: int | None = None

    @property
    def source_id(self) -> str:
        return self._source.source_id

    @property
    def info(self) -> SourceInfo:
        info = self._source.info
        return replace(
            info, num_frames=None, is_live=True, description=f"{info.description}, in real time"
        )

    @property
    def stats(self) -> SourceStats:
        return self._source.stats

    def read(self, want: WantFrame = every_frame) -> Frame | None:
        """The next frame that `want` accepts, at its time; None at the end or once stopped.

        Raises:
            SourceError: As the source's own `read`.
        """
        due: list[FrameTime] = []

        def want_in_time(frame_time: FrameTime) -> bool:
            due[:] = [self._wait(frame_time)]
            return self._stop.is_set() or want(due[0])

        frame = self._source.read(want_in_time)
        if frame is None or self._stop.is_set():
            return None
        return replace(frame, time=due[0])

    def _wait(self, frame_time: FrameTime) -> FrameTime:
        if self._started_ns is None:
            self._started_ns = self._clock_ns() - round(frame_time.pts_s * 1e9)
        due_ns = self._started_ns + round(frame_time.pts_s * 1e9)
        early_ns = due_ns - self._clock_ns()
        if early_ns > 0:
            self._stop.wait(early_ns / 1e9)
        return replace(frame_time, received_ns=due_ns)

    def close(self) -> None:
        self._source.close()
