"""What nothing else beats: the front of several points in throughput, latency, accuracy, energy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgevid.benchmarks.harness.ratios import Ratio, paired_ratio
from edgevid.benchmarks.harness.results import Result
from edgevid.benchmarks.harness.sweep import Point


@dataclass(frozen=True)
class Metric:
    """One property of a point.

    Attributes:
        name: For people, with its unit.
        head: The same, short, over a column.
        of: The value at a point; None where it is not known.
        more_is_better: Else less is.
        share: It is a share of 1, shown in percent.
    """

    name: str
    head: str
    of: Callable[[Point], float | None]
    more_is_better: bool
    share: bool = False


def clips_per_s(result: Result) -> float | None:
    """Throughput: as it was measured, or what the mean latency allows."""
    if "clips_per_s" in result.figures:
        return result.figures["clips_per_s"].value
    latencies = [ms for r in result.samples.rounds for ms in r.steady_ms]
    return result.samples.clips_per_query * 1e3 / float(np.mean(latencies)) if latencies else None


def latency_ms(result: Result) -> float | None:
    """The scenario's own latency; of throughput scenarios the median of a query."""
    for figure in result.figures.values():
        if figure.unit == "ms":
            return figure.value
    latencies = [ms for r in result.samples.rounds for ms in r.steady_ms]
    return float(np.median(latencies)) if latencies else None


def millijoules(result: Result) -> float | None:
    """Energy of a clip."""
    joules = None if result.power is None else result.power.joules_per_clip
    return None if joules is None else joules * 1e3


def _accuracy(point: Point) -> float | None:
    return None if point.accuracy is None else point.accuracy.value


METRICS = (
    Metric("throughput (clips/s)", "clips/s", lambda p: clips_per_s(p.result), True),
    Metric("latency (ms)", "ms", lambda p: latency_ms(p.result), False),
    Metric(
        "accuracy", "accuracy", lambda p: p.accuracy.value if p.accuracy else None, True, share=True
    ),
    Metric("energy a clip (mJ)", "mJ/clip", lambda p: millijoules(p.result), False),
)


def known_metrics(points: Sequence[Point]) -> list[Metric]:
    """Those that every point has."""
    return [m for m in METRICS if all(m.of(point) is not None for point in points)]


def front(points: Sequence[Point], metrics: Sequence[Metric]) -> list[bool]:
    """Whether each point is on the Pareto front of some metrics, which all of them must have.

    A point is beaten by one that is nowhere worse and somewhere better; noise is not regarded.
    """
    costs = np.array(
        [[(m.of(p) or 0.0) * (-1 if m.more_is_better else 1) for m in metrics] for p in points]
    )
    return [
        not bool(((costs <= one).all(axis=1) & (costs < one).any(axis=1)).any()) for one in costs
    ]


def against(first: Result, other: Result) -> Ratio | None:
    """How many times the first one's throughput another has, round by round.

    None where they have no rounds, or not as many, as when a search ends at another load.
    """
    rates = [_rates(result) for result in (first, other)]
    if len(rates[0]) != len(rates[1]) or not rates[0]:
        return None
    return paired_ratio(rates[0], rates[1], times=False)


def _rates(result: Result) -> list[float]:
    """Clips a second of each round."""
    clips = result.samples.clips_per_query
    rounds = [r.steady_ms for r in result.samples.rounds]
    return [clips * 1e3 / float(np.mean(ms)) for ms in rounds if ms]


def value_of(metric: Metric, point: Point) -> float:
    """A metric that the point is known to have."""
    return metric.of(point) or 0.0


def short_name(metric: Metric) -> str:
    """Its name without the unit."""
    return metric.name.partition(" (")[0]
