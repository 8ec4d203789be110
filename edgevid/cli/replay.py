"""`edgevid replay`: decide once more on the scores of a run."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from edgevid.cli._decisions import events_option, export_option, export_sinks
from edgevid.cli._messages import notice

if TYPE_CHECKING:
    from edgevid.pipeline import DecisionRules
    from edgevid.pipeline.summary import SourceSummary
    from edgevid.traces import Trace

_EPILOG = """\b
Examples:
  edgevid run gesture.edgevid --source hall.mp4 --trace hall.npz
  edgevid replay hall.npz --smooth hmm:4s --events "onset=0.6,offset=0.4" --export hall.vtt
"""


@click.command(name="replay", epilog=_EPILOG)
@click.argument("trace")
@click.option("--smooth", metavar="SPEC", help="As for `run`.  [default: that of the run]")
@events_option
@click.option("--jsonl", metavar="FILE|-", help="Write predictions and events as JSON lines.")
@export_option
@click.option("--quiet", "-q", is_flag=True, help="No console output but errors.")
def command(trace: str, **options: Any) -> int:
    """Decide once more on the scores in TRACE, which `edgevid run --trace` wrote.

    No video is read and no model runs. With the smoother and the events of the run the answers
    are those of the run, to the last digit.
    """
    from edgevid.pipeline import read_rules
    from edgevid.traces import read_trace

    kept = read_trace(trace)
    info = kept.info
    rules = read_rules(
        info.smooth if options["smooth"] is None else options["smooth"],
        options["events"] or info.events,
        info.labels,
        info.multi_label,
    )
    sources = _replay(kept, rules, options)
    if not options["quiet"] and options["jsonl"] != "-":
        notice(f"Smoothing: {rules.smooth}; events: {'; '.join(rules.events) or 'none'}")
        _show(sources)
    return 0


def _replay(kept: Trace, rules: DecisionRules, options: dict[str, Any]) -> list[SourceSummary]:
    """Feed the sinks; labels over time of each source."""
    from edgevid.pipeline import SourceSummary, replay
    from edgevid.protocols import Sink
    from edgevid.sinks import JsonlSink
    from edgevid.sinks.delivery import writer
    from edgevid.types import Prediction

    sources = {name: SourceSummary(name) for name in kept.sources}
    sinks: list[Sink] = []
    with ExitStack() as stack:
        sinks += export_sinks(options["exports"], rules.events, len(kept.sources), stack)
        if options["jsonl"]:
            sinks.append(JsonlSink(options["jsonl"], kept.info.labels))
            stack.callback(sinks[-1].close)
        for result in replay(kept, rules.new_smoother, rules.event_rules):
            for write in filter(None, (writer(sink, result) for sink in sinks)):
                write()
            entry = sources[result.source_id]
            if isinstance(result, Prediction):
                entry.clips += 1
                entry.add_label(result)
            else:
                entry.events += result.end_s is not None
    return list(sources.values())


def _show(sources: list[SourceSummary]) -> None:
    from rich.markup import escape

    from edgevid.cli._output import console
    from edgevid.cli._summary import print_timeline

    out = console()
    for source in sources:
        out.print(f"[bold]{escape(source.source)}[/bold]", soft_wrap=True)
        print_timeline(source.timeline, out)
        out.print(
            f"  clips: {source.clips}; label changes: {source.label_changes}; "
            f"events: {source.events}"
        )
