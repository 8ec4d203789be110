"""A sweep as one page: every point, what nothing else beats, and how each axis matters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from xml.etree.ElementTree import Element

from edgevid.benchmarks.harness.pareto import Metric, front, known_metrics, short_name, value_of
from edgevid.benchmarks.harness.sweep import Point, Sweep
from edgevid.benchmarks.harness.sweep_words import (
    POINTS_NOTE,
    headline,
    mark_lines,
    point_head,
    point_rows,
    setting_text,
    title_lines,
)
from edgevid.pages.charts import Point as Mark
from edgevid.pages.charts import scatter
from edgevid.pages.markup import Child, tag
from edgevid.pages.parts import (
    facts,
    figure,
    listing,
    page,
    paragraph,
    section,
    table,
)
from edgevid.pages.plots import Curve, Dots, Scale, plot

_UPRIGHT = ("accuracy", "throughput (clips/s)", "latency (ms)", "energy a clip (mJ)")
"""Which of two metrics the upright axis of a chart shows: the first of these."""


def render(sweep: Sweep) -> str:
    """The page: a whole HTML document."""
    marks = [tag("li", tag("b", kind), f": {text}") for kind, text in mark_lines(sweep)]
    skipped = [f"{setting_text(s.setting)}: {s.reason}" for s in sweep.skipped]
    return page(
        f"{sweep.points[0].result.model.name}: {' × '.join(sweep.axes)}",
        paragraph(headline(sweep), class_="verdict"),
        tag("ul", *marks, class_="marks") if marks else None,
        section("Every point", _table(sweep)),
        section("What nothing else beats", *_fronts(sweep.points)),
        _axes_section(sweep),
        section("What could not be measured", listing(skipped)) if skipped else None,
        _conditions(sweep),
    )


def _table(sweep: Sweep) -> Element:
    head = point_head(sweep)
    points = table("Points", head, list(point_rows(sweep)), words=(len(head) - 1,))
    return tag("div", points, paragraph(POINTS_NOTE, class_="quiet"))


def _fronts(points: Sequence[Point]) -> Iterator[Element]:
    """A chart of every pair of metrics."""
    yield paragraph(
        "Numbers are those of the table. Filled: no other point is better in one of the two and "
        "as good in the other. Noise is not regarded here, but in the table's verdicts."
    )
    known = sorted(known_metrics(points), key=lambda m: _UPRIGHT.index(m.name))
    charts = []
    for y, x in combinations(known, 2):
        kept = front(points, (x, y))
        marks = [
            Mark(str(n), value_of(x, p), value_of(y, p), value_of(x, p), value_of(x, p), not best)
            for n, (p, best) in enumerate(zip(points, kept, strict=True), 1)
        ]
        title = f"{short_name(y)} against {short_name(x)}".capitalize()
        chart = scatter(title, marks, x.name, y.name, share=y.share)
        charts.append(figure(title, chart, caption=_better(x, y)))
    yield tag("div", *charts, class_="charts")


def _better(x: Metric, y: Metric) -> str:
    side = "right" if x.more_is_better else "left"
    return f"Better is {'up' if y.more_is_better else 'down'} and to the {side}."


def _axes_section(sweep: Sweep) -> Element | None:
    """Throughput and latency along each axis of numbers, a curve for each other setting."""
    charts = []
    for axis, values in sweep.axes.items():
        numbers = [float(v) for v in values if not isinstance(v, str)]
        if len(numbers) != len(values) or len(numbers) < 2:
            continue
        for metric in known_metrics(sweep.points)[:2]:
            charts.append(_along(sweep, axis, metric))
    return section("Along each axis", tag("div", *charts, class_="charts")) if charts else None


def _along(sweep: Sweep, axis: str, metric: Metric) -> Element:
    lines: dict[str, list[tuple[float, float]]] = {}
    for point in sweep.points:
        others = {k: v for k, v in point.setting.items() if k != axis and len(sweep.axes[k]) > 1}
        at = float(point.setting[axis])
        lines.setdefault(setting_text(others), []).append((at, value_of(metric, point)))
    curves, dots = [], []
    for colour, (name, places) in enumerate(lines.items()):
        xs, ys = zip(*sorted(places), strict=True)
        curves.append(Curve("", xs, ys, colour))
        dots.append(Dots(name, xs, ys, colour, large=True))
    marked = sorted({float(v) for v in sweep.axes[axis]})
    names = tuple((v, f"{v:g}") for v in marked)
    x = Scale(axis, marked[0], marked[-1], log=marked[-1] / marked[0] >= 8, names=names)
    y = Scale(metric.name, 0, max(y for layer in dots for y in layer.ys))
    name = short_name(metric).capitalize()
    chart = plot(f"{name} by {axis}", x, y, curves=curves, dots=dots)
    return figure(f"{name} by {axis}", chart, caption="")


def _conditions(sweep: Sweep) -> Element:
    first = sweep.points[0].result
    pairs: dict[str, Child] = {
        "started": f"{sweep.started:%Y-%m-%d %H:%M:%S %z}",
        "took": f"{sweep.seconds:.0f} s",
        "command": tag("code", sweep.command),
        "measured": title_lines(sweep)[0],
        "scenario": title_lines(sweep)[1],
        "rounds": f"{len(first.samples.rounds)} of each point, in turns",
    }
    sources = {p.accuracy.of for p in sweep.points if p.accuracy is not None}
    if sources:
        pairs["accuracy"] = "; ".join(sorted(sources))
    return section("How this was measured", facts(pairs | dict(first.environment)))
