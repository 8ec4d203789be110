"""What the parts of `edgevid.benchmarks.live` share: a row of the table, and small statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

_MOST_ALIKE = 0.95
"""Of neighbours. Beyond it a series says nothing of its slope."""


@dataclass(frozen=True)
class Row:
    """One figure beside its target.

    Attributes:
        part: The part that measured it.
        what: What was measured, and on what.
        asked: The target, in words; empty: none, the figure stands beside another.
        seen: The figure, with its unit.
        reached: None where nothing was asked.
    """

    part: str
    what: str
    asked: str
    seen: str
    reached: bool | None = None


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    marks = {True: "yes", False: "**no**", None: ""}
    lines = ["| part | figure | asked | seen | reached |", "|---|---|---|---|---|"]
    lines += [f"| {r.part} | {r.what} | {r.asked} | {r.seen} | {marks[r.reached]} |" for r in rows]
    return "\n".join(lines)


@dataclass(frozen=True)
class Slope:
    """A straight line through a series: its rise for each unit of time, and a 95 % interval."""

    rise: float
    low: float
    high: float

    @property
    def is_zero(self) -> bool:
        """True where the interval holds zero."""
        return self.low <= 0 <= self.high


def slope(times: Sequence[float], values: Sequence[float], blocks: int = 80) -> Slope:
    """Least squares through the medians of `blocks` equal stretches of the series.

    A process's memory goes up and down over minutes, so that neighbouring residuals are alike. With
    the autocorrelation r of neighbours, n of them tell as much as n (1 - r) / (1 + r) that are
    independent (Santer et al. 2000, JGR 105:7337); r is found too small in a short series, which
    is made up for to first order (Marriott and Pope 1954, Biometrika 41:390). Of noise that swings
    over 1 to 7 minutes and has no slope, the interval of 20 minutes holds zero 94 to 97 times in
    100.

    Args:
        times: Ascending, at least four.
        values: One for each.
    """
    n = min(blocks, len(times))
    t = np.array([np.median(part) for part in np.array_split(np.asarray(times, float), n)])
    v = np.array([np.median(part) for part in np.array_split(np.asarray(values, float), n)])
    t, v = t - t.mean(), v - v.mean()
    rise = float(t @ v / (t @ t))
    left = v - rise * t
    square = float(left @ left)
    if square == 0:
        return Slope(rise, rise, rise)
    r = float(left[1:] @ left[:-1]) / square
    r = min(max(r + (1 + 4 * r) / n, 0.0), _MOST_ALIKE)
    freedom = max(n * (1 - r) / (1 + r) - 2, 1.0)
    half = _student(freedom) * (square / freedom / float(t @ t)) ** 0.5
    return Slope(rise, rise - half, rise + half)


def _student(freedom: float) -> float:
    """The 97.5 % quantile of Student's t (Abramowitz and Stegun 26.7.5)."""
    z = NormalDist().inv_cdf(0.975)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return sum(term / freedom**power for power, term in enumerate(terms))
