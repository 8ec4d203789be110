"""Labels over time: the last of them, in 16 bytes each."""

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
        self._most = most
        # Not as objects: those of some hours, which stay, would look like a leak for as long.
        self._starts = array("d")
        self._labels: list[str] = []
        self._end_s = 0.0
        self.changes = 0

    def add(self, label: str, start_s: float, end_s: float) -> None:
        """Take the label of a window, in seconds of the source's clock."""
        if not self._labels or self._labels[-1] != label:
            self.changes += bool(self._labels)
            self._starts.append(self._end_s if self._labels else start_s)
            self._labels.append(label)
            del self._starts[: -self._most], self._labels[: -self._most]
        self._end_s = end_s

    def spans(self) -> list[LabelSpan]:
        """Those kept, in order; each ends where the next one starts."""
        ends = [*self._starts[1:], self._end_s]
        return [LabelSpan(*span) for span in zip(self._labels, self._starts, ends, strict=False)]
