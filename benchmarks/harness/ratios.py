"""Which of two is faster, with an interval that does not promise too much."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgevid.benchmarks.harness.statistics import CONFIDENCE, Samples, student_t
from edgevid.errors import SpecError
from edgevid.strict import Strict

Verdict = Literal["faster", "slower", "no difference seen", "too few rounds"]

_EXACT = 60
"""Rounds up to which the signed-rank distribution is counted out."""


class Ratio(Strict):
    """How many times as fast the second of two is as the first.

    Attributes:
        value: Above 1: the second is faster.
        low, high: Ends of the interval; None where too few rounds allow none.
        confidence: Of the interval, in (0, 1).
        verdict: `faster` or `slower` only where the whole interval lies on one side of 1.
        paired: Whether rounds were compared with their neighbours in time.
    """

    value: float
    low: float | None
    high: float | None
    confidence: float
    verdict: Verdict
    paired: bool


def paired_ratio(
    first: Samples, second: Samples, *, times: bool = True, confidence: float = CONFIDENCE
) -> Ratio:
    """Two that took turns, compared round by round, so that what changes slowly cancels out.

    The Hodges-Lehmann estimate of the rounds' log ratios, and its interval from Wilcoxon's
    signed ranks (Hollander and Wolfe, Nonparametric Statistical Methods, 1999, section 3.3).
    If both are equally fast, a round's log ratio is as likely negative as positive whatever the
    distribution, so the verdict is wrong at most as often as said. A round that was disturbed
    moves it little. 95 % needs 6 rounds.

    Args:
        first, second: A positive figure of each round (a median time, a rate), in order.
        times: False where more is better, such as clips a second.

    Raises:
        SpecError: They differ in length, are empty, or hold a figure that is not positive.
    """
    a, b = _logs(first), _logs(second)
    if len(a) != len(b):
        raise SpecError(f"{len(a)} rounds cannot be paired with {len(b)}")
    gains = a - b if times else b - a
    rows, columns = np.triu_indices(len(gains))
    averages = np.sort((gains[rows] + gains[columns]) / 2)
    rank = _signed_rank(len(gains), (1 - confidence) / 2)
    ends = None if rank == 0 else (float(averages[rank - 1]), float(averages[-rank]))
    return _ratio(float(np.median(averages)), ends, confidence, paired=True)


def independent_ratio(
    first: Samples, second: Samples, *, times: bool = True, confidence: float = CONFIDENCE
) -> Ratio:
    """Two runs that were made apart, compared by how much the rounds of each differ.

    Welch's t of the log figures (Welch, The Generalization of Student's Problem, 1947). What
    changed between the runs but not within them, no statistic can tell from a real difference.

    Args:
        first, second: A positive figure of each round, any number of rounds.
        times: False where more is better.

    Raises:
        SpecError: One is empty, or holds a figure that is not positive.
    """
    a, b = _logs(first), _logs(second)
    gain = float(a.mean() - b.mean()) * (1 if times else -1)
    if min(len(a), len(b)) < 2:
        return _ratio(gain, None, confidence, paired=False)
    errors = [float(x.var(ddof=1)) / len(x) for x in (a, b)]
    whole = sum(errors)
    shares = sum(e**2 / (len(x) - 1) for e, x in zip(errors, (a, b), strict=True))
    degrees = whole**2 / shares if shares else 1.0
    half = student_t((1 + confidence) / 2, degrees) * math.sqrt(whole)
    return _ratio(gain, (gain - half, gain + half), confidence, paired=False)


def _ratio(
    gain: float, ends: tuple[float, float] | None, confidence: float, *, paired: bool
) -> Ratio:
    low, high = (None, None) if ends is None else (math.exp(ends[0]), math.exp(ends[1]))
    verdict: Verdict = "no difference seen"
    if low is None or high is None:
        verdict = "too few rounds"
    elif low > 1:
        verdict = "faster"
    elif high < 1:
        verdict = "slower"
    return Ratio(
        value=math.exp(gain), low=low, high=high, confidence=confidence, verdict=verdict,
        paired=paired,
    )  # fmt: skip


def _logs(figures: Samples) -> npt.NDArray[np.float64]:
    values = np.asarray(figures, dtype=float)
    if values.ndim != 1 or len(values) == 0:
        raise SpecError("there are no rounds to compare")
    if not (np.isfinite(values) & (values > 0)).all():
        raise SpecError("a round's figure is not positive, so it has no ratio to another")
    logs: npt.NDArray[np.float64] = np.log(values)
    return logs


def _signed_rank(n: int, tail: float) -> int:
    """How many of the sorted averages lie outside on either side, plus one; 0: none may."""
    if n > _EXACT:
        mean, spread = n * (n + 1) / 4, math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        return max(int(mean + NormalDist().inv_cdf(tail) * spread), 0)
    chances = np.ones(1)
    for rank in range(1, n + 1):
        step = np.zeros(rank + 1)
        step[[0, rank]] = 0.5
        chances = np.convolve(chances, step)
    return int(np.searchsorted(np.cumsum(chances), tail, side="right"))
