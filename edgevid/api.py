"""What a program imports: `load`, `open_source`, `stream`. The command line uses the same.

import edgevid

bundle = edgevid.load("gesture.edgevid")
for p in edgevid.stream(bundle, "hall.mp4", smooth="mean:8"):
    print(f"{p.end_s:7.2f} s  {p.label}  {p.score:.2f}")
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from edgevid.engines import open_engine
from edgevid.errors import SourceError, SpecError
from edgevid.manifest import TRANSITIONS_NAME, Bundle, Decision, Manifest
from edgevid.pipeline import (
    Batching,
    CaptureJob,
    DecisionRules,
    NamedSource,
    Opening,
    SamplingOptions,
    Source,
    Stream,
    read_rules,
)
from edgevid.pipeline.lanes import decode_threads
from edgevid.protocols import Engine, FrameSource, SizedBatches
from edgevid.sources import Decoder, open_source
from edgevid.sources.reconnecting import RetryPolicy
from edgevid.spec import InputSpec, parse
from edgevid.tracks import flow_interval

_MAX_WAIT_MS = 10_000.0


def load(path: str | os.PathLike[str]) -> Bundle:
    """Open a bundle that `edgevid convert` made.

    Raises:
        BundleError: It is no bundle, its manifest is malformed, or a file was changed.
    """
    return Bundle.load(path)


def stream(
    bundle: Bundle | str | os.PathLike[str],
    source: Source | Sequence[Source],
    *,
    smooth: str | None = None,
    events: Sequence[str] = (),
    options: SamplingOptions | None = None,
    engine: str | Engine = "auto",
    threads: int | None = None,
    max_clips: int | None = None,
    duration_s: float | None = None,
    fast_resize: bool = False,
    flow_method: str | None = None,
    frames: bool = False,
    video_stream: int | None = None,
    decoder: Decoder = "auto",
    real_time: bool = False,
    strict_time: bool = False,
    max_batch: int = 1,
    max_wait_ms: float = 5.0,
    priorities: Sequence[int] | None = None,
    names: Sequence[str | None] | None = None,
    retry: RetryPolicy | None = None,
    notify: Callable[[str], None] = lambda _: None,
) -> Stream:
    """Predictions of a bundle on one source or several, as they come.

    Args:
        bundle: From `load`, or its path.
        source: A file, directory, glob, camera number, device, URL or GStreamer pipeline as
            for `open_source`; or an open `FrameSource`; or a list of these, which then run
            side by side. The videos of a directory or glob are played one after another.
        smooth: A smoother, such as "mean:8" or "hmm:0.95+hysteresis:0.1" (docs/smoothing.md);
            "none" leaves the scores as they are; None: what the bundle was tuned to, if it was.
        events: Rules such as "onset=0.6,offset=0.4,min=0.5s,merge=0.3s" (docs/events.md); the
            events come through `Stream.results`. None: as for `smooth`; ["none"]: none.
        options: Changes to the temporal contract (hop, window, frame interval).
        engine: One of `edgevid.engines.ENGINES`, or an open engine.
        threads: Of the engine on the CPU; None: chosen from the cores at hand.
        max_clips: Stop after this many predictions.
        duration_s: Stop each source at this time of its own clock, in seconds.
        fast_resize: See `edgevid.preprocess.Resizer`.
        flow_method: How optical flow is computed; None: as in the contract.
        frames: Give every frame through `Stream.results` as well, for display.
        video_stream: Index of the video stream in files that hold several.
        decoder: What reads files and RTSP, see `open_source`.
        real_time: Play files at their own rate, as a camera would, and drop what is too late.
        strict_time: Leave out windows that miss frames, instead of marking them with `gap`.
        max_batch: Windows of different sources that may share one call of the engine. (Of a file
            two successive ones of one frame may as well, see docs/live.md.)
        max_wait_ms: How long the first of them waits for others, at most, in milliseconds.
        priorities: For each source, at least 1: its share of an engine that is too slow for all.
        names: For each source what predictions call it; None: its place, without passwords.
        retry: How a live source that was lost is tried again; None: its loss is its end.
        notify: Told, in one sentence each, what was chosen and why.

    Returns:
        An iterator of `Prediction`; its `summary` holds the figures of the run.

    Raises:
        EdgevidError: The bundle, a source, the engine or an option cannot be used.
    """
    checked = bundle if isinstance(bundle, Bundle) else load(bundle)
    options = options or SamplingOptions()
    check_options(options, checked.manifest)
    _check_limits(max_clips, duration_s)
    _check_sharing(max_batch, max_wait_ms)
    job = CaptureJob(
        clip=options.applied_to(checked.manifest.clip),
        inputs=_with_flow(checked.manifest.inputs, flow_method),
        slide=options.slide,
        duration_s=duration_s,
        fast_resize=fast_resize,
        want_frames=frames,
        real_time=real_time,
        strict_time=strict_time,
        retry=retry,
    )
    rules = decision_rules(checked, smooth, events)
    lanes: list[list[NamedSource]] = []
    try:
        sources = _as_list(source)
        threads_each = 1 if real_time else decode_threads(len(sources))
        opening = Opening(video_stream, retry, threads_each, decoder)
        for one, name in zip(sources, names or [None] * len(sources), strict=True):
            lanes.append(opening.lane(one, name))
        _check_distinct(lanes)
        opening.open_all(lanes)
        opened = (
            open_engine(checked, engine, threads=threads, max_batch=max_batch, notify=notify)
            if isinstance(engine, str)
            else engine
        )
    except BaseException:
        _close_all(lanes)
        raise
    return Stream(
        opened,
        checked.labels,
        lanes,
        job,
        rules.new_smoother,
        max_clips,
        checked.manifest.states,
        Batching(max_batch, max_wait_ms, _windows_of_a_file(opened)),
        priorities,
        rules.event_rules,
    )


def decision_rules(
    bundle: Bundle, smooth: str | None = None, events: Sequence[str] = ()
) -> DecisionRules:
    """What decides on a bundle's scores: as said, else as `edgevid tune` left it in the bundle.

    Args:
        smooth: None: the bundle's own.
        events: Empty: the bundle's own; ["none"]: none.

    Raises:
        SpecError: One of them cannot be right, or does not go with the model.
    """
    kept = bundle.manifest.decision or Decision()
    if smooth is None:
        own = f"file={TRANSITIONS_NAME}"
        smooth = kept.smooth.replace(own, f"file={bundle.path / TRANSITIONS_NAME}")
    rules = tuple(events) or kept.events
    rules = () if rules == ("none",) else rules
    return read_rules(smooth, rules, bundle.labels, is_multi_label(bundle.manifest))


def is_multi_label(manifest: Manifest) -> bool:
    """True where several labels may be true at once: the scores are sigmoids."""
    return manifest.outputs[0].kind == "sigmoid"


def check_options(options: SamplingOptions, manifest: Manifest) -> None:
    """Raise SpecError where a change does not go with the model."""
    if options.hop_s is not None and manifest.states:
        raise SpecError(
            "--hop does not apply: this model carries states, so it takes every frame once",
            "Leave it out",
        )
    pairs = flow_interval(manifest.inputs)
    if pairs is not None and options.frame_interval is not None and options.frame_interval < pairs:
        raise SpecError(
            f"--stride {options.frame_interval} is shorter than the flow_interval of the model, "
            f"{pairs}",
            f"Give --stride {pairs} or more",
        )


def _with_flow(inputs: tuple[InputSpec, ...], method: str | None) -> tuple[InputSpec, ...]:
    """The inputs, with flow computed by `method` instead of what the contract says."""
    if method is None:
        return inputs
    if all(i.modality != "flow" for i in inputs):
        raise SpecError("--flow does not apply: this model takes no optical flow", "Leave it out")
    changed = [{**i.model_dump(), "flow_method": method} for i in inputs]
    return tuple(
        parse(InputSpec, fields, "--flow") if spec.modality == "flow" else spec
        for spec, fields in zip(inputs, changed, strict=True)
    )


def _as_list(source: Source | Sequence[Source]) -> list[Source]:
    if isinstance(source, (str, int, os.PathLike, FrameSource)):
        return [source]
    if not source:
        raise SourceError("no source was given", "Name a video, a camera or a URL")
    return list(source)


def _close_all(lanes: list[list[NamedSource]]) -> None:
    for named in (named for lane in lanes for named in lane):
        if named.opened is not None:
            named.opened.close()


def _check_limits(max_clips: int | None, duration_s: float | None) -> None:
    if max_clips is not None and max_clips < 1:
        raise SpecError(f"--max-clips {max_clips} must be at least 1")
    if duration_s is not None and not duration_s > 0:
        raise SpecError(f"--duration {duration_s} must be above 0 seconds")


def _check_sharing(max_batch: int, max_wait_ms: float) -> None:
    if max_batch < 1:
        raise SpecError(f"--max-batch {max_batch} must be at least 1")
    if not 0 <= max_wait_ms <= _MAX_WAIT_MS:
        raise SpecError(f"--max-wait-ms {max_wait_ms:g} must be from 0 to {_MAX_WAIT_MS:g}")


def _windows_of_a_file(engine: Engine) -> int:
    """How many are answered together: what feeds the engine then finds itself in the caches."""
    return 1 if isinstance(engine, SizedBatches) else 4


def _check_distinct(lanes: list[list[NamedSource]]) -> None:
    names = [named.name for lane in lanes for named in lane]
    for name in names:
        if names.count(name) > 1:
            raise SourceError(f"source {name!r} is given twice", "Name each source once")


__all__ = ["load", "open_source", "stream"]
