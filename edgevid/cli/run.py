"""`edgevid run`: a bundle on cameras, files and streams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevid.cli._bundles import open_bundle
from edgevid.cli._config import SiteSource, current_config, load_config
from edgevid.cli._decisions import events_option, export_option, export_sinks
from edgevid.cli._messages import notice
from edgevid.cli._output import write_json
from edgevid.errors import SourceError, SpecError
from edgevid.inputs import FLOW_METHODS

if TYPE_CHECKING:
    from rich.console import Console

    from edgevid.cli._reload import Reloader
    from edgevid.cli._watching import Watchers
    from edgevid.manifest import Bundle
    from edgevid.pipeline import Stream, Summary
    from edgevid.protocols import Sink
    from edgevid.sinks import WindowSink
    from edgevid.sources.reconnecting import RetryPolicy

EXIT_INTERRUPTED = 130


@click.command(name="run")
@click.argument("model", metavar="BUNDLE|MODEL.onnx")
@click.option(
    "--source", "-s", "sources", multiple=True, metavar="[NAME=]URI",
    help="Video file, directory, glob, images, rtsp:// or http:// URL, csi:0, gst: and a "
    "pipeline, synthetic:. May be given several times.",
)  # fmt: skip
@click.option(
    "--camera", "-c", "cameras", multiple=True, metavar="[NAME=]N",
    help="Camera number or device, such as 0, /dev/video0 or '0?format=MJPG&size=1280x720'. May "
    "be given several times.",
)  # fmt: skip
@click.option(
    "--smooth", metavar="SPEC",
    help="mean:8, ema:0.8s, hysteresis:0.1, hmm:0.95, mean:4+vote:5 ...: see docs/smoothing.md.  "
    "[default: what the bundle was tuned to, else none]",
)  # fmt: skip
@click.option("--hop", "hop_s", type=float, metavar="S", help="Seconds between windows.")
@click.option(
    "--window", "window_s", type=float, metavar="S",
    help="Slide windows of this span over files, for models that see a whole file at once.",
)  # fmt: skip
@click.option(
    "--stride", type=int, metavar="N",
    help="Source frames from one sample to the next. For a clip model this changes the tempo "
    "that it was trained at.",
)  # fmt: skip
@click.option("--engine", default="auto", show_default=True, help="See `edgevid doctor`.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of the engine.")
@click.option("--fast-resize", is_flag=True, help="Crop on whole source pixels; cheaper.")
@click.option(
    "--flow",
    type=click.Choice(FLOW_METHODS),
    help="Compute optical flow so, not as the model says.",
)
@click.option("--video-stream", type=int, metavar="N", help="Stream of files that hold several.")
@click.option(
    "--decoder", type=click.Choice(["auto", "pyav", "gstreamer"]), default="auto",
    show_default=True,
    help="What reads files and RTSP; auto: RTSP on the Jetson's decoder where there is one.",
)  # fmt: skip
@events_option
@click.option("--jsonl", metavar="FILE|-", help="Write each prediction as a line of JSON.")
@click.option(
    "--append", is_flag=True,
    help="Write behind what the file of --jsonl holds; SIGHUP opens it anew, for logrotate.",
)  # fmt: skip
@export_option
@click.option(
    "--trace", metavar="FILE", help="Keep every score in a .npz or .parquet, for `edgevid replay`."
)
@click.option("--video", type=click.Path(), metavar="FILE", help="Write an annotated video.")
@click.option("--show", is_flag=True, help="Show the annotated video in a window (q ends).")
@click.option("--max-clips", type=int, metavar="N", help="Stop after N predictions.")
@click.option(
    "--duration", "duration_s", type=float, metavar="S",
    help="Stop each source at this time of its own clock.",
)  # fmt: skip
@click.option(
    "--pace", type=click.Choice(["fast", "realtime"]), default="fast", show_default=True,
    help="realtime plays files at their own rate, as a camera would, and drops what is too late.",
)  # fmt: skip
@click.option(
    "--strict-time", is_flag=True,
    help="Leave out windows that miss frames, instead of marking them.",
)  # fmt: skip
@click.option(
    "--max-batch", type=int, default=1, show_default=True, metavar="N",
    help="Windows of different sources that may share one call of the engine.",
)  # fmt: skip
@click.option(
    "--max-wait-ms", type=float, default=5.0, show_default=True, metavar="MS",
    help="How long a window waits for those of other sources, at most.",
)  # fmt: skip
@click.option(
    "--reconnect/--no-reconnect", default=True, show_default=True,
    help="Try cameras and streams that were lost again.",
)  # fmt: skip
@click.option(
    "--wait-for-source", is_flag=True,
    help="Wait for cameras and streams that are not there yet at the start.",
)  # fmt: skip
@click.option(
    "--give-up-after", "give_up_after_s", type=float, metavar="S",
    help="Seconds without a lost source after which its loss is an error.  [never]",
)  # fmt: skip
@click.option(
    "--stall-after", "stall_after_s", type=float, default=4.0, show_default=True, metavar="S",
    help="Seconds of silence after which a camera or stream counts as lost.",
)  # fmt: skip
@click.option("--summary", "summary_file", metavar="FILE|-", help="Write the figures as JSON.")
@click.option("--spec", type=click.Path(path_type=Path), help="For a MODEL.onnx: its spec.toml.")
@click.option("--preset", help="For a MODEL.onnx: its preprocessing, such as imagenet.")
@click.option(
    "--labels", type=click.Path(path_type=Path), help="For a MODEL.onnx: one label a line."
)
@click.option(
    "--metrics", metavar=":9100",
    help="Serve /metrics (Prometheus) and /health there, to this machine unless a host is given.",
)  # fmt: skip
@click.option(
    "--log", type=click.Path(path_type=Path), metavar="FILE",
    help="Append what happens to sources and outputs as lines of JSON.",
)  # fmt: skip
@click.option(
    "--config", type=click.Path(path_type=Path), metavar="F.toml", is_eager=True,
    expose_value=False, callback=load_config,
    help="Flags and sources from a file, read again on SIGHUP (docs/live.md).",
)  # fmt: skip
@click.option("--quiet", "-q", is_flag=True, help="No console output but errors.")
def command(model: str, **options: Any) -> int:
    """Run a bundle (or an ONNX model) on cameras, files and streams.

    Labels go to the console as they change; a summary follows at the end.
    """
    from edgevid.sources import heap

    # Before there are threads: a run is up for a year.
    heap.share()
    import cv2

    # Decoder and engine share the cores; OpenCV's own threads would only fight them.
    cv2.setNumThreads(1)
    sources = _sources(options["sources"], options["cameras"])
    bundle = open_bundle(model, {k: options[k] for k in ("spec", "preset", "labels")})
    summary, interrupted = _run(bundle, sources, options)
    _report(summary, options)
    if interrupted:
        return EXIT_INTERRUPTED
    failed = [s for s in summary.sources if s.error]
    if failed and len(failed) == len(summary.sources):
        raise SourceError(f"none of the {len(failed)} sources could be played")
    return 0


def _sources(uris: tuple[str, ...], cameras: tuple[str, ...]) -> tuple[SiteSource, ...]:
    """Those on the command line, else those of the configuration file."""
    from edgevid.sources.uri import split_name

    named = [
        *(SiteSource(name=name, camera=place) for name, place in map(split_name, cameras)),
        *(SiteSource(name=name, uri=place) for name, place in map(split_name, uris)),
    ]
    config = current_config()
    sources = tuple(named) or (config.sources if config else ())
    if not sources:
        raise SourceError("no source was given", "Add --source VIDEO or --camera 0")
    return sources


def _run(
    bundle: Bundle, sources: Sequence[SiteSource], options: dict[str, Any]
) -> tuple[Summary, bool]:
    """Play everything; the summary, and True where Ctrl-C ended it."""
    from edgevid.cli._playing import play
    from edgevid.cli._watching import Watchers

    if options["append"] and not options["jsonl"]:
        raise SpecError("--append needs a file to append to", "Add --jsonl FILE, or leave it out")
    _settle_decisions(bundle, options)
    running = _stream(bundle, sources, options)
    # Sinks are opened last: a wrong option or source must not have touched their files.
    with running, ExitStack() as stack:
        window = _open_window(bundle, options, stack)
        reloader = _reloader(running, sources, options)
        with ExitStack() as opening:
            sinks = _open_sinks(bundle, running, options, opening)
            watchers = Watchers(options["metrics"], options["log"], options["quiet"])
            opening.pop_all()
        hangup = _hangup(reloader, sinks, watchers) if reloader or options["append"] else None
        interrupted = play(running, sinks, window, hangup, watchers)
    return running.summary, interrupted


def _settle_decisions(bundle: Bundle, options: dict[str, Any]) -> None:
    """Put what decides into the options; say so where it is the bundle's own."""
    from edgevid.api import decision_rules

    rules = decision_rules(bundle, options["smooth"], options["events"])
    kept = bundle.manifest.decision
    if kept is not None and not options["quiet"]:
        own = [f"smoothing {rules.smooth}"] if options["smooth"] is None else []
        own += (
            [f"events {'; '.join(rules.events)}"] if not options["events"] and rules.events else []
        )
        if own:
            notice(f"From the bundle: {', '.join(own)} (--smooth none --events none: without)")
    options["smooth"], options["events"] = rules.smooth, rules.events


