"""From a histogram of magnitudes to the magnitude that INT8's largest value shall stand for.

Everything above the threshold is clipped to it; everything below gets finer steps. INT8 is
symmetric here: -127 to 127, zero at 0, scale = threshold / 127.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edgevid.convert.quantize.histogram import NUM_BINS, Counts, Histogram
from edgevid.types import Array

DEFAULT_PERCENTILE = 99.99

LEVELS = 128
"""Levels that the entropy method lays over the magnitudes, after the source below."""

MAX_INT8 = 127
MSE_GRID = 200
"""Thresholds that the mse method tries."""


def percentile_threshold(histogram: Histogram, percentile: float = DEFAULT_PERCENTILE) -> float:
    """The smallest upper end of a bin that `percentile` % of all values do not exceed.

    Zeros count as values. Never above the largest magnitude.
    """
    needed = math.ceil(percentile / 100 * histogram.total)
    seen = histogram.zeros + np.cumsum(histogram.counts)
    return _edge(histogram, int(np.searchsorted(seen, needed)) + 1)


def entropy_threshold(histogram: Histogram) -> float:
    """The threshold whose quantised distribution is nearest to the real one (smallest KL).

    After S. Migacz, "8-bit Inference with TensorRT", GTC 2017, which tries every bin from
    128 on as the threshold. Exact zeros are left out, where NVIDIA's calibrators replace the
    count of the first bin by that of the second; of equally good thresholds the largest is
    taken, as they do.
    """
    candidates, divergence = divergences(histogram.counts)
    if not candidates.size:
        return histogram.amax
    best = candidates.size - 1 - int(np.argmin(divergence[::-1]))
    return _edge(histogram, int(candidates[best]))


def divergences(
    counts: Counts,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The KL divergence for every number of bins that are kept.

    With i bins kept, P is the first i counts with everything beyond added to the last. Q is
    those i counts without the addition, collected in `LEVELS` levels of i / LEVELS bins; the
    mass of a level is shared equally among its bins that are not empty. Since

        KL(P, Q) = sum over bins of P log P - sum over levels of P(level) log q(level),

    and q is one number a level, prefix sums over the bins give every i at once.

    Where values are clipped into a last bin that is empty by itself, the divergence would be
    infinite, and a lone outlier would never be clipped: Q gets one count there.

    Args:
        counts: `(NUM_BINS,)`; not all zero.

    Returns:
        The numbers of bins i, ascending from `LEVELS` to the last bin that is not empty, and
        the divergence in nats for each. Both are empty where fewer than `LEVELS` bins are in
        use.
    """
    last = int(np.flatnonzero(counts)[-1]) + 1
    kept = np.arange(LEVELS, last + 1)
    mass = _prefix(counts)
    filled = _prefix(counts > 0)
    total = mass[last]
    beyond = total - mass[kept]
    at_end = counts[kept - 1].astype(np.float64)
    alone = (at_end == 0) & (beyond > 0)
    q_total = mass[kept] + alone

    # Level k of i kept bins holds the bins j with k <= j * LEVELS / i < k + 1.
    edges = -(-np.arange(LEVELS + 1) * kept[:, None] // LEVELS)
    level_mass = np.diff(mass[edges], axis=1)
    level_filled = np.diff(filled[edges], axis=1)
    q = level_mass / np.maximum(level_filled, 1) / q_total[:, None]
    level_mass_p = level_mass.copy()
    level_mass_p[:, -1] += np.where(alone, 0, beyond)

    p_log_p = _prefix(_x_log(counts, counts))[kept - 1] + _x_log(at_end + beyond, at_end + beyond)
    p_log_q = _x_log(level_mass_p, q).sum(axis=1) - np.where(alone, beyond, 0) * np.log(q_total)
    return kept, (p_log_p - p_log_q) / total - np.log(total)


def mse_threshold(histogram: Histogram) -> float:
    """The threshold of `mse_grid` with the smallest expected squared error."""
    grid = mse_grid(histogram)
    return float(grid[np.argmin(squared_errors(histogram, grid))])


def mse_grid(histogram: Histogram) -> npt.NDArray[np.float64]:
    """`MSE_GRID` thresholds, evenly spaced from 128 bins to the largest magnitude.

    Below 128 bins one step of INT8 is finer than a bin, and the histogram says nothing more.
    """
    finest = min(LEVELS * histogram.bin_width, histogram.amax)
    return np.linspace(finest, histogram.amax, MSE_GRID)


def squared_errors(
    histogram: Histogram, thresholds: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Sum of squared quantisation errors for each threshold, `(n,)`.

    Every value is taken to lie in the middle of its bin; zeros have no error.
    """
    centres = (np.arange(NUM_BINS) + 0.5) * histogram.bin_width
    steps = thresholds[:, None] / MAX_INT8
    quantised = np.minimum(np.rint(centres / steps), MAX_INT8) * steps
    errors: npt.NDArray[np.float64] = np.square(centres - quantised) @ histogram.counts
    return errors


def _edge(histogram: Histogram, bins: int) -> float:
    return min(bins * histogram.bin_width, histogram.amax)


def _prefix(values: Array) -> npt.NDArray[np.float64]:
    """Entry i is the sum of the first i values."""
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])


def _x_log(x: Array, y: Array) -> npt.NDArray[np.float64]:
    """x * log(y), and 0 where x or y is 0."""
    counted = (x != 0) & (y != 0)
    logs = np.zeros(np.shape(x))
    np.log(y, out=logs, where=counted)
    product: npt.NDArray[np.float64] = x * logs
    return product
