"""The table at the end of a run."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgevid.pipeline import LabelSpan, SourceSummary, Summary

_MAX_SPANS_SHOWN = 40


def render_summary(summary: Summary, console: Console | None = None) -> None:
    """Print what a run did: counts, rates, stages, labels over time. On stderr by default."""
    console = console or Console(stderr=True, highlight=False)
    for source in summary.sources:
        console.print()
        title = f"[bold]{escape(source.source)}[/bold]  {escape(source.description)}"
        console.print(title, soft_wrap=True)
        print_timeline(source.timeline, console)
        for line in _counts(source):
            console.print(line)
        for note in source.notes:
            console.print(f"  note: {escape(note)}", soft_wrap=True)
        if source.error:
            console.print(f"  [red]error: {escape(source.error)}[/]", soft_wrap=True)
    figures = summary.to_dict()
    console.print(
        f"\n{figures['clips']} clips in {figures['elapsed_s']:.2f} s: "
        f"{figures['fps']:.1f} frames/s, {figures['clips_per_s']:.1f} clips/s",
        soft_wrap=True,
    )
    if figures["clips"]:
        console.print(_stages(summary))


def print_timeline(spans: list[LabelSpan], console: Console) -> None:
    """One line for each stretch of a label, up to a limit."""
    for span in spans[:_MAX_SPANS_SHOWN]:
        console.print(f"  {span.start_s:8.2f} - {span.end_s:8.2f} s  {escape(span.label)}")
    if len(spans) > _MAX_SPANS_SHOWN:
        console.print(f"  ... and {len(spans) - _MAX_SPANS_SHOWN} more (see --summary)")


def _counts(source: SourceSummary) -> list[str]:
    clips = f"  clips: {source.clips} answered"
    if source.clips_dropped:
        clips += f", {source.clips_dropped} dropped"
    if source.clips_refused:
        clips += f", {source.clips_refused} left out for a gap"
    if source.clips_with_gap:
        clips += f", {source.clips_with_gap} with a gap"
    if source.clips_blank:
        clips += f", {source.clips_blank} of one colour"
    if source.clips_not_finite:
        clips += f", {source.clips_not_finite} left out: their scores were NaN or infinite"
    lines = [
        f"  frames: {source.frames_read} read, {source.frames_used} used, "
        f"{source.frames_skipped} skipped, {source.frames_dropped} dropped, "
        f"{source.frames_lost} lost",
        f"{clips}; label changes: {source.label_changes}"
        + (f"; events: {source.events}" if source.events else ""),
    ]
    if source.outages:
        lines.append(f"  outages: {source.outages}, away for {source.away_s:.1f} s in all")
    return lines


def _stages(summary: Summary) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("stage (ms)")
    for name in ("mean", "p50", "p90", "p99", "max"):
        table.add_column(name, justify="right")
    for stage, figures in summary.to_dict()["stages_ms"].items():
        table.add_row(stage, *(f"{value:.2f}" for value in figures.values()))
    return table
