"""Which of two is faster, with an interval that does not promise too much."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgevid.benchmarks.harness.statistics import CONFIDENCE, Interval, Samples
from edgevid.errors import SpecError
from edgevid.strict import Strict

Verdict = Literal["faster", "slower", "no difference seen", "too few rounds"]

_EXACT = 60
"""Rounds up to which the signed-rank distribution is counted out."""


_NEXT_TO_NOTHING = 1e-3
"""Share of a value that the lower end of its interval is taken for, where it is below."""


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


def independent_ratio(first: Interval, second: Interval, *, times: bool = True) -> Ratio:
    """Two runs that were made apart, by the intervals that they state.

    Both intervals must be those of another run (`Interval.of_another_run`): two runs of the same
    thing then differ by more than either says as rarely as the confidence promises. Errors add
    as squares, each on the side that the other run lies on. What changed between the runs but
    never within them, no statistic can tell from a real difference.

    Args:
        first, second: Of the same figure, positive.
        times: False where more is better.

    Raises:
        SpecError: A figure is not positive.
    """
    a, b = (first, second) if times else (second, first)
    gain = float(np.subtract(*_logs([a.value, b.value])))
    below, above = (
        math.hypot(_reach(a, upper), _reach(b, not upper)) / math.sqrt(2) for upper in (False, True)
    )
    return _ratio(gain, (gain - below, gain + above), first.confidence, paired=False)


def _reach(interval: Interval, upper: bool) -> float:
    """From the value to an end, in logs; to nothing at all it would be endless."""
    end = interval.high if upper else max(interval.low, interval.value * _NEXT_TO_NOTHING)
    return abs(math.log(end / interval.value))


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
