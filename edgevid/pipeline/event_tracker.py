"""Events of all sources of a run, from its predictions."""

from __future__ import annotations

from collections.abc import Sequence

from edgevid.events import EventDetector, EventRules
from edgevid.types import Event, Prediction


class EventTracker:
    """One detector for each source that plays.

    Args:
        labels: One name per class.
        rules: For each class; None: no events at all.
    """

    def __init__(self, labels: Sequence[str], rules: EventRules | None) -> None:
        self._labels = tuple(labels)
        self._rules = rules
        self._detectors: dict[str, EventDetector] = {}

    def predicted(self, prediction: Prediction) -> list[Event]:
        """What began and ended with this prediction. A restart ends what was open before it."""
        if self._rules is None:
            return []
        source = prediction.source_id
        detector = self._detectors.get(source)
        if detector is None:
            detector = self._detectors[source] = EventDetector(source, self._labels, self._rules)
        ended = detector.finish("gap") if prediction.restart else []
        decided_s = prediction.end_s + prediction.lag_s
        return ended + detector.update(prediction.smoothed, prediction.end_s, decided_s)

    def ended(self, source_id: str) -> list[Event]:
        """What ends because a source is over."""
        detector = self._detectors.pop(source_id, None)
        return detector.finish() if detector is not None else []

    def finish(self) -> list[Event]:
        """What ends because the run does."""
        return [event for source in list(self._detectors) for event in self.ended(source)]
