"""How a sweep is written: rows of a table, and the best of it in a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edgevid.benchmarks.harness.pareto import front, known_metrics, short_name, value_of
from edgevid.benchmarks.harness.sweep import Point, Sweep, Value
from edgevid.benchmarks.harness.wording import DASH, amount, scenario_name
from edgevid.pages.parts import percent

POINTS_NOTE = (
    "*: no other point is as good in all of these figures and better in one. Against 1: times its "
    "throughput, round by round, as the rounds took turns."
)


def title_lines(sweep: Sweep) -> tuple[str, str]:
    """What was measured, and how, as far as all points have it in common."""
    results = [point.result for point in sweep.points]
    models = dict.fromkeys(f"{r.model.name} in {r.model.precision.upper()}" for r in results)
    engines = dict.fromkeys(result.model.engine for result in results)
    what = f"{', '.join(models)} on {', '.join(engines)}"
    return what, scenario_name(results[0])


def mark_lines(sweep: Sweep) -> list[tuple[str, str]]:
    """Each kind of mark with the words of the first that bears it, and the points that do."""
    marks = [(n, mark) for n, p in enumerate(sweep.points, 1) for mark in p.result.marks]
    lines: list[tuple[str, str]] = []
    for kind in dict.fromkeys(mark.kind for _, mark in marks):
        points = list(dict.fromkeys(str(number) for number, mark in marks if mark.kind == kind))
        text = next(mark.text for _, mark in marks if mark.kind == kind)
        which = f"{'points' if len(points) > 1 else 'point'} {', '.join(points)}"
        lines.append((kind, f"{which}: {text}"))
    return lines


def headline(sweep: Sweep) -> str:
    """The best point in throughput and in latency."""
    found = []
    for metric in known_metrics(sweep.points)[:2]:
        choose = max if metric.more_is_better else min
        best = choose(sweep.points, key=lambda p: value_of(metric, p))
        unit = metric.name.partition("(")[2].rstrip(")")
        words = f"{setting_text(best.setting)}, {amount(value_of(metric, best), unit)}"
        found.append(f"best {short_name(metric)}: {words}")
    return "; ".join(found).capitalize() + "."


def point_head(sweep: Sweep) -> tuple[str, ...]:
    """The titles of `point_rows`."""
    heads = (metric.head for metric in known_metrics(sweep.points))
    return ("", *sweep.axes, *_chosen(sweep), *heads, "against 1", "verdict")


def point_rows(sweep: Sweep, *, intervals: bool = True) -> Iterator[tuple[str, ...]]:
    """Of every point: its number, setting, figures, and throughput against the first."""
    metrics = known_metrics(sweep.points)
    kept = front(sweep.points, metrics)
    for number, (point, best) in enumerate(zip(sweep.points, kept, strict=True), 1):
        settings = [value_text(value) for value in point.setting.values()]
        settings += [str(getattr(point.result.settings, name)) for name in _chosen(sweep)]
        values = (value_of(metric, point) for metric in metrics)
        cells = (percent(v) if m.share else amount(v) for m, v in zip(metrics, values, strict=True))
        yield (f"{number}{'*' * best}", *settings, *cells, *_against_first(point, intervals))


def _chosen(sweep: Sweep) -> list[str]:
    """Settings that no axis gives but the points found out for themselves, differently."""
    return [
        name
        for name in ("batch", "streams")
        if name not in sweep.axes
        and len({getattr(point.result.settings, name) for point in sweep.points}) > 1
    ]


def setting_text(setting: Mapping[str, Value]) -> str:
    """`batch 4, threads 2`."""
    return ", ".join(f"{axis} {value_text(value)}" for axis, value in setting.items())


def value_text(value: Value) -> str:
    """A value of an axis."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _against_first(point: Point, intervals: bool) -> tuple[str, str]:
    ratio = point.against_first
    if ratio is None:
        return DASH, DASH
    if ratio.low is None or ratio.high is None or not intervals:
        return f"{ratio.value:.2f}", ratio.verdict
    return f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})", ratio.verdict
