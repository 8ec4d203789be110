"""Energy from power readings, and where readings are missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgevid.benchmarks.harness.readings import Gaps

_LATE = 3.0
"""Readings further apart than this many intervals leave a gap."""


def joules(times_s: Sequence[float], watts: Sequence[float]) -> float:
    """Energy by trapezoids over the readings' own times: sum of (t1 - t0) * (w0 + w1) / 2.

    Args:
        times_s: When each reading was taken, seconds, never falling.
        watts: The readings.

    Returns:
        Joules; 0 for fewer than two readings.

    Raises:
        ValueError: The two differ in length, or time runs backwards.
    """
    if len(times_s) != len(watts):
        raise ValueError(f"{len(times_s)} times but {len(watts)} readings")
    steps = _steps(times_s)
    if np.any(steps < 0):
        raise ValueError("the readings' times run backwards")
    power = np.asarray(watts, np.float64)
    return float(np.sum(steps * (power[1:] + power[:-1]) / 2))


def find_gaps(times_s: Sequence[float], interval_s: float) -> Gaps:
    """Stretches without a reading; across them the energy is that of a straight line."""
    steps = _steps(times_s)
    late = steps[steps > _LATE * interval_s]
    return Gaps(
        count=late.size,
        longest_s=float(late.max(initial=0.0)),
        total_s=float(late.sum()),
    )


def _steps(times_s: Sequence[float]) -> npt.NDArray[np.float64]:
    return np.diff(np.asarray(times_s, np.float64))
