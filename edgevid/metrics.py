"""Figures that stay small however long the pipeline runs."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

_LOWEST_MS = 1e-3
_GROWTH = 1.01
_LOG_GROWTH = math.log(_GROWTH)
_BUCKETS = 2100


class LatencyHistogram:
    """Percentiles within 1 %, in constant memory: buckets that grow by 1 %.

    Covers 1 µs to about 20 minutes; what lies outside counts in the first or last bucket.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(_BUCKETS, np.int64)
        self._total = 0
        self._sum_ms = 0.0
        self._max_ms = 0.0

    def add(self, values_ms: npt.ArrayLike) -> None:
        """Count values in milliseconds: many at once cost little more than one."""
        values = np.asarray(values_ms, np.float64).reshape(-1)
        if not len(values):
            return
        steps = np.log(np.maximum(values, _LOWEST_MS) / _LOWEST_MS) / _LOG_GROWTH
        np.add.at(self._counts, np.minimum(steps.astype(int), _BUCKETS - 1), 1)
        self._total += len(values)
        self._sum_ms += float(values.sum())
        self._max_ms = max(self._max_ms, float(values.max()))

    @property
    def count(self) -> int:
        return self._total

    @property
    def mean_ms(self) -> float:
        return self._sum_ms / self.count if self.count else 0.0

    @property
    def max_ms(self) -> float:
        return self._max_ms

    def percentile(self, percent: float) -> float:
        """The value in milliseconds that `percent` of the counted values do not exceed.

        The nearest-rank definition; 0.0 where nothing was counted.
        """
        total = self.count
        if not total:
            return 0.0
        rank = max(math.ceil(percent / 100 * total), 1)
        bucket = int(np.searchsorted(np.cumsum(self._counts), rank))
        middle = _LOWEST_MS * _GROWTH ** (bucket + 0.5)
        return float(min(middle, self._max_ms))
