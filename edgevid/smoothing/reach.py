"""How far back a smoother looks, and sums over that reach."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from edgevid.types import Float32Array

Float64Array = npt.NDArray[np.float64]

ROUNDING_S = 1e-6
"""Windows 0.1 s apart: the fourth is 0.3 s after the first, whatever the sum of floats says."""


class Reach:
    """Which windows count: the last n, or those of the last seconds.

    Args:
        windows: n, at least 1.
        span_s: A window counts while it ended less than this long before the newest one.

    Raises:
        ValueError: Not exactly one of them is given, or it is out of range.
    """

    def __init__(self, windows: int | None = None, span_s: float | None = None) -> None:
        if (windows is None) == (span_s is None):
            raise ValueError("a reach is a number of windows or a time")
        if windows is not None and windows < 1:
            raise ValueError(f"window {windows} must be at least 1")
        if span_s is not None and not span_s > 0:
            raise ValueError(f"span_s {span_s} must be above 0")
        self.windows = windows
        self.span_s = span_s
        self._times: deque[float] = deque()

    def add(self, time_s: float) -> int:
        """Take the window that ends at `time_s`; how many of the oldest no longer count."""
        times = self._times
        times.append(time_s)
        if self.span_s is None:
            if len(times) > self.windows:  # type: ignore[operator]
                times.popleft()
                return 1
            return 0
        oldest, left = time_s - self.span_s + ROUNDING_S, 0
        while times[0] <= oldest:
            times.popleft()
            left += 1
        return left

    def clear(self) -> None:
        """Forget all windows."""
        self._times.clear()


class SlidingSum:
    """Sum of the score vectors in a queue: add at one end, take away at the other.

    Nothing is ever subtracted, so that errors cannot pile up over months, and a NaN leaves
    with its window. The queue is two stacks: what comes is summed; when something is to be
    taken away and nothing older is left, the sums from each row to the newest are laid ready.

        oldest                     newest
        a+b+c+d  b+c+d  c+d  d  |  e  f       total = (b+c+d, once a has left) + (e+f)

    Two additions a score vector.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Empty it."""
        self._ready: list[Float64Array] = []
        self._rows: list[Float64Array] = []
        self._sum: Float64Array | None = None

    def __len__(self) -> int:
        return len(self._ready) + len(self._rows)

    def push(self, row: Float32Array | Float64Array) -> None:
        """Add the newest `(C,)`.

        Raises:
            ValueError: The number of classes changed without a `clear`.
        """
        if self._sum is None:
            self._sum = np.zeros(row.shape)
        if row.shape != self._sum.shape:
            raise ValueError(f"scores are {self._sum.shape}; got {row.shape}")
        # Widened first: an addition of both kinds of float takes twice as long.
        wide = row.astype(np.float64)
        self._rows.append(wide)
        self._sum += wide

    def pop(self) -> None:
        """Take the oldest away."""
        if not self._ready:
            assert self._sum is not None
            self._ready, self._rows = self._rows[::-1], []
            for newer, older in pairwise(self._ready):
                older += newer
            self._sum[:] = 0.0
        self._ready.pop()

    def mean(self) -> Float64Array:
        """`(C,)` float64, of what is in the queue; at least one row must be."""
        assert self._sum is not None
        if not self._ready:
            return self._sum / len(self)
        mean = self._sum + self._ready[-1]
        mean /= len(self)
        return mean
