"""A live source that comes back: lost, retried with back-off, and carried on as one stream."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from traceback import format_exception

from edgevid.errors import EdgevidError, SourceError
from edgevid.protocols import FrameSource, WantFrame, every_frame
from edgevid.sources import heap
from edgevid.types import Frame, FrameTime, Outage, SourceInfo, SourceStats

_AT_ONCE_S = 1e-3
"""A wait shorter than this is none."""

CLOCK_JUMP_S = 10.0
"""Time stamps that run so much ahead of the clock are those of a camera whose own clock was set."""

_MOST_NOTES = 8
"""Kept over all connections, the newest: there may be thousands of them."""


@dataclass(frozen=True)
class RetryPolicy:
    """How a lost source is tried again.

    The n-th wait is `first_s * factor ** (n - 1)`, at most `longest_s`, times a random number
    from 1 - jitter to 1 + jitter: so that many devices do not knock at one server in step.

    Attributes:
        first_s, factor, longest_s: In seconds. A server that is back is found within
            `longest_s`, so the default keeps it short.
        jitter: Share of the wait, from 0 to below 1.
        give_up_after_s: Seconds without the source after which its error is final; None: never.
        stall_after_s: Seconds of silence after which a live source counts as lost.
        at_start: One that is not there when the run begins is waited for in the same way.
    """

    first_s: float = 0.2
    factor: float = 2.0
    longest_s: float = 0.5
    jitter: float = 0.2
    give_up_after_s: float | None = None
    stall_after_s: float = 4.0
    at_start: bool = False

    def wait_s(self, attempt: int, chance: float) -> float:
        """Seconds to wait before attempt `attempt` (from 1), for a random `chance` in [0, 1)."""
        # The exponent is bounded: a camera may be away for weeks.
        wait_s = min(self.first_s * self.factor ** min(attempt - 1, 64), self.longest_s)
        return wait_s * (1 + self.jitter * (2 * chance - 1))


class ReconnectingSource:
    """One stream over as many connections as it takes.

    Frame numbers go on, and times go on by the clock on which frames arrive, also where a camera's
    own clock jumps ahead. The first frame after an outage or a jump says `restart`: nothing before
    it may be joined with it. The end of a live stream is an outage too: a camera that reboots
    closes its connection as if it had finished. So is a fault that nobody foresaw: what a damaged
    packet finds in a library must not take a camera away for good.

    Args:
        source: The open source; or the error with which it did not open: then `connect` first.
        reopen: Opens it anew.
        policy: How to retry.
        notify: Told of each loss, and of each return.
        stop: When set, waiting ends, and `read` gives None.
        clock: Seconds, monotonic; replaced in tests.
        name: Of a source that is not open yet.
    """

    def __init__(
        self,
        source: FrameSource | SourceError,
        reopen: Callable[[], FrameSource],
        policy: RetryPolicy,
        notify: Callable[[Outage], None],
        stop: threading.Event,
        clock: Callable[[], float] = time.monotonic,
        name: str = "",
    ) -> None:
        self._source: FrameSource | None = None
        self._source_id = name
        self._info: SourceInfo | None = None
        self._reopen = reopen
        self._policy = policy
        self._notify = notify
        self._stop = stop
        self._clock = clock
        self._random = random.Random()
        self._past = SourceStats()
        self._index_before = 0
        self._last: FrameTime | None = None
        self._origin_ns: int | None = None
        self._shift_s: float | None = 0.0
        self._outage: Outage | None = None
        self._closed = False
        self.outages = 0
        if isinstance(source, SourceError):
            self._lose(source, "not there yet: ")
        else:
            self._source, self._source_id, self._info = source, source.source_id, source.info

    def connect(self) -> bool:
        """Wait until the source is there; False where stopped.

        Raises:
            SourceError: It was away for longer than the policy allows.
        """
        return self._source is not None or self._connect()

    @property
    def source_id(self) -> str:
        return self._source_id

    @property
    def info(self) -> SourceInfo:
        """Of the connection that is open, or was last."""
        if self._info is None:
            raise RuntimeError("connect before asking what the source is like")
        return self._info

    @property
    def stats(self) -> SourceStats:
        now = self._source.stats if self._source else SourceStats()
        return _sum(self._past, now)

    def read(self, want: WantFrame = every_frame) -> Frame | None:
        """The next frame that `want` accepts; None once stopped.

        Raises:
            SourceError: The source was away for longer than the policy allows.
        """
        while not (self._closed or self._stop.is_set()):
            if self._source is None and not self._connect():
                return None
            assert self._source is not None
            placed: list[FrameTime] = []

            def want_placed(time: FrameTime, placed: list[FrameTime] = placed) -> bool:
                placed[:] = [self._place(time)]
                return want(placed[0])

            try:
                frame = self._source.read(want_placed)
            except SourceError as exc:
                self._lose(exc)
                continue
            except EdgevidError:
                raise
            except Exception as exc:
                self._fail(exc)
                continue
            if frame is not None:
                return replace(frame, time=placed[0])
            self._lose(SourceError(f"{self._source_id} ended"))
        return None

    def close(self) -> None:
        """Close the connection; `read` then gives None."""
        self._closed = True
        self._disconnect()

    def _place(self, time: FrameTime) -> FrameTime:
        """The frame's time on the clock of the whole stream; ends an outage."""
        restart = self._shift_s is None or self._is_ahead(time, self._shift_s)
        if self._origin_ns is None:
            self._origin_ns = time.received_ns
        if self._shift_s is None or restart:
            arrived_s = (time.received_ns - self._origin_ns) / 1e9
            earliest_s = self._last.next_pts_s if self._last else 0.0
            self._shift_s = max(arrived_s, earliest_s) - time.pts_s
            self._end_outage(time)
        self._last = replace(
            time,
            index=self._index_before + time.index,
            pts_s=time.pts_s + self._shift_s,
            next_pts_s=time.next_pts_s + self._shift_s,
            restart=restart,
        )
        return self._last

    def _is_ahead(self, time: FrameTime, shift_s: float) -> bool:
        """True where the time stamps went on by much more than the clock did."""
        if self._last is None:
            return False
        passed_s = (time.received_ns - self._last.received_ns) / 1e9
        return time.pts_s + shift_s - self._last.pts_s - passed_s > CLOCK_JUMP_S

    def _end_outage(self, time: FrameTime) -> None:
        if self._outage is None:
            return
        if self._last is None:
            lasted_s = self._clock() - self._lost_at
        else:
            lasted_s = (time.received_ns - self._last.received_ns) / 1e9
        self._notify(replace(self._outage, lasted_s=lasted_s))
        self._outage = None

    def _lose(self, error: SourceError, how: str = "") -> None:
        self._disconnect()
        if self._outage is None:
            # Only of the first failure is it unknown whether waiting mends it.
            whole = str(error) if how else error.message
            said = whole.removeprefix(self._source_id).removeprefix(":")
            self._tell_loss(how + said.strip())

    def _fail(self, fault: Exception) -> None:
        """Lose it by what nobody foresaw: that is told once in an outage, also in one that began
        otherwise."""
        self._disconnect()
        if self._outage is None or self._outage.traceback is None:
            reason = f"a fault of edgevid or of a library: {type(fault).__name__}: {fault}"
            self._tell_loss(reason, "".join(format_exception(fault)))

    def _tell_loss(self, reason: str, traceback: str | None = None) -> None:
        if self._outage is None:
            self.outages += 1
            self._lost_at = self._clock()
            at_s = self._last.pts_s if self._last else 0.0
            self._outage = Outage(self._source_id, at_s, reason)
        self._outage = replace(self._outage, reason=reason, traceback=traceback)
        self._notify(self._outage)

    def _connect(self) -> bool:
        """Try until the source is back; False where stopped."""
        while self._outage is not None and not self._stop.is_set():
            away_s = self._clock() - self._lost_at
            limit_s = self._policy.give_up_after_s
            if limit_s is not None and limit_s - away_s < _AT_ONCE_S:
                raise SourceError(
                    f"{self._source_id} {self._outage.reason}; {self._outage.attempts} attempts in "
                    f"{away_s:.0f} s did not bring it back",
                    "Check the device and the network, or wait longer with --give-up-after",
                )
            attempt = self._outage.attempts + 1
            wait_s = self._policy.wait_s(attempt, self._random.random())
            if limit_s is not None:
                wait_s = min(wait_s, limit_s - away_s)
            if self._stop.wait(wait_s):
                return False
            self._outage = replace(self._outage, attempts=attempt)
            try:
                self._source = self._reopen()
            except SourceError:
                continue
            except EdgevidError:
                raise
            except Exception as exc:
                self._fail(exc)
                continue
            self._info = self._source.info
            self._shift_s = None
            return True
        return False

    def _disconnect(self) -> None:
        source, self._source = self._source, None
        if source is None:
            return
        self._past = _sum(self._past, source.stats)
        self._index_before = self._past.frames_read
        source.close()
        # A device is up for a year, and its cameras come and go.
        del source
        heap.trim()


def _sum(a: SourceStats, b: SourceStats) -> SourceStats:
    return SourceStats(
        frames_read=a.frames_read + b.frames_read,
        frames_lost=a.frames_lost + b.frames_lost,
        pts_repaired=a.pts_repaired + b.pts_repaired,
        notes=tuple(dict.fromkeys((*a.notes, *b.notes)))[-_MOST_NOTES:],
    )
