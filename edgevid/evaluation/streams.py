"""All figures of labels over time, over several annotated videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgevid.evaluation.detection import mean_average_precision
from edgevid.evaluation.segments import (
    BACKGROUND,
    IntArray,
    Segment,
    SegmentCounts,
    edit_score,
    frame_accuracy,
    labels_at,
    match_segments,
    onset_delays,
    segments_of,
    switches,
)
from edgevid.types import Array

F1_OVERLAPS = (0.1, 0.25, 0.5)


@dataclass(frozen=True)
class Shown:
    """What was shown over one video: label k from `times_s[k]` until the next.

    Attributes:
        labels: `(n,)` int, the class shown, or `BACKGROUND`.
        times_s: `(n,)`, the end of each window: when its label could be known at the earliest.
        scores: `(n,)`, the score of the label shown.
        start_s: Start of the first window.
        end_s: End of the video.
        lags_s: `(n,)`, how much later than `times_s` each was known; None: not later. A
            smoother with a lag judges a window when it has seen those after it: the label is
            of `times_s`, the delay is counted from when it was known.
    """

    labels: IntArray
    times_s: Array
    scores: Array
    start_s: float
    end_s: float
    lags_s: Array | None = None

    @property
    def segments(self) -> list[Segment]:
        """Runs of labels. Those of the first window hold from its start, as `run` shows them."""
        times_s = np.append(self.start_s, self.times_s[1:])[: len(self.labels)]
        return segments_of(self.labels, times_s, self.end_s, self.scores)

    @property
    def known(self) -> list[Segment]:
        """The same, the first from the moment at which it could be known."""
        times_s = self.times_s if self.lags_s is None else self.times_s + self.lags_s
        return segments_of(self.labels, times_s, self.end_s, self.scores)


@dataclass(frozen=True)
class AnnotatedVideo:
    """One video: what is true and what was shown.

    Attributes:
        name: Of the video, the only one of that name.
        truth: Segments in order of time, without overlap; the rest is background.
        shown: The model's answers.
        frames_s: `(n,)`, presentation times of the frames that the frame accuracy counts.
    """

    name: str
    truth: Sequence[Segment]
    shown: Shown
    frames_s: Array


@dataclass(frozen=True)
class StreamFigures:
    """How good labels over time are. Shares are from 0 to 1.

    Attributes:
        videos, segments: How many videos, and true segments in them (not background).
        duration_s: Of all videos together.
        frames: Frames that the frame accuracy counts.
        frame_accuracy: Share of the frames that show their true label.
        f1: Segmental F1 by overlap: 0.1, 0.25 and 0.5.
        edit_score: Mean over the videos.
        mean_ap: mAP by overlap, from 0.1 to 0.7.
        onset_delay_s: Mean delay of the segments that are shown at all.
        max_onset_delay_s: The largest of these.
        missed: True segments whose label is not shown within them.
        switches, true_switches: Changes of label shown, and in the truth.
        switches_per_minute, true_switches_per_minute: The same by time.
    """

    videos: int
    segments: int
    duration_s: float
    frames: int
    frame_accuracy: float | None
    f1: dict[float, float]
    edit_score: float | None
    mean_ap: dict[float, float | None]
    onset_delay_s: float | None
    max_onset_delay_s: float | None
    missed: int
    switches: int
    true_switches: int
    switches_per_minute: float | None
    true_switches_per_minute: float | None


def judge(videos: Sequence[AnnotatedVideo], background: bool = True) -> StreamFigures:
    """Every figure of labels over time.

    Args:
        videos: With distinct names.
        background: Frames without an annotation count in the frame accuracy, and are right
            where nothing (`BACKGROUND`) is shown. False for a model that always names a
            class: such frames then do not count.
    """
    shown = [v.shown.segments for v in videos]
    frames = [_frame_labels(v, background) for v in videos]
    truth_labels, shown_labels = np.concatenate([np.zeros((2, 0), np.int64), *frames], axis=1)
    delays = [d for v in videos for d in onset_delays(v.truth, v.shown.known)]
    on_time = [d for d in delays if d is not None]
    duration_s = sum(v.shown.end_s - v.shown.start_s for v in videos)
    changes = sum(switches(segments) for segments in shown)
    true_changes = sum(switches(with_background(v.truth, v.shown)) for v in videos)
    edits = [edit_score(v.truth, segments) for v, segments in zip(videos, shown, strict=True)]
    return StreamFigures(
        videos=len(videos),
        segments=len(delays),
        duration_s=duration_s,
        frames=len(truth_labels),
        frame_accuracy=frame_accuracy(truth_labels, shown_labels),
        f1={overlap: _f1(videos, shown, overlap) for overlap in F1_OVERLAPS},
        edit_score=float(np.mean(edits)) if edits else None,
        mean_ap=mean_average_precision(
            {v.name: v.truth for v in videos},
            {v.name: segments for v, segments in zip(videos, shown, strict=True)},
        ),
        onset_delay_s=float(np.mean(on_time)) if on_time else None,
        max_onset_delay_s=max(on_time) if on_time else None,
        missed=len(delays) - len(on_time),
        switches=changes,
        true_switches=true_changes,
        switches_per_minute=changes / duration_s * 60 if duration_s > 0 else None,
        true_switches_per_minute=true_changes / duration_s * 60 if duration_s > 0 else None,
    )


def with_background(truth: Sequence[Segment], shown: Shown) -> list[Segment]:
    """The truth with a background segment wherever nothing is annotated."""
    whole: list[Segment] = []
    at = shown.start_s
    for segment in truth:
        if segment.start_s > at:
            whole.append(Segment(BACKGROUND, at, segment.start_s))
        whole.append(segment)
        at = segment.end_s
    if at < shown.end_s:
        whole.append(Segment(BACKGROUND, at, shown.end_s))
    return whole


def _frame_labels(video: AnnotatedVideo, background: bool) -> IntArray:
    """`(2, n)`: the true and the shown label of each frame that counts."""
    truth = labels_at(video.truth, video.frames_s)
    shown = labels_at(video.shown.segments, video.frames_s)
    counted = np.full(len(truth), True) if background else truth != BACKGROUND
    return np.stack([truth[counted], shown[counted]])


def _f1(
    videos: Sequence[AnnotatedVideo], shown: Sequence[Sequence[Segment]], overlap: float
) -> float:
    counts = (
        match_segments(v.truth, segments, overlap)
        for v, segments in zip(videos, shown, strict=True)
    )
    return sum(counts, SegmentCounts()).f1
