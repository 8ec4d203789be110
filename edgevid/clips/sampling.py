"""Which frames of a source make the samples of a contract.

Samples lie on a grid of instants ("ticks"). Each tick gets the frame that is nearest in
presentation time:

    frames  |   |    |  |      |   |        (any rate, even or not)
    ticks   ^     ^     ^     ^     ^       (one every frame_interval / fps)
    taken   0   1       3      4   5

A frame's reach goes from the middle to the frame before it, to the middle to the frame
after it; it serves every tick in its reach: none (skipped), one, or several (the source is
slower than the contract).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from edgevid.types import FrameTime, record

_TIE_S = 1e-6
"""A frame this much farther away than the next one still wins: ties go to the earlier frame."""


def uniform_indices(num_decoded: int, num_frames: int) -> list[int]:
    """Frame i * max(n // T, 1) for i < T, clamped to the last frame.

    Args:
        num_decoded: n, the frames that decode; at least 1.
        num_frames: T; at least 1.
    """
    step = max(num_decoded // num_frames, 1)
    return [min(i * step, num_decoded - 1) for i in range(num_frames)]


def segment_indices(num_decoded: int, num_frames: int) -> list[int]:
    """The centre frame of each of T equal segments (TSN's test setting, arXiv:1608.00859).

    Args:
        num_decoded: n, the frames that decode; at least 1.
        num_frames: T; at least 1.
    """
    return [(2 * i + 1) * num_decoded // (2 * num_frames) for i in range(num_frames)]


@record
class Pick:
    """What a sampler decided about one frame.

    Attributes:
        ticks_s: The instants that the frame stands for; empty: skip it.
        gaps: For each of them, True where the frame is too far away.
        restart: The frame does not continue what came before it.
        second: Optical flow goes to this frame from the one that was last sampled.
        late: It does, and the frame is too far away.
    """

    ticks_s: tuple[float, ...] = ()
    gaps: tuple[bool, ...] = ()
    restart: bool = False
    second: bool = False
    late: bool = False

    @property
    def taken(self) -> bool:
        """True where the frame's pixels are needed."""
        return bool(self.ticks_s) or self.second


SKIP = Pick()


class Sampler(Protocol):
    """Asked once for every frame of one source, in order."""

    def pick(self, time: FrameTime) -> Pick: ...


class IntervalSampler:
    """A tick every `period_s`, starting at the first frame; nearest frame to each.

    A jump backwards, a hole longer than `max_hole_s`, or a source that was away and is back,
    starts a new grid at the frame after it. Within a shorter hole, ticks farther from their
    frame than the tolerance (one period, or one frame of the source if that is longer) are
    marked as gaps.

    Args:
        period_s: Seconds between ticks.
        source_period_s: Nominal seconds between frames; 0.0 where unknown.
        window_s: Span of a window; a hole of that length leaves nothing to continue.
    """

    def __init__(self, period_s: float, source_period_s: float = 0.0, window_s: float = 0.0):
        self._period = period_s
        self._tolerance = max(period_s, source_period_s) + _TIE_S
        self._max_hole = max(window_s, 4 * self._tolerance)
        self._origin: float | None = None
        self._next_tick = 0
        self._last_pts = -math.inf

    def pick(self, time: FrameTime) -> Pick:
        step = time.pts_s - self._last_pts
        restart = self._origin is not None and (time.restart or step <= 0 or step > self._max_hole)
        if self._origin is None or restart:
            self._origin, self._next_tick = time.pts_s, 0
        self._last_pts = time.pts_s

        to_next = time.next_pts_s - time.pts_s
        reach = (to_next if to_next <= self._max_hole else self._period) / 2
        last_tick = math.floor((time.pts_s + reach - self._origin + _TIE_S) / self._period)
        ticks = tuple(
            self._origin + k * self._period for k in range(self._next_tick, last_tick + 1)
        )
        self._next_tick = max(self._next_tick, last_tick + 1)
        if not ticks:
            return SKIP
        gaps = tuple(abs(tick - time.pts_s) > self._tolerance for tick in ticks)
        return Pick(ticks, gaps, restart)


class NthFrameSampler:
    """Every n-th frame of the source as it comes, whatever its rate; counted anew from the
    first frame after the source was away.

    Args:
        every: n, at least 1.
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self._first = 0

    def pick(self, time: FrameTime) -> Pick:
        if time.restart:
            self._first = time.index
        if (time.index - self._first) % self._every:
            return SKIP
        return Pick((time.pts_s,), (False,), time.restart)


class FrameIndexSampler:
    """Given frames of a file, by index; an index listed twice gives its frame twice.

    Args:
        indices: Frame numbers, in ascending order.
    """

    def __init__(self, indices: Sequence[int]) -> None:
        self._times_wanted = Counter(indices)

    def pick(self, time: FrameTime) -> Pick:
        count = self._times_wanted[time.index]
        if not count:
            return SKIP
        return Pick((time.pts_s,) * count, (False,) * count)


class PairSampler:
    """Finds, for every sample of another sampler, the frame that its optical flow goes to.

    That is the frame nearest to `frames` / `fps` seconds after the instant sampled, or
    `frames` frames of the source later where `fps` is None; the next frame at least, the next
    one sampled at most:

        frames    0  1  2  3  4  5  6  7
        sampled   0           4
        second       1           5          frames = 1

    Args:
        sampler: Picks the samples.
        frames: At least 1.
        fps: Of `frames`.
        source_period_s: Nominal seconds between frames; 0.0 where unknown. A second frame that
            comes later than it should by more than that, and than `frames` / `fps`, is late.
    """

    def __init__(
        self,
        sampler: Sampler,
        frames: int,
        fps: float | None = None,
        source_period_s: float = 0.0,
    ) -> None:
        self._sampler = sampler
        self._frames = frames
        self._fps = fps
        self._tolerance = max(frames / fps if fps else math.inf, source_period_s) + _TIE_S
        self._due: float | None = None

    def pick(self, time: FrameTime) -> Pick:
        pick = self._sampler.pick(time)
        second = self._due is not None and not pick.restart
        second = second and (bool(pick.ticks_s) or self._is_due(time))
        late = second and self._due is not None and time.pts_s - self._due > self._tolerance
        if second or pick.restart:
            self._due = None
        if pick.ticks_s:
            by_time = self._fps and pick.ticks_s[-1] + self._frames / self._fps
            self._due = by_time or time.index + self._frames
        return replace(pick, second=second, late=late)

    def _is_due(self, time: FrameTime) -> bool:
        """True where no later frame is nearer."""
        if self._due is None or self._fps is None:
            return self._due is not None and time.index >= self._due
        return self._due - time.pts_s <= time.next_pts_s - self._due + _TIE_S
