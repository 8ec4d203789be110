"""Two results against each other as one page."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from edgevid.benchmarks.harness.compare import Comparison
from edgevid.benchmarks.harness.pictures import percentile_curves, rounds_plot, steady_latencies
from edgevid.benchmarks.harness.results import Result
from edgevid.benchmarks.harness.wording import (
    change_rows,
    model_text,
    scenario_text,
    verdict_text,
)
from edgevid.pages.markup import tag
from edgevid.pages.parts import facts, figure, listing, page, paragraph, section, table


def render(comparison: Comparison, first: Result, second: Result) -> str:
    """The page: a whole HTML document."""
    both = {comparison.first: first, comparison.second: second}
    head = ("figure", *both, "times as fast", "interval", "verdict")
    said = [f"differs in {d}" for d in comparison.differences]
    reservations = (
        tag("li", tag("b", "not comparable"), f": {r}") for r in comparison.reservations
    )
    return page(
        f"{comparison.first} and {comparison.second}",
        paragraph(verdict_text(comparison), class_="verdict"),
        tag("ul", *reservations, class_="marks") if comparison.reservations else None,
        section("Figures", table("Figures", head, list(change_rows(comparison)), words=(5,))),
        section("Side by side", tag("div", *_charts(comparison, both), class_="charts")),
        section("What else differs", listing(said)),
        section(
            "How this was measured",
            facts({name: f"{model_text(r)}. {scenario_text(r)}." for name, r in both.items()}),
        ),
    )


def _charts(comparison: Comparison, both: dict[str, Result]) -> list[Element]:
    charts = []
    if all(len(steady_latencies(result)) for result in both.values()):
        caption = "The axis gives every nine the same room: the slow end is the right one."
        charts.append(figure("Latency by percentile", percentile_curves(both), caption=caption))
    name = next(iter(comparison.figures))
    if all(result.figures[name].rounds for result in both.values()):
        caption = (
            "The rounds took turns: what slows both at once cancels out of their ratio."
            if comparison.main.ratio.paired
            else "The runs were made one after the other."
        )
        charts.append(figure("Round by round", rounds_plot(both, name), caption=caption))
    return charts
