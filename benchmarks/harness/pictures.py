"""The plots of a benchmark: how latencies are spread, how they run over time, what limits them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from edgevid.benchmarks.harness.readings import Series
from edgevid.benchmarks.harness.results import Probe, Result
from edgevid.benchmarks.harness.roofline import Roofline
from edgevid.benchmarks.harness.statistics import outliers
from edgevid.benchmarks.harness.wording import amount, figure_name
from edgevid.pages.parts import percent
from edgevid.pages.plots import Band, Column, Curve, Dots, Guide, Scale, plot

_BINS = 40
_COLUMNS = 700
"""Of a plot over time: each keeps the least and the largest sample that fall into it."""

_DOTS_PER_COLUMN = 4

_Array = npt.NDArray[np.float64]


def steady_latencies(result: Result) -> _Array:
    """All latencies after the warm-up, in ms, `(N,)`."""
    rounds = [r.steady_ms for r in result.samples.rounds]
    return np.array([ms for latencies in rounds for ms in latencies], dtype=float)


def latency_histogram(result: Result) -> Element:
    """How often each latency occurs, with the percentiles; outliers count in the last bar."""
    values = steady_latencies(result)
    low, high = float(values.min()), float(values[~outliers(values)].max())
    high = high if high > low else low + max(abs(low) * 0.01, 1e-6)
    counts, edges = np.histogram(np.minimum(values, high), bins=_BINS, range=(low, high))
    last = len(counts) - 1
    columns = [
        Column(a, b, int(n), f"{a:.4g} {'and more' if i == last else f'to {b:.4g}'} ms: {n}")
        for i, (a, b, n) in enumerate(zip(edges, edges[1:], counts, strict=False))
        if n
    ]
    guides = [
        Guide(min(value, high), f"{name} {amount(value)}") for name, value in _percentiles(values)
    ]
    y = Scale("queries", 0, float(counts.max()) * 1.05)
    title = "How often each latency occurs"
    return plot(title, Scale("latency (ms)", low, high), y, columns=columns, guides=guides)


def _percentiles(values: _Array) -> list[tuple[str, float]]:
    return [(f"p{p}", float(np.percentile(values, p))) for p in (50, 90, 99)]


def percentile_curves(results: Mapping[str, Result]) -> Element:
    """The latency at every percentile, a curve each; the axis stretches the slow end.

    The k-th of n latencies lies at the share (k - 1/2) / n (Hazen): the slowest is not "100 %".
    """
    curves = []
    for colour, (name, result) in enumerate(results.items()):
        values = np.sort(steady_latencies(result))
        places = -np.log10(1 - (np.arange(len(values)) + 0.5) / len(values))
        kept = np.searchsorted(places, np.linspace(0, places[-1], _COLUMNS))
        kept = np.unique(np.minimum(kept, len(values) - 1))
        curves.append(Curve(name, places[kept].tolist(), values[kept].tolist(), colour))
    nines = max(math.ceil(max(c.xs[-1] for c in curves)), 1)
    names = [(0.0, "0"), (-math.log10(0.5), "50 %")]
    names += [(float(k), f"{100 * (1 - 10.0**-k):.10g} %") for k in range(1, nines + 1)]
    all_ms = [ms for curve in curves for ms in curve.ys]
    y = Scale("latency (ms)", min(all_ms), max(all_ms))
    x = Scale("percentile", 0, nines, names=tuple(names))
    return plot("Latency by percentile", x, y, curves=curves)


def rounds_plot(results: Mapping[str, Result], name: str) -> Element:
    """One figure round by round, a curve and dots for each result."""
    curves, dots = [], []
    for colour, (label, result) in enumerate(results.items()):
        values = result.figures[name].rounds
        numbers = range(1, len(values) + 1)
        curves.append(Curve("", numbers, values, colour))
        dots.append(Dots(label, numbers, values, colour, large=True))
    every = [value for layer in dots for value in layer.ys]
    unit = next(iter(results.values())).figures[name].unit
    most = max(len(layer.xs) for layer in dots)
    names = tuple((float(i), str(i)) for i in range(0, most + 1, max(most // 8, 1)))
    x = Scale("round", 0, most, names=names)
    y = Scale(f"{figure_name(name)} ({unit})", min(every), max(every))
    return plot("Round by round", x, y, curves=curves, dots=dots)


def samples_over_time(result: Result) -> Element:
    """Every query as a dot, the warm-up on a ground of its own, outliers set apart."""
    rounds = [r for r in result.samples.rounds if r.at_s]
    at_s = np.concatenate([np.asarray(r.at_s) for r in rounds])
    ms = np.concatenate([np.asarray(r.latency_ms) for r in rounds])
    far = np.zeros(len(ms), bool)
    bands, first = [], 0
    for r in rounds:
        far[[first + i for i in r.outliers]] = True
        first += len(r.at_s)
        end = r.at_s[min(r.steady_from, len(r.at_s) - 1)]
        if r.steady_from:
            bands.append(Band(r.at_s[0], end, "warming up (not counted)"))
    kept = _thinned(at_s, ms) & ~far
    dots = [Dots("query", at_s[kept].tolist(), ms[kept].tolist())]
    if far.any():
        dots.append(
            Dots(
                "far from the others (counted)",
                at_s[far].tolist(),
                ms[far].tolist(),
                colour=1,
                large=True,
            )
        )
    low, high = float(ms.min()), float(ms.max())
    y = Scale("latency (ms)", low, high, log=low > 0 and high / low > 20)
    return plot(
        "Latency over time", _seconds(at_s), y, dots=dots, bands=bands, wide=True,
        guides=[Guide(float(np.median(steady_latencies(result))), "p50", at_y=True)],
    )  # fmt: skip


def _thinned(at_s: _Array, values: _Array) -> npt.NDArray[np.bool_]:
    """Which samples to draw: all if they are few, else some of each stretch, with its extremes."""
    kept = np.ones(len(values), bool)
    if len(values) <= _COLUMNS * _DOTS_PER_COLUMN:
        return kept
    kept[:] = False
    stretch = np.minimum((at_s - at_s.min()) / max(np.ptp(at_s), 1e-9) * _COLUMNS, _COLUMNS - 1)
    order = np.lexsort((values, stretch.astype(int)))
    counts = np.bincount(stretch.astype(int), minlength=_COLUMNS)
    for end, count in zip(np.cumsum(counts), counts, strict=True):
        if count:
            picks = np.linspace(end - count, end - 1, min(count, _DOTS_PER_COLUMN)).astype(int)
            kept[order[picks]] = True
    return kept


def _seconds(at_s: Sequence[float] | _Array) -> Scale:
    return Scale("time (s)", float(np.min(at_s)), float(np.max(at_s)))


def over_time(title: str, series: dict[str, Series], label: str, scale: float = 1.0) -> Element:
    """Readings over time, one curve each; `scale` times the values is shown."""
    curves = [
        Curve(name, s.at_s, [v * scale for v in s.values], colour)
        for colour, (name, s) in enumerate(series.items())
        if s.at_s
    ]
    all_values = [v for curve in curves for v in curve.ys]
    low = min(all_values) if label.endswith("(°C)") else 0.0
    y = Scale(label, low, max(all_values))
    return plot(title, _seconds([t for c in curves for t in c.xs]), y, curves=curves, wide=True)


def search_plot(probes: Sequence[Probe], target_ms: float | None, label: str) -> Element:
    """Latency under each load that was tried, and the target."""
    ordered = sorted(probes, key=lambda p: p.load)
    loads, ms = [p.load for p in ordered], [p.percentile_ms for p in ordered]
    kinds = {"holds": True, "does not hold": False}
    dots = [
        Dots(
            name,
            [p.load for p in ordered if p.holds is holds],
            [p.percentile_ms for p in ordered if p.holds is holds],
            colour=0 if holds else 1,
            large=True,
        )
        for name, holds in kinds.items()
    ]
    marked = ms if target_ms is None else [*ms, target_ms]
    low, high = min(marked), max(marked)
    y = Scale(
        "latency (ms)",
        low if high / max(low, 1e-9) > 20 else 0,
        high,
        log=high / max(low, 1e-9) > 20,
    )
    guides = [] if target_ms is None else [Guide(target_ms, "target", at_y=True)]
    return plot(
        "Latency under load", Scale(label, 0, max(loads)), y,
        curves=[Curve("", loads, ms)], dots=[d for d in dots if d.xs], guides=guides,
    )  # fmt: skip


def roofline_plot(roof: Roofline) -> Element:
    """What the device allows at each intensity, and what the run reaches."""
    intensity = roof.gflop_per_clip / (roof.mb_per_clip / 1e3)
    ridge = roof.peak_gflop_s / roof.peak_gb_s
    low, high = min(intensity, ridge) / 8, max(intensity, ridge) * 8
    xs = [low, ridge, high]
    x = Scale("operations a byte (FLOP/B)", low, high, log=True)
    ends = x.axis(0, 1).ticks
    xs = [ends[0], ridge, ends[-1]]
    roofs = [min(roof.peak_gflop_s, v * roof.peak_gb_s) for v in xs]
    limit = min(roof.peak_gflop_s, intensity * roof.peak_gb_s)
    y = Scale(
        "GFLOP/s", min(roof.reached_gflop_s, roofs[0]) / 1.5, roof.peak_gflop_s * 1.2, log=True
    )
    reached = f"this run: {percent(roof.share)} of it"
    return plot(
        "Roofline", x, y,
        curves=[Curve("what the device allows", xs, roofs)],
        dots=[
            Dots("limit of this model", [intensity], [limit], colour=2, large=True),
            Dots(reached, [intensity], [roof.reached_gflop_s], colour=1, large=True),
        ],
    )  # fmt: skip
