"""Windows that wait for a call of the engine that they can share."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from edgevid.types import Clip

_FILE_WAIT_S = 0.1

Call = Sequence[tuple[int, Clip]]
"""Windows of one call, each with its lane; those of one lane in order."""


@dataclass(frozen=True)
class Batching:
    """How windows share a call of the engine.

    Attributes:
        max_batch: Lanes in a call; 1: each by itself.
        max_wait_ms: How long the first of them waits for others, at most.
        of_a_file: Successive windows of one file that are answered together, at most, where a
            window is one frame; those of several are a batch by themselves. They wait 0.1 s for
            each other, at most, and are no more than are answered in as long.
    """

    max_batch: int = 1
    max_wait_ms: float = 0.0
    of_a_file: int = 1


class Due:
    """Windows that are due, by lane.

    A lane that has as many as go into a call is held: nothing more of it is taken from the inbox
    before it is answered.
    """

    def __init__(self, batching: Batching) -> None:
        self._batching = batching
        self._waiting: dict[int, list[Clip]] = {}
        self._until_s: dict[int, float] = {}
        self._held: set[int] = set()
        self._of_a_file = 1

    @property
    def held(self) -> Collection[int]:
        """Lanes that wait for nothing but other lanes."""
        return self._held

    @property
    def until_s(self) -> float | None:
        """When the first of them has waited long enough; None: nothing waits."""
        return min(self._until_s.values(), default=None)

    def add(self, lane: int, clip: Clip, now_s: float, *, more: bool) -> None:
        """A window of a lane that is not held.

        Args:
            now_s: On the clock of `until_s`.
            more: A next window of the lane may share its call.
        """
        clips = self._waiting.setdefault(lane, [])
        if more and len(clips) + 1 < self._of_a_file:
            clips.append(clip)
            self._until_s.setdefault(lane, now_s + _FILE_WAIT_S)
            return
        clips.append(clip)
        self._held.add(lane)
        self._until_s[lane] = now_s + self._batching.max_wait_ms / 1e3

    def full(self) -> Call:
        """The windows of a call that waits for nothing any more; empty if there is none."""
        return self._take([*self._held]) if len(self._held) >= self._batching.max_batch else ()

    def all(self) -> list[Call]:
        """Everything that is due, in as many calls as it needs."""
        lanes, most = [*self._waiting], self._batching.max_batch
        return [self._take(lanes[at : at + most]) for at in range(0, len(lanes), most)]

    def of(self, lane: int) -> Call:
        """What is due of one lane; empty if nothing is."""
        return self._take([lane]) if lane in self._waiting else ()

    def took(self, seconds: float, windows: int) -> None:
        """How long a call was: what a file may wait for depends on it."""
        most = self._batching.of_a_file
        self._of_a_file = min(most, int(_FILE_WAIT_S * windows / seconds)) if seconds else most

    def _take(self, lanes: Sequence[int]) -> Call:
        self._held.difference_update(lanes)
        for lane in lanes:
            del self._until_s[lane]
        return [(lane, clip) for lane in lanes for clip in self._waiting.pop(lane)]
