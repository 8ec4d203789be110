"""Hysteresis: the label changes only where another one leads clearly, for long enough."""

from __future__ import annotations

from edgevid.smoothing.reach import ROUNDING_S
from edgevid.types import Float32Array


class Hysteresis:
    """Holds a label until another leads it by a margin, in so many windows or for so long.

    While the held label is not the best one, the two swap their scores: the best score is
    always that of the label that is shown.

    Args:
        margin: By how much the other label's score must exceed the held one's, from 0 to 1.
        windows: In how many windows running, at least 1, the same label.
        span_s: Or: for how long.

    Raises:
        ValueError: A value is out of range.
    """

    def __init__(self, margin: float, windows: int = 1, span_s: float = 0.0) -> None:
        if not 0 <= margin <= 1:
            raise ValueError(f"margin {margin} must be from 0 to 1")
        if windows < 1 or not span_s >= 0:
            raise ValueError(f"windows {windows} must be at least 1, span_s {span_s} at least 0")
        self._margin = margin
        self._windows = windows
        self._span_s = span_s
        self.reset()

    def reset(self) -> None:
        """Forget the label that is held."""
        self._held = -1
        self._rival = -1
        self._seen = 0
        self._since_s = 0.0

    def update(self, scores: Float32Array, time_s: float) -> Float32Array:
        """The scores `(C,)`, with the held label's as the best."""
        best = int(scores.argmax())
        if self._held < 0:
            self._held = best
        if best == self._held:
            self._rival = -1
            return scores
        if scores[best] - scores[self._held] < self._margin:
            self._rival = -1
        elif self._is_due(best, time_s):
            self._held, self._rival = best, -1
            return scores
        swapped: Float32Array = scores.copy()
        swapped[self._held], swapped[best] = scores[best], scores[self._held]
        return swapped

    def _is_due(self, rival: int, time_s: float) -> bool:
        """Count one more window in which `rival` leads clearly; True once that is enough."""
        if rival != self._rival:
            self._rival, self._seen, self._since_s = rival, 0, time_s
        self._seen += 1
        return self._seen >= self._windows and time_s - self._since_s >= self._span_s - ROUNDING_S
