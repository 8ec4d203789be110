"""A file that plays at its own rate, as a camera would deliver it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from edgevid.protocols import FrameSource, WantFrame, every_frame
from edgevid.types import Frame, FrameTime, SourceInfo, SourceStats

_MOST_LATE_NS = 1_000_000_000
"""A source that is later than that will not catch up: it plays slower than its rate."""


class PacedSource:
    """Holds each frame of a source back until its time has come.

    The source counts as live: who is too slow for it loses frames. A frame counts as received
    when it was due, so that lateness shows in latency; where decoding cannot keep up, the clock
    stands still whenever a frame is a second late, and a note says for how long in all.

    Args:
        source: Plays from its beginning; closed with this one.
        stop: When set, waiting ends, and `read` gives None.
        start_after_s: Seconds to wait with the first frame.
        clock_ns: Nanoseconds, monotonic; replaced in tests.
    """

    def __init__(
        self,
        source: FrameSource,
        stop: threading.Event,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        start_after_s: float = 0.0,
    ) -> None:
        self._source = source
        self._stop = stop
        self._clock_ns = clock_ns
        self._start_after_ns = round(start_after_s * 1e9)
        self._started_ns: int | None = None
        self._stood_ns = 0

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
        stats = self._source.stats
        if not self._stood_ns:
            return stats
        slow = f"too slow for its own rate: it stood still for {self._stood_ns / 1e9:.1f} s in all"
        return replace(stats, notes=(*stats.notes, slow))

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
            now_ns = self._clock_ns() + self._start_after_ns
            self._started_ns = now_ns - round(frame_time.pts_s * 1e9)
        due_ns = self._started_ns + round(frame_time.pts_s * 1e9)
        early_ns = due_ns - self._clock_ns()
        if early_ns > 0:
            self._stop.wait(early_ns / 1e9)
        elif early_ns < -_MOST_LATE_NS:
            self._started_ns -= early_ns
            self._stood_ns -= early_ns
            due_ns -= early_ns
        return replace(frame_time, received_ns=due_ns)

    def close(self) -> None:
        self._source.close()
