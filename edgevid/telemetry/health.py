"""Whether a running stream is well: its loop turns, its sources are there, labels come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from edgevid.pipeline import Result, SourceEnded, SourceProgress, SourceStarted
from edgevid.types import Outage, Prediction

ALIVE_WITHIN_S = 5.0
"""A main loop that was not seen for longer hangs: it turns at least twice a second."""


class Health:
    """What is known of the sources that play now.

    Args:
        clock: Seconds, monotonic; replaced in tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen_s = clock()
        self._last_label_s: dict[str, float] = {}
        self._away: dict[str, bool] = {}
        self._open: set[str] = set()
        self._leaving: set[str] = set()

    @property
    def away(self) -> dict[str, bool]:
        """Name to whether it is lost, for every source that plays or is lost for good."""
        return dict(self._away)

    def note(self, result: Result) -> None:
        """Take in one result."""
        if isinstance(result, Prediction):
            self._last_label_s[result.source_id] = self._clock()
        elif isinstance(result, (Outage, SourceStarted)):
            is_loss = isinstance(result, Outage) and result.lasted_s is None
            self._away[result.source_id] = is_loss
            self._open.add(result.source_id)
        elif isinstance(result, SourceEnded):
            self._ended(result.source_id, result.missed)

    def _ended(self, name: str, missed: bool) -> None:
        self._drop(name)
        if missed and name not in self._leaving:
            self._away[name] = True
        self._open.discard(name)
        self._leaving.discard(name)

    def forget(self, name: str) -> None:
        """A source was taken out: it is not missed, however it ended or will end."""
        self._drop(name)
        if name in self._open:
            self._leaving.add(name)

    def _drop(self, name: str) -> None:
        self._last_label_s.pop(name, None)
        self._away.pop(name, None)

    def seen(self) -> None:
        """The main loop turned once more."""
        self._seen_s = self._clock()

    def report(self) -> dict[str, Any]:
        """`alive`: the main loop turns; `ready`: every source is there and was answered once."""
        now = self._clock()
        sources = {
            name: {
                "away": away,
                "last_label_age_s": round(now - self._last_label_s[name], 3)
                if name in self._last_label_s
                else None,
            }
            for name, away in list(self._away.items())
        }
        answered = [s["last_label_age_s"] is not None and not s["away"] for s in sources.values()]
        return {
            "alive": now - self._seen_s <= ALIVE_WITHIN_S,
            "ready": bool(answered) and all(answered),
            "sources": sources,
        }


class Flow:
    """Tells a pipeline that moves from one that hangs.

    A source moves where frames come in and, if samples wait for the engine, the engine takes
    some. One that is away is looked for by its own thread, and holds nothing up.
    """

    def __init__(self) -> None:
        self._read: dict[str, int] = {}
        self._taken: dict[str, int] = {}
        self._still: set[str] = set()

    def restarted(self, name: str) -> None:
        """A source began (again): its counts begin anew."""
        self._read.pop(name, None)
        self._taken.pop(name, None)
        self._still.discard(name)

    def moved(self, progress: Iterable[SourceProgress], playing: Iterable[str]) -> bool:
        """True where every source moved since this was last true.

        Args:
            progress: Counts of the sources.
            playing: Those that should move: started, neither ended nor away.
        """
        counts = {source.name: source for source in progress}
        wanted = set(playing) & set(counts)
        if not self._still:
            self._still = set(wanted)
        self._still = {name for name in self._still & wanted if not self._moves(counts[name])}
        return not self._still

    def _moves(self, source: SourceProgress) -> bool:
        # The counts are read one after the other while they change: only a new highest is news.
        taken = source.frames_used - source.waiting
        came = source.frames_read != self._read.get(source.name)
        went = not source.waiting or taken > self._taken.get(source.name, -1)
        self._read[source.name] = source.frames_read
        self._taken[source.name] = max(taken, self._taken.get(source.name, -1))
        return came and went