def _stream(bundle: Bundle, sources: Sequence[SiteSource], options: dict[str, Any]) -> Stream:
    from edgevid.api import stream
    from edgevid.pipeline import SamplingOptions

    return stream(
        bundle,
        [source.place for source in sources],
        smooth=options["smooth"],
        events=options["events"] or ("none",),
        options=SamplingOptions(
            hop_s=options["hop_s"],
            window_s=options["window_s"],
            frame_interval=options["stride"],
        ),
        engine=options["engine"],
        threads=options["threads"],
        max_clips=options["max_clips"],
        duration_s=options["duration_s"],
        fast_resize=options["fast_resize"],
        flow_method=options["flow"],
        frames=bool(options["video"] or options["show"]),
        video_stream=options["video_stream"],
        decoder=options["decoder"],
        real_time=options["pace"] == "realtime",
        strict_time=options["strict_time"],
        max_batch=options["max_batch"],
        max_wait_ms=options["max_wait_ms"],
        priorities=[source.priority for source in sources],
        names=[source.name for source in sources],
        retry=_retry(options),
        notify=(lambda _: None) if options["quiet"] else notice,
    )


def _reloader(
    running: Stream, sources: Sequence[SiteSource], options: dict[str, Any]
) -> Reloader | None:
    """What reads the sources again, where they come from a configuration file."""
    from edgevid.cli._reload import Reloader
    from edgevid.pipeline import Opening

    config = current_config()
    if config is None or config.sources != sources:
        return None
    opening = Opening(options["video_stream"], _retry(options), decoder=options["decoder"])
    return Reloader(running, command, config, opening)


