"""Figures of what was recorded, each with the interval that another run would fall into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from edgevid.benchmarks.harness.recording import Recording
from edgevid.benchmarks.harness.results import Figure, Stage, StageFigures
from edgevid.benchmarks.harness.statistics import (
    RESAMPLES,
    interval,
    interval_of_rounds,
    samples_needed,
    statistic,
)
from edgevid.types import StageTimings

_STAGES: tuple[Stage, ...] = ("capture", "preprocess", "queue", "infer", "post")
_DIGITS = 5
_MOST_DRAWN = 20_000_000
_LEAST_RESAMPLES = 200


def latencies(recording: Recording, percentile: float, first: str) -> dict[str, Figure]:
    """Percentiles and mean of the latency of a query, `first` at the head.

    Marks percentiles that the samples are too few for.
    """
    rounds = recording.steady_ms
    count = sum(len(values) for values in rounds)
    names = [first, "p50", "p90", "p99", f"p{percentile:g}", "mean"]
    found = {}
    for name in dict.fromkeys(names):
        if count < samples_needed(name):
            few = f"{name} needs {samples_needed(name)} queries, there were {count}"
            recording.mark("few-samples", f"{few}: it says little more than the slowest one")
        found[f"{name}_ms"] = figure_of(rounds, name, "ms", "lower")
    return found


def throughput(recording: Recording) -> Figure:
    """Clips a second, while queries follow each other."""
    per_query = figure_of(recording.steady_ms, "mean", "ms", "lower")
    rounds = [recording.clips_per_query * 1e3 / ms for ms in per_query.rounds]
    return rate_of_rounds(recording.clips_per_query * 1e3 / per_query.value, rounds, "clips/s")


def rate_of_rounds(value: float, rounds: Sequence[float], unit: str) -> Figure:
    """A rate, with the interval that its rounds tell; none where there is but one."""
    low = high = None
    if len(rounds) > 1 and min(rounds) > 0 and value > 0:
        found = interval_of_rounds([[rate] for rate in rounds], "mean").of_another_run()
        low, high = (rounded(value * end / found.value) for end in (found.low, found.high))
    return Figure(
        value=rounded(value),
        unit=unit,
        better="higher",
        low=low,
        high=high,
        rounds=tuple(rounded(rate) for rate in rounds),
    )


def figure_of(
    rounds: Sequence[Sequence[float]], name: str, unit: str, better: Literal["lower", "higher"]
) -> Figure:
    """A statistic of all rounds, with the interval that another run's would fall into.

    The wider one of two intervals at either end: of the rounds, which see what changes from
    one to the next, and of the samples, as few rounds may be alike by chance.
    """
    pooled = np.concatenate([np.asarray(values) for values in rounds])
    resamples = max(min(RESAMPLES, _MOST_DRAWN // len(pooled)), _LEAST_RESAMPLES)
    kinds = [interval(pooled, name, resamples=resamples).of_another_run()]
    if len(rounds) > 1:
        kinds.append(interval_of_rounds(rounds, name).of_another_run())
    return Figure(
        value=rounded(kinds[0].value),
        unit=unit,
        better=better,
        low=rounded(max(min(kind.low for kind in kinds), 0.0)),
        high=rounded(max(kind.high for kind in kinds)),
        confidence=kinds[0].confidence,
        rounds=tuple(rounded(statistic(values, name)) for values in rounds),
    )


def stages(timings: Sequence[StageTimings]) -> dict[Stage, StageFigures]:
    """Every stage that took time."""
    found: dict[Stage, StageFigures] = {}
    for stage in _STAGES:
        values = np.array([getattr(t, f"{stage}_ms") for t in timings])
        if not values.any():
            continue
        p50, p90, p99 = (rounded(float(p)) for p in np.percentile(values, [50, 90, 99]))
        found[stage] = StageFigures(
            mean_ms=rounded(float(values.mean())),
            p50_ms=p50,
            p90_ms=p90,
            p99_ms=p99,
            max_ms=rounded(float(values.max())),
        )
    return found


def rounded(value: float) -> float:
    """To as many digits as a clock can tell."""
    return float(f"{value:.{_DIGITS}g}")
