"""The rolling median."""

from __future__ import annotations

from collections import deque
from functools import lru_cache

import numpy as np

from edgevid.smoothing.reach import Reach
from edgevid.types import Float32Array

_NETWORK_UP_TO = 9
"""Beyond that NumPy's partition is faster."""

_Step = tuple[int, int, bool, bool]
"""Rows i < j: the smaller goes to i, the larger to j; and which of the two is needed."""


class RollingMedian:
    """Median of each class over the last score vectors: one odd window changes nothing.

    Medians of a softmax need not add up to 1.

    Args:
        window: How many windows count, at least 1.
        span_s: Or: those of the last so many seconds.
    """

    def __init__(self, window: int | None = None, *, span_s: float | None = None) -> None:
        self._reach = Reach(window, span_s)
        self._rows: deque[Float32Array] = deque()

    def update(self, scores: Float32Array, time_s: float) -> Float32Array:
        """The medians `(C,)` float32; between the middle two where the number is even.

        Raises:
            ValueError: The number of classes changed without a `reset`.
        """
        if self._rows and scores.shape != self._rows[0].shape:
            raise ValueError(f"scores are {self._rows[0].shape}; got {scores.shape}")
        self._rows.append(scores.astype(np.float32))
        for _ in range(self._reach.add(time_s)):
            self._rows.popleft()
        low, high = (len(self._rows) - 1) // 2, len(self._rows) // 2
        if len(self._rows) > _NETWORK_UP_TO:
            ordered = list(np.partition(np.stack(self._rows), (low, high), axis=0))
        else:
            ordered = _ordered(list(self._rows))
        middle: Float32Array = (ordered[low] + ordered[high]) / 2
        return middle

    def reset(self) -> None:
        """Forget all windows."""
        self._reach.clear()
        self._rows.clear()


def _ordered(rows: list[Float32Array]) -> list[Float32Array]:
    """The middle rows hold each class's middle values; what the others hold is not said."""
    for i, j, smaller, larger in _network(len(rows)):
        a, b = rows[i], rows[j]
        if smaller:
            rows[i] = np.minimum(a, b)
        if larger:
            rows[j] = np.maximum(a, b)
    return rows


@lru_cache(maxsize=_NETWORK_UP_TO)
def _network(count: int) -> tuple[_Step, ...]:
    """A sorting network, without the steps that the middle does not need.

    Batcher's odd-even merge exchange (Knuth, The Art of Computer Programming 3, 5.2.2,
    algorithm M): whole rows are compared at once, with no branch for any class.
    """
    pairs = []
    top = 1 << max((count - 1).bit_length() - 1, 0)
    p = top
    while p and count > 1:
        q, r, d = top, 0, p
        while True:
            pairs += [(i, i + d) for i in range(count - d) if i & p == r]
            if q == p:
                break
            d, q, r = q - p, q >> 1, p
        p >>= 1
    needed = {(count - 1) // 2, count // 2}
    steps: list[_Step] = []
    for i, j in reversed(pairs):
        if i in needed or j in needed:
            steps.append((i, j, i in needed, j in needed))
            needed |= {i, j}
    return tuple(reversed(steps))
