"""Labels over time, the last of them, in memory that is taken once."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

_MOST = 1000


@dataclass
class LabelSpan:
    """A stretch of time in which the (smoothed) label stayed the same.

    A label starts where the one before it ended: at the end of the window that changed it.
    """

    label: str
    start_s: float
    end_s: float


class LabelSpans:
    """The last stretches of one source.

    Args:
        most: How many are kept.

    Attributes:
        changes: How often the label changed, also before what is kept.
    """

    def __init__(self, most: int = _MOST) -> None:
        # Rings: objects that come by the hour and stay would look like a leak for as long.
        self._starts = array("d", bytes(8 * most))
        self._labels = [""] * most
        self._count = 0
        self._end_s = 0.0

    @property
    def changes(self) -> int:
        return max(self._count - 1, 0)

    def add(self, label: str, start_s: float, end_s: float) -> None:
        """Take the label of a window, in seconds of the source's clock."""
        most = len(self._labels)
        if not self._count or self._labels[(self._count - 1) % most] != label:
            self._starts[self._count % most] = self._end_s if self._count else start_s
            self._labels[self._count % most] = label
            self._count += 1
        self._end_s = end_s

    def spans(self) -> list[LabelSpan]:
        """Those kept, in order; each ends where the next one starts."""
        most = len(self._labels)
        at = [i % most for i in range(max(self._count - most, 0), self._count)]
        ends = [*(self._starts[i] for i in at[1:]), self._end_s]
        return [
            LabelSpan(self._labels[i], self._starts[i], end_s)
            for i, end_s in zip(at, ends, strict=False)
        ]