def _hangup(
    reloader: Reloader | None, sinks: Sequence[Sink], watchers: Watchers
) -> Callable[[], None]:
    """What SIGHUP calls: files of lines are opened anew, the configuration is read again."""
    from edgevid.sinks import JsonlSink

    def hangup() -> None:
        for sink in sinks:
            if isinstance(sink, JsonlSink):
                sink.reopen()
        watchers.reopen()
        if reloader is not None:
            reloader(watchers.taken_out)

    return hangup


def _retry(options: dict[str, Any]) -> RetryPolicy | None:
    from edgevid.sources.reconnecting import RetryPolicy

    for name in ("give_up_after_s", "stall_after_s"):
        value = options[name]
        if value is not None and not value > 0:
            flag = "--" + name.removesuffix("_s").replace("_", "-")
            raise SpecError(f"{flag} {value} must be above 0 seconds")
    if not options["reconnect"]:
        if options["wait_for_source"]:
            raise SpecError("--wait-for-source and --no-reconnect contradict each other")
        return None
    return RetryPolicy(
        give_up_after_s=options["give_up_after_s"],
        stall_after_s=options["stall_after_s"],
        at_start=options["wait_for_source"],
    )


def _open_sinks(
    bundle: Bundle, running: Stream, options: dict[str, Any], stack: ExitStack
) -> list[Sink]:
    """Open every sink that was asked for; `stack` closes them where one of them fails."""
    from edgevid.sinks import ConsoleSink, JsonlSink, VideoSink

    sinks: list[Sink] = export_sinks(
        options["exports"], options["events"], running.num_sources, stack
    )
    if options["trace"]:
        sinks.append(_trace_sink(bundle, options))
        stack.callback(sinks[-1].close)
    if options["jsonl"]:
        sinks.append(JsonlSink(options["jsonl"], bundle.labels, append=options["append"]))
        stack.callback(sinks[-1].close)
    if options["video"]:
        sinks.append(VideoSink(options["video"], fps=0.0, labels=bundle.labels))
        stack.callback(sinks[-1].close)
    if not options["quiet"]:
        sinks.append(ConsoleSink(_console(options)))
        stack.callback(sinks[-1].close)
    return sinks


def _open_window(bundle: Bundle, options: dict[str, Any], stack: ExitStack) -> WindowSink | None:
    from edgevid.sinks import WindowSink

    if not options["show"]:
        return None
    window = WindowSink(f"edgevid: {bundle.manifest.model.name}", bundle.labels)
    stack.callback(window.close)
    return window


def _trace_sink(bundle: Bundle, options: dict[str, Any]) -> Sink:
    from edgevid.api import is_multi_label
    from edgevid.traces import TraceInfo, open_trace_sink

    info = TraceInfo(
        labels=bundle.labels,
        model=bundle.manifest.model.name,
        multi_label=is_multi_label(bundle.manifest),
        smooth=options["smooth"],
        events=options["events"],
    )
    return open_trace_sink(options["trace"], info)


def _console(options: dict[str, Any]) -> Console:
    """Labels go to stdout, unless JSON goes there."""
    from rich.console import Console

    return Console(stderr="-" in (options["jsonl"], options["summary_file"]))


def _report(summary: Summary, options: dict[str, Any]) -> None:
    from edgevid.cli._summary import render_summary

    if not options["quiet"]:
        render_summary(summary)
    if options["summary_file"]:
        write_json(summary.to_dict(), options["summary_file"])
