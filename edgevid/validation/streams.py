"""Labels over time of annotated videos, by sliding windows through the running pipeline."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgevid.api import stream
from edgevid.errors import SourceError
from edgevid.evaluation import BACKGROUND, AnnotatedVideo, Shown
from edgevid.manifest import Bundle
from edgevid.pipeline import SamplingOptions, SourceEnded, SourceStarted, Stream
from edgevid.protocols import Engine
from edgevid.spec import DEFAULT_WINDOW_S, ClipSpec
from edgevid.types import Array, Float32Array, Prediction
from edgevid.validation.annotations import LabelledVideo
from edgevid.validation.borrowed import borrowed

FALLBACK_FPS = 25.0
"""Frames a second at which accuracy is counted where the video does not say its rate."""


@dataclass(frozen=True)
class StreamAnswers:
    """What the model said over one video.

    Attributes:
        raw: Against the truth, window by window.
        smoothed: The same after smoothing.
        windows: Windows answered.
        dropped: Windows whose scores were NaN or infinite.
        padded: Frames repeated, as the video is shorter than a window.
        beyond: True segments that begin after the video's end; they are left out.
        notes: What the pipeline remarked.
    """

    raw: AnnotatedVideo
    smoothed: AnnotatedVideo
    windows: int
    dropped: int
    padded: int
    beyond: int
    notes: tuple[str, ...]


def play(
    bundle: Bundle,
    video: LabelledVideo,
    engine: Engine,
    options: SamplingOptions,
    smooth: str | None,
    background: int | None,
    progress: Callable[[float], None],
) -> StreamAnswers:
    """Run a model over one video.

    Args:
        options: Hop and window; see `stream_options`.
        smooth: A smoother, or None for the bundle's own, as for `edgevid.stream`.
        background: The class that means that nothing happens; None: the model has none.
        progress: Called with the share of the video that is done.

    Raises:
        SourceError: The video cannot be opened or read, or no window has finite scores.
    """
    with stream(
        bundle, video.uri, smooth=smooth, events=("none",), options=options, engine=borrowed(engine)
    ) as run:
        predictions, fps, frames = collect_predictions(run, progress)
        summary = run.summary.sources[0]
    if not predictions:
        raise SourceError(f"no window of {video.uri} has finite scores")
    end_s = max(frames / fps, predictions[-1].end_s)
    truth = [s._replace(end_s=min(s.end_s, end_s)) for s in video.segments if s.start_s < end_s]

    times_s = np.array([p.end_s for p in predictions])

    def against_truth(rows: Sequence[Float32Array], lags_s: Array | None) -> AnnotatedVideo:
        scores = np.stack(rows)
        labels = scores.argmax(axis=1)
        if background is not None:
            labels = np.where(labels == background, BACKGROUND, labels)
        shown = Shown(labels, times_s, scores.max(axis=1), predictions[0].start_s, end_s, lags_s)
        return AnnotatedVideo(video.uri, truth, shown, np.arange(frames) / fps)

    return StreamAnswers(
        raw=against_truth([p.scores for p in predictions], None),
        smoothed=against_truth(
            [p.smoothed for p in predictions], np.array([p.lag_s for p in predictions])
        ),
        windows=len(predictions),
        dropped=summary.clips_not_finite,
        padded=max(p.padded for p in predictions),
        beyond=len(video.segments) - len(truth),
        notes=tuple(summary.notes),
    )


def collect_predictions(
    run: Stream, progress: Callable[[float], None]
) -> tuple[list[Prediction], float, int]:
    """The predictions, the frame rate, and how many frames decoded."""
    predictions: list[Prediction] = []
    fps, length_s, frames = FALLBACK_FPS, math.inf, 0
    for result in run.results():
        if isinstance(result, SourceStarted):
            fps = result.info.fps or FALLBACK_FPS
            length_s = (result.info.num_frames or math.inf) / fps
        elif isinstance(result, Prediction):
            predictions.append(result)
            progress(min(result.end_s / length_s, 1.0))
        elif isinstance(result, SourceEnded):
            frames = result.stats.frames_read
    return predictions, fps, frames


def stream_options(clip: ClipSpec, options: SamplingOptions) -> SamplingOptions:
    """The options under which windows slide over files, whatever the contract's sampling."""
    if clip.sampling == "interval" or options.window_s is not None:
        return options
    return replace(options, window_s=clip.window_s or DEFAULT_WINDOW_S)
