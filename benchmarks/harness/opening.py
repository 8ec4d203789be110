"""Opens what is to be measured, as often as it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevid.api import check_options, decision_rules, stream
from edgevid.benchmarks.harness.feeds import Window, noise, of_videos
from edgevid.benchmarks.harness.subject import Subject
from edgevid.benchmarks.harness.subjects import EngineSubject, PipelineSubject, StreamSubject
from edgevid.benchmarks.harness.video import EndlessSource, WindowReader
from edgevid.engines import open_engine
from edgevid.engines.trial import trial_feeds
from edgevid.errors import SourceError, SpecError
from edgevid.manifest import Bundle
from edgevid.pipeline import SamplingOptions, Stream
from edgevid.pipeline.decisions import Decider
from edgevid.protocols import Engine, FrameSource
from edgevid.sources import open_source
from edgevid.sources.clip_list import ListedClip, list_clips
from edgevid.sources.uri import Kind, is_live_scheme, kind_of, redact
from edgevid.spec import DEFAULT_WINDOW_S, ClipSpec
from edgevid.states import can_batch

if TYPE_CHECKING:
    from edgevid.benchmarks.harness.measure import Options

_LARGEST_QUERY = 64
_MOST_FILES_AT_ONCE = 16


class Opener:
    """Opens the engine alone, or the pipeline around it.

    Args:
        bundle: What to run.
        options: How.
        notify: Told what the engine says when it is opened first.

    Attributes:
        engine_name: As it names itself.
        largest_query: Clips that a query may hold.
        clip_names: Of what is fed, for the report.
        streams: Side by side; None: not said.
        new_frames: Of a window, on a stream.
    """

    def __init__(self, bundle: Bundle, options: Options, notify: Callable[[str], None]) -> None:
        self._bundle = bundle
        self._options = options
        self._sampling = _sampling(bundle.manifest.clip, options.hop_s)
        check_options(SamplingOptions(hop_s=options.hop_s), bundle.manifest)
        self._live = _live_sources(options)
        self._videos = [] if self._live else _videos(options)
        self._windows: list[Window] = []
        engine = self.open_engine(options.batch or options.streams or 1, notify)
        self.engine_name = engine.name
        fixed = any(info.batch_axis is None for info in engine.inputs)
        shares = not fixed and can_batch(bundle.manifest.states)
        engine.close()
        largest = _LARGEST_QUERY if options.engine_only else _MOST_FILES_AT_ONCE
        self.largest_query = largest if shares else 1
        self.clip_names = self._names()
        self.streams = options.streams or len(self._live) or None
        self.new_frames = _new_frames(self._sampling.applied_to(bundle.manifest.clip))

    def open_engine(
        self, most_clips: int, notify: Callable[[str], None] = lambda _: None
    ) -> Engine:
        return open_engine(
            self._bundle,
            self._options.engine,
            threads=self._options.threads,
            max_batch=most_clips,
            notify=notify,
        )

    def open_subject(self, most_clips: int) -> Subject:
        """What answers queries of at most so many clips."""
        engine = self.open_engine(most_clips)
        try:
            if self._options.engine_only:
                return self._engine_subject(engine, most_clips)
            if self._options.scenario == "offline":
                return self._stream_subject(engine, most_clips)
            return self._pipeline_subject(engine, most_clips)
        except BaseException:
            engine.close()
            raise

    def let_go(self) -> None:
        """Free the clips that lie ready; they are made again when they are needed."""
        self._windows = []

    def _engine_subject(self, engine: Engine, most_clips: int) -> EngineSubject:
        manifest = self._bundle.manifest
        if not self._windows:
            self._windows = self._read_windows()
        return EngineSubject(engine, self._windows, manifest.states, self.new_frames, most_clips)

    def _read_windows(self) -> list[Window]:
        manifest = self._bundle.manifest
        if not self._videos:
            return noise(manifest.clip, manifest.inputs, self._options.seed)
        return of_videos(manifest.clip, manifest.inputs, self._videos, self._sampling)

    def _pipeline_subject(self, engine: Engine, most_clips: int) -> PipelineSubject:
        manifest = self._bundle.manifest
        rules = decision_rules(self._bundle)
        readers: list[WindowReader] = []
        try:
            for source in self._endless(most_clips):
                readers.append(WindowReader(source, manifest.clip, manifest.inputs, self._sampling))
            deciders = [Decider(self._bundle.labels, rules.new_smoother()) for _ in readers]
            return PipelineSubject(engine, readers, deciders, manifest)
        except BaseException:
            for reader in readers:
                reader.close()
            raise

    def _stream_subject(self, engine: Engine, most_clips: int) -> StreamSubject:
        """Files side by side, as fast as they go; a call is for a window of each."""
        return StreamSubject(self._stream(engine, self._endless(most_clips), most_clips))

    def open_stream(self, streams: int, seconds: float) -> Stream:
        """The whole pipeline on sources that come by the clock."""
        hop_s = self._bundle.manifest.clip.hop_s or 1 / 30
        waits = np.random.default_rng(self._options.seed).uniform(0, hop_s, streams)
        sources: Sequence[FrameSource]
        if self._live:
            sources = [open_source(uri) for uri in self._live]
        else:
            sources = self._endless(streams, list(waits))
        engine = self.open_engine(self._options.batch or 1)
        # The first call may take far longer than the others, and would drop frames.
        engine.infer(trial_feeds(engine, 1))
        return self._stream(engine, sources, self._options.batch or 1, seconds)

    def _stream(
        self,
        engine: Engine,
        sources: Sequence[FrameSource],
        most_clips: int,
        seconds: float | None = None,
    ) -> Stream:
        return stream(
            self._bundle,
            list(sources),
            options=self._sampling,
            engine=engine,
            max_batch=most_clips,
            real_time=seconds is not None,
            duration_s=seconds,
        )

    def _endless(self, count: int, waits: Sequence[float] = ()) -> list[EndlessSource]:
        """Sources that never end, each beginning with another video."""
        opened: list[EndlessSource] = []
        try:
            for n in range(count):
                first = n % len(self._videos)
                wait_s = waits[n] if waits else 0.0
                opened.append(EndlessSource(self._videos, f"stream {n + 1}", first, wait_s))
        except BaseException:
            for source in opened:
                source.close()
            raise
        return opened

    def _names(self) -> tuple[str, ...]:
        if self._live:
            return tuple(redact(uri) for uri in self._live)
        return tuple(Path(clip.uri).name for clip in self._videos) or ("random",)


def opener_for(bundle: Bundle, options: Options, notify: Callable[[str], None]) -> Opener:
    """What opens a bundle's engine or pipeline; opens it once, so that errors come early.

    Raises:
        EdgevidError: The engine, a video or an option cannot be used.
    """
    opener = Opener(bundle, options, notify)
    if options.scenario != "live":
        opener.open_subject(options.batch or options.streams or 1).close()
    return opener


def _sampling(clip: ClipSpec, hop_s: float | None) -> SamplingOptions:
    """Windows slide, as on a camera, also where a contract means whole files."""
    if clip.sampling == "interval":
        return SamplingOptions(hop_s=hop_s)
    return SamplingOptions(hop_s=hop_s, window_s=clip.window_s or DEFAULT_WINDOW_S)


def _new_frames(clip: ClipSpec) -> int:
    """Samples of a window that the one before it did not have."""
    period_s = clip.period_s
    hop = 1 if clip.hop_s is None or not period_s else max(1, round(clip.hop_s / period_s))
    return min(hop, clip.num_frames)


def _live_sources(options: Options) -> tuple[str, ...]:
    """The clips, where they are cameras or streams; else none."""
    live = [uri for uri in options.clips if _is_live(uri)]
    if not live:
        return ()
    if options.scenario != "live":
        raise SourceError(
            f"{redact(live[0])} is live: only --scenario live can measure with it",
            "Give video files",
        )
    if len(live) < len(options.clips) or options.streams not in (None, len(live)):
        raise SpecError(
            "cameras and network streams are measured as they are given, each once",
            f"Give nothing but these, and --streams {len(live)} or none",
        )
    return options.clips


def _is_live(uri: str) -> bool:
    if uri.startswith("synthetic:"):
        return "live=1" in uri
    return kind_of(uri) in (Kind.CAMERA, Kind.GSTREAMER) or is_live_scheme(uri)


def _videos(options: Options) -> list[ListedClip]:
    """What `--clips` lists; where it says nothing, the clip that ships, but for an engine alone."""
    if options.clips:
        return list_clips(options.clips)
    if options.engine_only:
        return []
    demo = resources.files("edgevid.demo") / "demo.mp4"
    return [ListedClip(str(demo))]
