"""Annotated videos with the scores of a model, kept so that many settings can be tried."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevid.api import stream
from edgevid.engines import open_engine
from edgevid.errors import SourceError, SpecError
from edgevid.evaluation import AnnotatedVideo, Segment, Shown
from edgevid.manifest import Bundle
from edgevid.pipeline import SamplingOptions
from edgevid.protocols import Engine
from edgevid.traces import Trace
from edgevid.types import Array, Prediction
from edgevid.validation.annotations import LabelledVideo
from edgevid.validation.borrowed import borrowed
from edgevid.validation.streams import FALLBACK_FPS, collect_predictions, stream_options

Progress = Callable[[float, int], None]


@dataclass(frozen=True)
class ScoredVideo:
    """One video: what is true, and the raw scores of its windows.

    Attributes:
        name: Of the video.
        truth: Segments in order of time, without overlap.
        scores: `(n, C)` float32, finite.
        starts_s, ends_s: `(n,)`, when each window starts and ends.
        restarts: `(n,)` bool: windows before which the memory is emptied.
        end_s: End of the video.
        frames_s: `(m,)`, the instants at which accuracy is counted.
    """

    name: str
    truth: tuple[Segment, ...]
    scores: npt.NDArray[np.float32]
    starts_s: Array
    ends_s: Array
    restarts: Array
    end_s: float
    frames_s: Array

    def against(self, labels: Array, scores: Array, lags_s: Array | None = None) -> AnnotatedVideo:
        """This video with what was shown: `labels`, `scores`, `lags_s` are `(n,)`."""
        shown = Shown(labels, self.ends_s, scores, float(self.starts_s[0]), self.end_s, lags_s)
        return AnnotatedVideo(self.name, self.truth, shown, self.frames_s)


def _video(
    labelled: LabelledVideo,
    scores: npt.NDArray[np.float32],
    times: tuple[Array, Array, Array],
    fps: float,
    end_s: float,
) -> ScoredVideo:
    starts_s, ends_s, restarts = times
    truth = tuple(
        s._replace(end_s=min(s.end_s, end_s)) for s in labelled.segments if s.start_s < end_s
    )
    frames_s = np.arange(round(end_s * fps)) / fps
    return ScoredVideo(labelled.uri, truth, scores, starts_s, ends_s, restarts, end_s, frames_s)


def play_videos(
    bundle: Bundle,
    videos: Sequence[LabelledVideo],
    options: SamplingOptions,
    engine: str,
    threads: int | None,
    progress: Progress,
    notify: Callable[[str], None],
) -> tuple[list[ScoredVideo], list[str]]:
    """Run the model over every video, once.

    Returns:
        The videos, and why others could not be played.

    Raises:
        SourceError: None of them can be opened and read, with a window of finite scores.
    """
    opened = open_engine(bundle, engine, threads=threads, notify=notify)
    options = stream_options(bundle.manifest.clip, options)
    scored: list[ScoredVideo] = []
    problems: list[SourceError] = []
    try:
        for number, video in enumerate(videos):

            def watch(share: float, number: int = number) -> None:
                progress(number + share, len(videos))

            try:
                scored.append(_play(bundle, video, options, borrowed(opened), watch))
            except SourceError as exc:
                problems.append(exc)
    finally:
        opened.close()
    if not scored:
        raise problems[0]
    return scored, [str(problem) for problem in problems]


def _play(
    bundle: Bundle,
    video: LabelledVideo,
    options: SamplingOptions,
    engine: Engine,
    watch: Callable[[float], None],
) -> ScoredVideo:
    with stream(
        bundle, video.uri, smooth="none", events=("none",), options=options, engine=engine
    ) as run:
        predictions, fps, frames = collect_predictions(run, watch)
    if not predictions:
        raise SourceError(f"no window of {video.uri} has finite scores")
    end_s = max(frames / fps, predictions[-1].end_s)
    scores = np.stack([p.scores for p in predictions])
    return _video(video, scores, _times(predictions), fps, end_s)


def _times(predictions: Sequence[Prediction]) -> tuple[Array, Array, Array]:
    return (
        np.array([p.start_s for p in predictions]),
        np.array([p.end_s for p in predictions]),
        np.array([p.restart for p in predictions]),
    )


def videos_of_trace(trace: Trace, videos: Sequence[LabelledVideo]) -> list[ScoredVideo]:
    """The annotated videos with the scores that a run kept of them.

    A source is found by its path, else by its file name. Accuracy is counted 25 times a
    second, up to the end of the last window.

    Raises:
        SpecError: A video is not in the trace.
    """
    scored = []
    for video in videos:
        rows = trace.rows_of(_source_of(video, trace, len(videos)))
        columns = {name: trace.columns[name][rows] for name in ("start_s", "end_s", "restart")}
        times = (columns["start_s"], columns["end_s"], columns["restart"])
        scored.append(
            _video(video, trace.scores[rows], times, FALLBACK_FPS, float(columns["end_s"][-1]))
        )
    return scored


def _source_of(video: LabelledVideo, trace: Trace, videos: int) -> str:
    if videos == len(trace.sources) == 1:
        return trace.sources[0]
    for same in (os.path.realpath, os.path.basename):
        found = [source for source in trace.sources if same(source) == same(video.uri)]
        if len(found) == 1:
            return found[0]
    raise SpecError(
        f"the trace holds no scores of {video.uri}", f"It holds {', '.join(trace.sources[:5])}"
    )
