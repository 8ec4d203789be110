"""A running histogram of magnitudes, in memory of fixed size.

The range is the smallest power of two above every value so far, so it grows by doubling, and
doubling joins the bins in pairs. Both are exact in binary floating point: a stream fed in
pieces, in any order, gives the very histogram of all values at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgevid.types import Array

NUM_BINS = 2048
"""As in the calibrators of TensorRT and ONNX Runtime."""

Counts = npt.NDArray[np.int64]

_MIN_EXPONENT = -100
"""Magnitudes below 2**-100 count as zero: the bin width must stay far from underflow."""

_BLOCK = 1 << 16
"""Values binned at a time, so that the intermediate arrays stay in the processor's cache."""


@dataclass
class Histogram:
    """Counts of |x| for everything that was added.

    Attributes:
        counts: `(NUM_BINS,)` int64; bin j holds the magnitudes in [j, j + 1) * `bin_width`,
            without the exact zeros, which every symmetric quantiser represents exactly.
        zeros: How many values were exactly zero.
        low, high: Smallest and largest value, with their sign; 0.0 before the first.
    """

    counts: Counts = field(default_factory=lambda: np.zeros(NUM_BINS, np.int64))
    zeros: int = 0
    low: float = 0.0
    high: float = 0.0
    _exponent: int = _MIN_EXPONENT
    _empty: bool = True

    @property
    def limit(self) -> float:
        """Upper end of the range: a power of two above every magnitude."""
        return math.ldexp(1.0, self._exponent)

    @property
    def bin_width(self) -> float:
        return self.limit / NUM_BINS

    @property
    def amax(self) -> float:
        """Largest magnitude."""
        return max(-self.low, self.high)

    @property
    def total(self) -> int:
        """Values added, zeros included."""
        return int(self.counts.sum()) + self.zeros

    @property
    def degenerate(self) -> bool:
        """True where there is nothing but zeros."""
        return self.amax < math.ldexp(1.0, _MIN_EXPONENT)

    def widen(self, values: Array) -> None:
        """Take the range of `values` into account, but do not count them.

        Args:
            values: Any shape, float.

        Raises:
            ValueError: A value is NaN or infinite; nothing is changed.
        """
        if not values.size:
            return
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError("a value is NaN or infinite")
        self.low = low if self._empty else min(self.low, low)
        self.high = high if self._empty else max(self.high, high)
        self._empty = False
        # frexp gives m in [0.5, 1) and e with amax = m * 2**e, so 2**e lies above amax.
        exponent = max(math.frexp(self.amax)[1], self._exponent)
        self.counts = _joined(self.counts, exponent - self._exponent)
        self._exponent = exponent

    def add(self, values: Array) -> None:
        """Count `values`, of any shape, as float32.

        Raises:
            ValueError: A value is NaN or infinite; nothing is changed.
        """
        flat = np.ascontiguousarray(values, np.float32).reshape(-1)
        self.widen(flat)
        bins_per_unit = np.float32(NUM_BINS / self.limit)
        scaled = np.empty(min(_BLOCK, flat.size), np.float32)
        for start in range(0, flat.size, _BLOCK):
            block = flat[start : start + _BLOCK]
            places = np.multiply(block, bins_per_unit, out=scaled[: block.size])
            np.abs(places, out=places)
            self.counts += np.bincount(places.astype(np.intp), minlength=NUM_BINS)
            zeros = block.size - np.count_nonzero(block)
            self.counts[0] -= zeros
            self.zeros += zeros


def _joined(counts: Counts, doublings: int) -> Counts:
    """The same counts over a range that was doubled so many times."""
    if doublings == 0:
        return counts
    together = min(1 << doublings, NUM_BINS)
    joined = np.zeros_like(counts)
    joined[: NUM_BINS // together] = counts.reshape(-1, together).sum(axis=1)
    return joined
