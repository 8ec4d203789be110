"""Events of one stream, as its scores come.

score   .   .  /--\\_____/---\\   .   .
onset ------ /     .      .  \\ ------     begins at the first window at or above it
offset -----/......\\____/....\\-----       ends at the first one below it, unless it
            |<--------------->|           begins again within merge_s
          start             end
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgevid.events.rules import EventRules
from edgevid.types import ClosedBy, Event, Float32Array

_ROUNDING_S = 1e-6


@dataclass
class _Open:
    """What is known of an event that has begun.

    Attributes:
        onset, offset, min_s, merge_s: Of its label's rule.
        off_s: When the score fell below offset; None: it is above.
        index: Its number, once it has lasted long enough to be told.
        off_total, off_count: Scores since `off_s`: they count if it goes on.
    """

    onset: float
    offset: float
    min_s: float
    merge_s: float
    start_s: float
    peak: float = 0.0
    total: float = 0.0
    count: int = 0
    off_s: float | None = None
    off_total: float = 0.0
    off_count: int = 0
    index: int | None = None

    def take(self, score: float, time_s: float) -> None:
        """One more window; the score is at least onset where the event had fallen off."""
        if self.off_s is None and score < self.offset:
            self.off_s = time_s
        elif self.off_s is not None and score >= self.onset:
            self.total, self.count = self.total + self.off_total, self.count + self.off_count
            self.off_s, self.off_total, self.off_count = None, 0.0, 0
        if self.off_s is None:
            self.peak = max(self.peak, score)
            self.total, self.count = self.total + score, self.count + 1
        else:
            self.off_total, self.off_count = self.off_total + score, self.off_count + 1

    def is_over(self, time_s: float) -> bool:
        """True where nothing that comes later can continue it."""
        return self.off_s is not None and time_s - self.off_s >= self.merge_s - _ROUNDING_S

    def is_late(self, time_s: float) -> bool:
        """True where even a score at onset does not continue it."""
        return self.off_s is not None and time_s - self.off_s > self.merge_s + _ROUNDING_S

    def is_long_enough(self, time_s: float) -> bool:
        """True once it has lasted `min_s`, until now or until it fell off."""
        until_s = time_s if self.off_s is None else self.off_s
        return until_s - self.start_s >= self.min_s - _ROUNDING_S


class EventDetector:
    """Tells when a label begins to be seen, and when it ended.

    Each label for itself: several may be seen at once. The time of a window is its end, so an
    event starts at the end of the first window that shows it. `start` is told once the event
    has lasted `min_s`; `end` once it cannot go on, which is `merge_s` after it fell off.

    Args:
        source_id: Name that the events carry.
        labels: One name per class.
        rules: For each class.
    """

    def __init__(self, source_id: str, labels: Sequence[str], rules: EventRules) -> None:
        self._source_id = source_id
        self._labels = tuple(labels)
        self._rules = rules
        self._open: dict[int, _Open] = {}
        self._count = 0
        self._time_s = 0.0
        self._decided_s = 0.0

    def update(
        self, scores: Float32Array, time_s: float, decided_s: float | None = None
    ) -> list[Event]:
        """What began and ended with one window.

        Args:
            scores: `(C,)` float32, after smoothing.
            time_s: The window's end.
            decided_s: When its scores were known; default: then.
        """
        self._time_s = time_s
        self._decided_s = time_s if decided_s is None else decided_s
        events: list[Event] = []
        begins = np.flatnonzero(scores >= self._rules.onsets)
        for number in list(self._open):
            event = self._open[number]
            score = float(scores[number])
            # With a score at onset the event goes on if it is not too late for that.
            late = event.is_late(time_s)
            if not late:
                event.take(score, time_s)
            if late or event.is_over(time_s):
                events += self._close(number, "offset")
            else:
                events += self._told(number, event)
        for number in begins.tolist():
            if number not in self._open:
                self._open[number] = self._begun(number, time_s)
                self._open[number].take(float(scores[number]), time_s)
                events += self._told(number, self._open[number])
        return events

    def finish(self, closed_by: ClosedBy = "end") -> list[Event]:
        """End what is open: at the last window, or where it fell off before that.

        Args:
            closed_by: `end` of the stream, or a `gap`, after which more may come.
        """
        return [event for number in list(self._open) for event in self._close(number, closed_by)]

    def _begun(self, number: int, time_s: float) -> _Open:
        rule = self._rules.rules[number]
        assert rule is not None
        onset, offset = float(self._rules.onsets[number]), float(self._rules.offsets[number])
        return _Open(onset, offset, rule.min_s, rule.merge_s, time_s)

    def _told(self, number: int, event: _Open) -> list[Event]:
        """Its beginning, if it has just become long enough."""
        if event.index is not None or not event.is_long_enough(self._time_s):
            return []
        event.index, self._count = self._count, self._count + 1
        return [self._event(number, event, None, None)]

    def _close(self, number: int, closed_by: ClosedBy) -> list[Event]:
        event = self._open.pop(number)
        begun = self._told(number, event)
        if event.index is None:
            return []
        end_s = self._time_s if event.off_s is None else event.off_s
        return [*begun, self._event(number, event, end_s, closed_by)]

    def _event(
        self, number: int, event: _Open, end_s: float | None, closed_by: ClosedBy | None
    ) -> Event:
        assert event.index is not None
        return Event(
            source_id=self._source_id,
            index=event.index,
            label=self._labels[number],
            start_s=event.start_s,
            end_s=end_s,
            peak_score=event.peak,
            mean_score=event.total / event.count,
            decided_s=self._decided_s,
            closed_by=closed_by,
        )
