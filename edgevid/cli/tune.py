"""`edgevid tune`: which smoother and which events suit a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevid.cli._messages import notice, warning
from edgevid.cli._output import console, json_option, write_json
from edgevid.files import write_atomic

if TYPE_CHECKING:
    from rich.console import Console

    from edgevid.tuning import Tried, Tuning

EXIT_INCOMPLETE = 3
"""Some of the videos could not be played; the figures are of the others."""

_EPILOG = """\b
Examples:
  edgevid tune gesture.edgevid --truth hall.json
  edgevid tune gesture.edgevid --truth hall.csv --max-delay 2 --html tuning.html --write
  edgevid tune gesture.edgevid --truth hall.json --trace hall.npz --try mean:4+vote:5

Exit status: 0 done; 3 some videos could not be played (the figures are of the others); 2 a mistake,
or none could be played.
"""


@click.command(name="tune", epilog=_EPILOG)
@click.argument("bundle")
@click.option(
    "--truth", "--manifest", "truth", required=True, metavar="JSON|CSV",
    help="Labels over time: segments of one video as JSON, or CSV: path,label,start_s,end_s.",
)  # fmt: skip
@click.option("--trace", metavar="FILE", help="Take the scores from a trace; no model runs.")
@click.option("--try", "extra", multiple=True, metavar="SPEC", help="Try this smoother too.")
@click.option("--events/--no-events", "with_events", default=True, help="Try rules of events.")
@click.option(
    "--max-delay", "max_delay_s", type=click.FloatRange(min=0, min_open=True), metavar="S",
    help="Choose nothing that is later than this on average.",
)  # fmt: skip
@click.option("--hop", "hop_s", type=float, metavar="S", help="As for `run`.")
@click.option("--window", "window_s", type=float, metavar="S", help="As for `run`.")
@click.option("--stride", type=int, metavar="N", help="As for `run`.")
@click.option("--background", metavar="LABEL", help="The label that means that nothing happens.")
@click.option("--skip-unknown", is_flag=True, help="Leave rows out whose label is not known.")
@click.option("--video", metavar="FILE", help="JSON: the video, where it does not name it.")
@click.option("--engine", default="auto", show_default=True, help="See `edgevid doctor`.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of the engine.")
@click.option("--write", is_flag=True, help="Put the choice into BUNDLE: `run` then follows it.")
@json_option
@click.option("--html", metavar="FILE", help="Write one page with the table and charts.")
def command(bundle: str, json_target: str | None, **options: Any) -> int:
    """Try smoothers and events on annotated streams.

    The model runs once over every video; hundreds of settings are then tried on its scores.
    Shown are those that no other beats in accuracy, flicker and delay.
    """
    from edgevid.cli._progress import progress_bar
    from edgevid.pipeline import SamplingOptions
    from edgevid.tuning import tune

    write, html = options.pop("write"), options.pop("html")
    sampling = SamplingOptions(
        hop_s=options.pop("hop_s"),
        window_s=options.pop("window_s"),
        frame_interval=options.pop("stride"),
    )
    with progress_bar("Tuning") as progress:
        tuning = tune(
            bundle,
            options.pop("truth"),
            options=sampling,
            watch_model=progress,
            watch_settings=progress,
            notify=notice,
            **options,
        )
    if json_target is not None:
        write_json(_as_json(tuning), json_target)
    if html is not None:
        from edgevid.tuning.page import render

        write_atomic(Path(html), render(tuning).encode())
    if json_target != "-":
        _show(tuning, console())
    if write:
        decision = tuning.write()
        events = "; ".join(decision.events) or "none"
        notice(f"Written into {bundle}: smoothing {decision.smooth}; events {events}")
    for problem in tuning.problems:
        warning(f"left out: {problem}")
    return EXIT_INCOMPLETE if tuning.problems else 0


def _show(tuning: Tuning, out: Console) -> None:
    from edgevid.tuning.tune import table_rows

    seconds = sum(v.end_s for v in tuning.videos)
    out.print(
        f"{tuning.settings} settings on {seconds:.0f} s of video in {tuning.seconds:.1f} s: "
        f"{tuning.settings / max(tuning.seconds, 1e-9):.0f} a second",
        soft_wrap=True,
    )
    out.print(
        "\nLabels over time: the choice, what nothing else beats, and some of each kind",
        soft_wrap=True,
    )
    out.print(_table(tuning, table_rows(tuning), events=False))
    if tuning.event_choice is not None:
        from edgevid.tuning import front

        rows = [tuning.event_choice]
        rows += [t for t in front(tuning.events) if t is not tuning.event_choice][:8]
        out.print("\nEvents: the choice, and what nothing else beats")
        out.print(_table(tuning, rows, events=True))
    chosen = tuning.choice
    out.print(
        f"\nChoice: {chosen.smooth}: accuracy {chosen.accuracy:.1%} (raw "
        f"{tuning.raw.accuracy:.1%}), {chosen.figures.switches} switches (truth "
        f"{chosen.figures.true_switches}), mean onset delay {chosen.delay_s:.2f} s",
        soft_wrap=True,
    )


def _table(tuning: Tuning, rows: list[Tried], events: bool) -> Any:
    from rich.table import Table

    from edgevid.tuning import front

    worth = front(tuning.events if events else tuning.labels)
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    for name in ("", "smoothing", *(["events"] if events else [])):
        table.add_column(name, overflow="fold")
    for name in ("accuracy", "F1@50", "switches", "/min", "delay", "missed"):
        table.add_column(name, justify="right", no_wrap=True)
    chosen = tuning.event_choice if events else tuning.choice
    for row in rows:
        mark = "->" if row is chosen else "*" if row in worth else ""
        rule = [str(row.events).replace(",", ", ")] if events else []
        table.add_row(mark, row.smooth, *rule, *_cells(row))
    return table


def _cells(row: Tried) -> tuple[str, ...]:
    figures = row.figures
    return (
        f"{row.accuracy:.1%}",
        f"{figures.f1[0.5]:.3f}",
        f"{figures.switches}",
        f"{figures.switches_per_minute or 0:.1f}",
        f"{row.delay_s:.2f} s" if figures.onset_delay_s is not None else "-",
        f"{figures.missed}",
    )


def _as_json(tuning: Tuning) -> dict[str, Any]:
    from dataclasses import asdict

    from edgevid.tuning import front

    def one(tried: Tried) -> dict[str, Any]:
        rule = None if tried.events is None else str(tried.events)
        return {"smooth": tried.smooth, "events": rule, **asdict(tried.figures)}

    return {
        "schema": 1,
        "settings": tuning.settings,
        "seconds": round(tuning.seconds, 3),
        "choice": one(tuning.choice),
        "event_choice": None if tuning.event_choice is None else one(tuning.event_choice),
        "front": [one(t) for t in front(tuning.labels)],
        "labels": [one(t) for t in tuning.labels],
        "events": [one(t) for t in tuning.events],
    }
