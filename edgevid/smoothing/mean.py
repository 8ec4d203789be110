"""Rolling means: of the scores, and of their logarithms."""

from __future__ import annotations

import numpy as np

from edgevid.smoothing.reach import Reach, SlidingSum
from edgevid.types import Float32Array

FLOOR = 1e-6
"""Scores below count as this much: a single 0 would rule a class out, whatever others say."""


class RollingMean:
    """Mean of the last score vectors; of those there are until so many came.

    Args:
        window: How many score vectors are averaged (n), at least 1.
        span_s: Or: those of the last so many seconds.
    """

    def __init__(self, window: int | None = None, *, span_s: float | None = None) -> None:
        self._reach = Reach(window, span_s)
        self._sum = SlidingSum()

    @property
    def window(self) -> int | None:
        return self._reach.windows

    @property
    def span_s(self) -> float | None:
        return self._reach.span_s

    def update(self, scores: Float32Array, time_s: float) -> Float32Array:
        """The mean `(C,)` float32 of `scores` `(C,)` and of the windows before that count.

        Raises:
            ValueError: The number of classes changed without a `reset`.
        """
        self._sum.push(scores)
        for _ in range(self._reach.add(time_s)):
            self._sum.pop()
        return self._sum.mean().astype(np.float32)

    def reset(self) -> None:
        """Forget all windows."""
        self._reach.clear()
        self._sum.clear()


class RollingLogMean:
    """Rolling mean of the logits, back to scores.

    Of a softmax, log p is the logits but for a constant, so this is the softmax of the mean
    logits: the normalised geometric mean of the scores (the product rule of Kittler et al.
    1998, "On Combining Classifiers", IEEE TPAMI 20:226). Of sigmoids each class has its own
    logit, log(p / (1 - p)). One confident window weighs more than in the mean of scores.

    Args:
        window, span_s: As for `RollingMean`.
        multi_label: Scores are sigmoids.
    """

    def __init__(
        self, window: int | None = None, *, span_s: float | None = None, multi_label: bool = False
    ) -> None:
        self._reach = Reach(window, span_s)
        self._sum = SlidingSum()
        self._multi_label = multi_label

    def update(self, scores: Float32Array, time_s: float) -> Float32Array:
        """As for `RollingMean`."""
        logits = np.log(np.maximum(scores, FLOOR))
        if self._multi_label:
            logits -= np.log(np.maximum(1 - scores, FLOOR))
        self._sum.push(logits)
        for _ in range(self._reach.add(time_s)):
            self._sum.pop()
        mean = self._sum.mean()
        if self._multi_label:
            return (1 / (1 + np.exp(-mean))).astype(np.float32)
        # Between log(FLOOR) and 0: no need to subtract the largest before.
        powers = np.exp(mean.astype(np.float32))
        normalised: Float32Array = powers / powers.sum()
        return normalised

    def reset(self) -> None:
        """Forget all windows."""
        self._reach.clear()
        self._sum.clear()
