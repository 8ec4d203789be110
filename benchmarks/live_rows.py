"""What the parts of `edgevid.benchmarks.live` share: a row of the table, and small statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[np.float64]


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


def slope(times: Sequence[float], values: Sequence[float], blocks: int = 20) -> Slope:
    """Least squares through the medians of `blocks` equal stretches of the series.

    Neighbouring samples of a process's memory are all but equal, so stretches are resampled,
    not samples (Efron's bootstrap of pairs, seeded).

    Args:
        times: Ascending, at least three.
        values: One for each.
    """
    blocks = min(blocks, len(times))
    t = np.array([np.median(part) for part in np.array_split(np.asarray(times, float), blocks)])
    v = np.array([np.median(part) for part in np.array_split(np.asarray(values, float), blocks)])
    picks = np.random.default_rng(0).integers(0, blocks, (4000, blocks))
    rises = _rise(t[picks], v[picks])
    low, high = np.nanpercentile(rises, (2.5, 97.5))
    return Slope(float(_rise(t, v)), float(low), float(high))


def _rise(times: _Array, values: _Array) -> _Array:
    """Least-squares slope along the last axis; NaN where all times are the same."""
    t = times - times.mean(axis=-1, keepdims=True)
    square = (t * t).sum(axis=-1)
    return np.asarray((t * values).sum(axis=-1) / np.where(square > 0, square, np.nan))
