"""The majority vote."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from edgevid.smoothing.reach import Reach
from edgevid.types import Float32Array

_TIE_BREAK = np.float32(1e-6)


class MajorityVote:
    """Each window votes for its best class; a class's score is its share of the votes.

    In a tie the class that led before stays ahead, by a millionth.

    Args:
        window: How many windows vote, at least 1.
        span_s: Or: those of the last so many seconds.
    """

    def __init__(self, window: int | None = None, *, span_s: float | None = None) -> None:
        self._reach = Reach(window, span_s)
        self._votes: deque[int] = deque()
        self._counts: npt.NDArray[np.int64] | None = None
        self._leader = 0

    def update(self, scores: Float32Array, time_s: float) -> Float32Array:
        """Shares of the votes, `(C,)` float32.

        Raises:
            ValueError: The number of classes changed without a `reset`.
        """
        if self._counts is None:
            self._counts = np.zeros(scores.shape, np.int64)
        counts = self._counts
        if scores.shape != counts.shape:
            raise ValueError(f"scores are {counts.shape}; got {scores.shape}")
        vote = int(scores.argmax())
        self._votes.append(vote)
        counts[vote] += 1
        for _ in range(self._reach.add(time_s)):
            counts[self._votes.popleft()] -= 1
        best = int(counts.argmax())
        shares = (counts / len(self._votes)).astype(np.float32)
        if counts[self._leader] < counts[best]:
            self._leader = best
        elif best != self._leader:
            shares[self._leader] += _TIE_BREAK
        return shares

    def reset(self) -> None:
        """Forget all windows."""
        self._reach.clear()
        self._votes.clear()
        self._counts = None
        self._leader = 0
