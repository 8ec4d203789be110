"""The exponential mean."""

from __future__ import annotations

import math

import numpy as np

from edgevid.smoothing.reach import Float64Array
from edgevid.types import Float32Array


class ExponentialMean:
    """s += alpha * (scores - s), from the first scores on.

    Args:
        alpha: The weight of each new window, above 0 and at most 1, however long after the
            one before it comes.
        time_constant_s: Or tau: alpha = 1 - exp(-dt / tau) for a window that comes dt seconds
            after the one before. What was true for a second then weighs the same whether it
            came in 1 window or in 4 (a first-order low-pass, sampled exactly).

    Raises:
        ValueError: Not exactly one of them is given, or it is out of range.
    """

    def __init__(self, alpha: float | None = None, *, time_constant_s: float | None = None) -> None:
        if (alpha is None) == (time_constant_s is None):
            raise ValueError("an exponential mean has a weight or a time constant")
        if alpha is not None and not 0 < alpha <= 1:
            raise ValueError(f"alpha {alpha} must be above 0 and at most 1")
        if time_constant_s is not None and not time_constant_s > 0:
            raise ValueError(f"time_constant_s {time_constant_s} must be above 0")
        self._alpha = alpha
        self._tau_s = time_constant_s
        self._state: Float64Array | None = None
        self._time_s = 0.0

    def update(self, scores: Float32Array, time_s: float) -> Float32Array:
        """The mean `(C,)` float32.

        Raises:
            ValueError: The number of classes changed without a `reset`.
        """
        if self._state is None:
            self._state = scores.astype(np.float64)
        elif scores.shape != self._state.shape:
            raise ValueError(f"scores are {self._state.shape}; got {scores.shape}")
        else:
            self._state += self._weight(time_s) * (scores - self._state)
        self._time_s = time_s
        return self._state.astype(np.float32)

    def _weight(self, time_s: float) -> float:
        if self._tau_s is None:
            assert self._alpha is not None
            return self._alpha
        return -math.expm1(-max(time_s - self._time_s, 0.0) / self._tau_s)

    def reset(self) -> None:
        """Forget all windows."""
        self._state = None
