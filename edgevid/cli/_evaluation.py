"""The tables of `edgevid eval`."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgevid.validation.results import ClassResult, ClipResults, Evaluation, SegmentResults
from edgevid.validation.wording import percent, segment_figures

_CLASSES_SHOWN = 20
_CONFUSIONS_SHOWN = 8
_CORNER = "true \\ taken for"


def render_evaluation(found: Evaluation, console: Console) -> None:
    """Print the figures: those of the whole, then of each class."""
    console.print(f"[bold]{escape(found.bundle.name)}[/bold] on {escape(found.manifest.name)}")
    if found.clips is not None:
        _print_clips(found.clips, console)
    if found.segments is not None:
        _print_segments(found.segments, found.protocol.smooth, console)
    for note in found.notes:
        console.print(f"note: {escape(note)}", soft_wrap=True)
    if found.manifest.unknown_labels:
        rows = sum(found.manifest.unknown_labels.values())
        console.print(f"note: rows left out, as the model does not know their label: {rows}")


def _print_clips(clips: ClipResults, console: Console) -> None:
    table = _table("figure", "value")
    table.add_column("")
    for row in _clip_figures(clips):
        table.add_row(*row)
    console.print(table)
    console.print()
    console.print(_class_table(clips))
    if clips.confusion is not None:
        _print_confusion(clips, clips.confusion, console)


def _clip_figures(clips: ClipResults) -> Iterator[tuple[str, ...]]:
    yield "clips", str(clips.clips)
    if clips.multi_label:
        yield "mAP", percent(clips.mean_ap)
        return
    interval = f"95 % interval {percent(clips.top1_low)} to {percent(clips.top1_high)}"
    yield "top-1", percent(clips.top1), interval
    if clips.top5 is not None:
        yield "top-5", percent(clips.top5)
    yield "mean class accuracy", percent(clips.mean_class_accuracy)
    yield "calibration error", percent(clips.calibration_error)


def _class_table(clips: ClipResults) -> Table:
    seen = [c for c in clips.classes if c.support or c.predicted]
    shown = sorted(seen, key=_worst_first)[:_CLASSES_SHOWN]
    names = ["precision", "recall", "F1"] + (["AP"] if clips.multi_label else [])
    table = _table("class", "clips", *names)
    for c in shown:
        figures = [
            c.precision,
            c.recall,
            c.f1,
            *([c.average_precision] if clips.multi_label else []),
        ]
        table.add_row(escape(c.label), str(c.support), *map(percent, figures))
    if len(seen) > len(shown):
        table.caption = f"the {len(shown)} with the lowest F1 of {len(seen)} (all: --json, --html)"
    return table


def _worst_first(c: ClassResult) -> tuple[float, str]:
    return (c.f1 or 0.0, c.label)


def _print_confusion(
    clips: ClipResults, counts: tuple[tuple[int, ...], ...], console: Console
) -> None:
    """The matrix where it fits the width; else the confusions that are most frequent."""
    seen = [i for i, c in enumerate(clips.classes) if c.support or c.predicted]
    names = [clips.classes[i].label for i in seen]
    widest = max(len(_CORNER), *(len(name) for name in names))
    if widest + sum(len(name) + 2 for name in names) < console.width:
        table = _table(_CORNER, *(escape(clips.classes[j].label) for j in seen))
        for i in seen:
            cells = (str(counts[i][j]) if counts[i][j] else "." for j in seen)
            table.add_row(escape(clips.classes[i].label), *cells)
        console.print()
        console.print(table)
        return
    wrong = sorted(
        (-counts[i][j], clips.classes[i].label, clips.classes[j].label)
        for i in seen
        for j in seen
        if i != j and counts[i][j]
    )
    if wrong:
        console.print()
    for count, true, taken in wrong[:_CONFUSIONS_SHOWN]:
        console.print(f"{escape(true)} taken for {escape(taken)}: {-count}")
    if len(wrong) > _CONFUSIONS_SHOWN:
        rest = len(wrong) - _CONFUSIONS_SHOWN
        console.print(f"and {rest} other confusions (all: --json, --html)")


def _print_segments(segments: SegmentResults, smooth: str, console: Console) -> None:
    columns = {"raw": segments.raw}
    if segments.smoothed is not None:
        columns[smooth] = segments.smoothed
    table = _table("figure", *map(escape, columns))
    for row in zip(*(segment_figures(f) for f in columns.values()), strict=True):
        table.add_row(row[0][0], *(value for _, value in row))
    console.print(table)


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", caption_justify="left")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table
