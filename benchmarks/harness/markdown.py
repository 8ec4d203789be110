"""A benchmark as Markdown, for documents and issues."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edgevid.benchmarks.harness.compare import Comparison
from edgevid.benchmarks.harness.results import Result
from edgevid.benchmarks.harness.sweep import Sweep
from edgevid.benchmarks.harness.sweep_words import (
    POINTS_NOTE,
    headline,
    point_head,
    point_rows,
    setting_text,
    title_lines,
)
from edgevid.benchmarks.harness.wording import (
    change_rows,
    figure_rows,
    interval_note,
    machine_rows,
    model_text,
    power_rows,
    scenario_text,
    stage_rows,
    verdict_text,
)


def render(result: Result) -> str:
    """Figures, stages, power, conditions, under a heading of the second level."""
    blocks = [
        f"## {_text(result.model.name)}: {result.scenario}",
        f"{_text(model_text(result))}. {_text(scenario_text(result))}.",
        markdown_table(("figure", "value", "another run"), figure_rows(result)),
        f"({interval_note(result)})",
    ]
    if result.stages:
        head = ("stage (ms)", "mean", "p50", "p90", "p99", "max")
        blocks.append(markdown_table(head, stage_rows(result)))
    if rows := [*power_rows(result)]:
        blocks.append(markdown_table(("", ""), rows))
    if result.marks:
        blocks.append("\n".join(f"- **{m.kind}**: {_text(m.text)}" for m in result.marks))
    blocks.append(
        f"`{result.command.replace(chr(96), chr(39))}`, {result.started:%Y-%m-%d %H:%M %z}."
    )
    blocks.append(markdown_table(("machine", ""), result.environment.items()))
    if machine := list(machine_rows(result.machine_before, result.machine_after)):
        blocks.append(markdown_table(("", "before", "after"), machine))
    return "\n\n".join(blocks) + "\n"


def render_comparison(comparison: Comparison) -> str:
    """The verdict, every figure, and what else differs."""
    names = comparison.first, comparison.second
    head = ("figure", *map(_text, names), "times as fast", "interval", "verdict")
    blocks = [_text(verdict_text(comparison)), markdown_table(head, change_rows(comparison))]
    said = [f"- differs in {_text(d)}" for d in comparison.differences]
    said += [f"- **not comparable**: {_text(r)}" for r in comparison.reservations]
    return "\n\n".join([*blocks, *(["\n".join(said)] if said else [])]) + "\n"


def render_sweep(sweep: Sweep) -> str:
    """Every point, the best ones, and what could not be measured."""
    what, how = title_lines(sweep)
    words = (f"{setting_text(s.setting)}: {s.reason}" for s in sweep.skipped)
    skipped = [f"- not measured: {_text(said)}" for said in words]
    blocks = [
        f"{_text(what)}. {_text(how)}.",
        markdown_table(point_head(sweep), point_rows(sweep)),
        _text(POINTS_NOTE),
        _text(headline(sweep)),
        *(["\n".join(skipped)] if skipped else []),
    ]
    return "\n\n".join(blocks) + "\n"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; columns after the first are set to the right."""
    ruler = ["---", *["---:"] * (len(head) - 1)]
    lines = [head, ruler, *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|")


def _text(text: str) -> str:
    """One line without characters that Markdown takes for something else."""
    text = " ".join(text.split())
    for sign in ("\\", "`", "*", "_", "<", "["):
        text = text.replace(sign, f"\\{sign}")
    return text
