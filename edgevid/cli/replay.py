"""`edgevid replay`: decide once more on the scores of a run."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevid.cli._decisions import events_option, export_option, export_sinks
from edgevid.cli._messages import notice
from edgevid.cli._timelines import check_plot, text_lines, write_plot

if TYPE_CHECKING:
    from edgevid.pages.timelines import Stretch
    from edgevid.pipeline import DecisionRules
    from edgevid.pipeline.summary import SourceSummary
    from edgevid.traces import Trace
    from edgevid.tuning import ScoredVideo

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
@click.option(
    "--truth", metavar="JSON|CSV", help="What is true when, to show beside and to judge by."
)
@click.option(
    "--plot", metavar="FILE", help="Draw labels over time: .svg, .png (one video) or .html."
)
@click.option("--quiet", "-q", is_flag=True, help="No console output but errors.")
def command(trace: str, **options: Any) -> int:
    """Decide once more on the scores in TRACE, which `edgevid run --trace` wrote.

    No video is read and no model runs. With the smoother and the events of the run the answers
    are those of the run, to the last digit.
    """
    from edgevid.pipeline import read_rules
    from edgevid.traces import read_trace
    from edgevid.tuning.timelines import time_rows

    kept = read_trace(trace)
    info = kept.info
    rules = read_rules(
        info.smooth if options["smooth"] is None else options["smooth"],
        options["events"] or info.events,
        info.labels,
        info.multi_label,
    )
    if options["plot"]:
        check_plot(options["plot"], len(kept.sources))
    videos = _videos(kept, options["truth"])
    sources = _replay(kept, rules, options)
    rows = {v.name: time_rows(v, rules, info.labels) for v in videos}
    if options["plot"]:
        write_plot(options["plot"], rows, {v.name: v.end_s for v in videos})
    if not options["quiet"] and options["jsonl"] != "-":
        notice(f"Smoothing: {rules.smooth}; events: {'; '.join(rules.events) or 'none'}")
        for video in videos:
            _show(sources[video.name], video, rules, rows[video.name])
    return 0


def _videos(kept: Trace, truth: str | None) -> list[ScoredVideo]:
    """The sources of a trace, with what is true where that is said."""
    from edgevid.tuning import videos_of_trace
    from edgevid.tuning.timelines import untrue
    from edgevid.validation.annotations import Classes, read_annotations

    videos = {source: untrue(kept, source) for source in kept.sources}
    if truth is not None:
        path = Path(truth)
        one = kept.sources[0] if len(kept.sources) == 1 else None
        annotations = read_annotations(
            path,
            Classes(kept.info.labels),
            task="segments",
            video=one if path.suffix.lower() == ".json" else None,
        )
        videos |= {v.name: v for v in videos_of_trace(kept, annotations.videos)}
    return list(videos.values())


def _replay(kept: Trace, rules: DecisionRules, options: dict[str, Any]) -> dict[str, SourceSummary]:
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
    return sources


def _show(
    source: SourceSummary,
    video: ScoredVideo,
    rules: DecisionRules,
    rows: dict[str, list[Stretch]],
) -> None:
    """The time line as text, and figures."""
    from edgevid.cli._output import console

    out = console()
    out.print(source.source, style="bold", soft_wrap=True, markup=False)
    for line in text_lines(rows, video.end_s, min(out.width, 100)):
        out.print(line, soft_wrap=True, markup=False, highlight=False)
    out.print(
        f"  clips: {source.clips}; label changes: {source.label_changes}; events: {source.events}",
        soft_wrap=True,
    )
    if video.truth:
        out.print(_judged(video, rules), soft_wrap=True, highlight=False)


def _judged(video: ScoredVideo, rules: DecisionRules) -> str:
    from edgevid.smoothing import Unsmoothed
    from edgevid.tuning import try_smoothers

    tried = try_smoothers([video], [("raw", Unsmoothed), ("smoothed", rules.new_smoother)])
    lines = []
    for one in tried[: 1 if rules.smooth == "none" else 2]:
        figures = one.figures
        delay = "-" if figures.onset_delay_s is None else f"{figures.onset_delay_s:.2f} s"
        lines.append(
            f"  {one.smooth + ':':10}accuracy {one.accuracy:.1%}, {figures.switches} switches "
            f"(truth {figures.true_switches}), mean onset delay {delay}"
        )
    return "\n".join(lines)
