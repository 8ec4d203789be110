"""A benchmark on the terminal: figures with their intervals, stages, power, and what to know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgevid.benchmarks.harness.compare import Comparison
from edgevid.benchmarks.harness.results import Result
from edgevid.benchmarks.harness.sweep import Sweep
from edgevid.benchmarks.harness.sweep_words import (
    POINTS_NOTE,
    headline,
    mark_lines,
    point_head,
    point_rows,
    setting_text,
    title_lines,
)
from edgevid.benchmarks.harness.wording import (
    change_rows,
    figure_rows,
    interval_note,
    model_text,
    power_rows,
    rough,
    scenario_text,
    stage_rows,
    verdict_text,
)


def print_result(result: Result, console: Console) -> None:
    """Print everything but the samples."""
    console.print(f"[bold]{escape(model_text(result))}[/bold]", soft_wrap=True)
    console.print(escape(scenario_text(result)), soft_wrap=True)
    console.print()
    console.print(plain_table(("", "value", "another run"), figure_rows(result)))
    console.print(f"[dim]({interval_note(result)})[/dim]", soft_wrap=True)
    if result.search:
        load = "streams" if result.scenario == "live" else "clips/s"
        head = (load, "queries", f"p{result.settings.percentile:g} (ms)", "dropped", "holds")
        tried = (
            (rough(p.load), str(p.queries), rough(p.percentile_ms), str(p.dropped), _yes(p.holds))
            for p in result.search
        )
        console.print()
        console.print(plain_table(head, tried))
    if result.stages:
        console.print()
        console.print(plain_table(("ms", "mean", "p50", "p90", "p99", "max"), stage_rows(result)))
    if rows := list(power_rows(result)):
        console.print()
        console.print(plain_table(("", ""), rows, words=True))
    if result.marks:
        console.print()
    for mark in result.marks:
        console.print(f"[bold]{mark.kind}[/bold]: {escape(mark.text)}", soft_wrap=True)


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print the verdict, every figure, and what else differs."""
    head = ("", comparison.first, comparison.second, "times as fast", "interval", "verdict")
    console.print(plain_table(head, change_rows(comparison)))
    console.print()
    for difference in comparison.differences:
        console.print(f"differs in {escape(difference)}", soft_wrap=True)
    for reservation in comparison.reservations:
        console.print(f"[bold]not comparable[/bold]: {escape(reservation)}", soft_wrap=True)
    console.print(f"[bold]{escape(verdict_text(comparison))}[/bold]", soft_wrap=True)


def print_sweep(sweep: Sweep, console: Console) -> None:
    """Print every point, the best ones, and what could not be measured."""
    what, how = title_lines(sweep)
    console.print(f"[bold]{escape(what)}[/bold]", soft_wrap=True)
    console.print(escape(how), soft_wrap=True)
    console.print()
    console.print(plain_table(point_head(sweep), point_rows(sweep, intervals=False)))
    console.print(f"[dim]{POINTS_NOTE}[/dim]", soft_wrap=True)
    console.print()
    for skipped in sweep.skipped:
        words = f"{setting_text(skipped.setting)}: {skipped.reason}"
        console.print(f"not measured: {escape(words)}", soft_wrap=True)
    for kind, text in mark_lines(sweep):
        console.print(f"[bold]{kind}[/bold]: {escape(text)}", soft_wrap=True)
    console.print(f"[bold]{escape(headline(sweep))}[/bold]", soft_wrap=True)


def plain_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, words: bool = False
) -> Table:
    """A table without lines; its first column names the rows, the others hold figures or words."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_header=any(head))
    for number, name in enumerate(head):
        table.add_column(
            escape(name), justify="right" if number and not words else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"
