"""Figures of labels over time: how right, how fragmented, how late, how restless.

All but the frame accuracy compare lists of segments. The published code works on one label a
frame; a segment here is [start, end), so that frames 3, 4 and 5 of label a are the segment
(a, 3, 6), and both give the same figures. Published tables show shares times 100.

References:
    Lea et al. 2017, "Temporal Convolutional Networks for Action Segmentation and Detection",
    arXiv:1611.05267: F1@k and the segmental edit score; Abu Farha & Gall 2019, "MS-TCN",
    arXiv:1903.01945, whose `eval.py` the field compares with: F1 from counts added up over
    all videos, the edit score averaged over videos, background segments left out of both.
    (That code ends the last segment of a video one frame early; here it ends with the video.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgevid.types import Array

IntArray = npt.NDArray[np.int64]

BACKGROUND = -1
"""The label of time in which nothing is annotated, or nothing is shown."""

_ROUNDING = 1e-9


class Segment(NamedTuple):
    """A label from `start_s` (inclusive) to `end_s` (exclusive).

    Attributes:
        label: Number of the class, or `BACKGROUND`.
        start_s, end_s: In seconds, or in any other unit that all segments share.
        score: Of a detection; not used for the truth.
    """

    label: int
    start_s: float
    end_s: float
    score: float = 1.0


@dataclass(frozen=True)
class SegmentCounts:
    """Segments found, found wrongly, and missed; add them up over videos.

    Attributes:
        tp, fp, fn: True positives, false positives, false negatives.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: SegmentCounts) -> SegmentCounts:
        return SegmentCounts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN), from 0 to 1; 1 where nothing is there and nothing shown."""
        whole = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / whole if whole else 1.0


def segments_of(
    labels: IntArray, times_s: Array, end_s: float, scores: Array | None = None
) -> list[Segment]:
    """Runs of equal labels as segments; the background too.

    Args:
        labels: `(n,)`: label k holds from `times_s[k]` until the next time.
        times_s: `(n,)`, increasing.
        end_s: Where the last label ends.
        scores: `(n,)`: a segment's score is the mean of its labels'; default 1.
    """
    labels, times_s = np.asarray(labels), np.asarray(times_s, np.float64)
    if not len(labels):
        return []
    firsts = np.append(0, np.flatnonzero(np.diff(labels)) + 1)
    counts = np.diff(np.append(firsts, len(labels)))
    ends = np.append(times_s[firsts[1:]], end_s)
    means = np.ones(len(firsts)) if scores is None else np.add.reduceat(scores, firsts) / counts
    return [
        Segment(int(label), float(start), float(end), float(score))
        for label, start, end, score in zip(
            labels[firsts], times_s[firsts], ends, means, strict=True
        )
    ]


def labels_at(segments: Sequence[Segment], times_s: Array) -> IntArray:
    """`(n,)`: the label at each time; `BACKGROUND` where no segment lies.

    Args:
        segments: In order of time, without overlap.
        times_s: `(n,)`.
    """
    times_s = np.asarray(times_s, np.float64)
    if not segments:
        return np.full(len(times_s), BACKGROUND, np.int64)
    starts, ends = np.array([s.start_s for s in segments]), np.array([s.end_s for s in segments])
    # A frame at 0.1 + 0.2 s is the frame at 0.3 s.
    place = np.searchsorted(starts, times_s + _ROUNDING, side="right") - 1
    inside = (place >= 0) & (times_s + _ROUNDING < ends[place])
    return np.where(inside, np.array([s.label for s in segments])[place], BACKGROUND)


def frame_accuracy(truth: IntArray, shown: IntArray, counted: Array | None = None) -> float | None:
    """Share of the frames that show their true label ("MoF" or "Acc" in the field's tables).

    Args:
        truth, shown: `(n,)`: one label a frame.
        counted: `(n,)` bool: the frames that count; default: all, the background too.

    Returns:
        None where no frame counts.
    """
    right = np.asarray(truth) == np.asarray(shown)
    if counted is not None:
        right = right[np.asarray(counted, bool)]
    return float(right.mean()) if len(right) else None


def edit_score(truth: Sequence[Segment], shown: Sequence[Segment]) -> float:
    """Whether the right labels come in the right order, whatever their timing:

        1 - D / max(|truth|, |shown|)

    with D the Levenshtein distance between the two sequences of labels: insertions,
    deletions and substitutions cost 1. Background segments are left out; two of one label
    with background between them stay two. Every extra switch costs.

    Returns:
        From 0 to 1; 1 where both are empty.
    """
    y = np.array([s.label for s in truth if s.label != BACKGROUND])
    p = np.array([s.label for s in shown if s.label != BACKGROUND])
    longest = max(len(y), len(p))
    return 1.0 - _levenshtein(y, p) / longest if longest else 1.0


def _levenshtein(a: Array, b: Array) -> int:
    """Rows of the classic table, each computed at once (Wagner & Fischer 1974)."""
    columns = np.arange(len(b) + 1)
    row = columns.copy()
    for i, label in enumerate(a, 1):
        best = np.append(i, np.minimum(row[1:] + 1, row[:-1] + (b != label)))
        # An insertion adds 1 to the cell before: a running minimum of what lies above it.
        row = np.minimum.accumulate(best - columns) + columns
    return int(row[-1])


def match_segments(
    truth: Sequence[Segment], shown: Sequence[Segment], overlap: float
) -> SegmentCounts:
    """Which shown segments meet a true one: the counts behind F1@{10, 25, 50}.

    In order of time, each shown segment is held against the true segment of its label with
    the largest intersection over union. It is a true positive where that is at least
    `overlap` and the true segment is not taken yet, else a false positive. True segments
    that nothing took are false negatives. Background segments are left out.

    Args:
        truth, shown: The segments of one video.
        overlap: 0.1, 0.25 or 0.5 for F1@10, F1@25 and F1@50.
    """
    true = [s for s in truth if s.label != BACKGROUND]
    found = [s for s in shown if s.label != BACKGROUND]
    labels = np.array([s.label for s in true])
    spans = np.array([(s.start_s, s.end_s) for s in true]).reshape(-1, 2)
    taken = np.zeros(len(true), bool)
    hits = 0
    for segment in found:
        if not len(true):
            break
        iou = np.where(labels == segment.label, temporal_iou(segment, spans), -1.0)
        best = int(iou.argmax())
        if iou[best] >= overlap and not taken[best]:
            taken[best] = True
            hits += 1
    return SegmentCounts(hits, len(found) - hits, len(true) - hits)


def temporal_iou(segment: Segment, spans: Array) -> Array:
    """Intersection over union of one segment with each of `spans` `(n, 2)`, from 0 to 1."""
    inside = np.minimum(segment.end_s, spans[:, 1]) - np.maximum(segment.start_s, spans[:, 0])
    inside = np.maximum(inside, 0.0)
    union = (segment.end_s - segment.start_s) + (spans[:, 1] - spans[:, 0]) - inside
    iou: Array = np.divide(inside, union, out=np.zeros(len(spans)), where=union > 0)
    return iou


def onset_delays(truth: Sequence[Segment], shown: Sequence[Segment]) -> list[float | None]:
    """For each true segment, how late its label is shown.

    The delay is the first time within the true segment at which its label is shown, less the
    segment's start: 0 where it is shown already. None where it is not shown within the
    segment at all: such segments are missed, and count apart. Background has no delay.

    Args:
        truth: Of one video.
        shown: Each from the moment at which it could be known: the end of its window.

    Returns:
        One for each true segment that is not background, in seconds.
    """
    labels = np.array([s.label for s in shown])
    starts, ends = np.array([s.start_s for s in shown]), np.array([s.end_s for s in shown])
    delays: list[float | None] = []
    for segment in truth:
        if segment.label == BACKGROUND:
            continue
        meets = (labels == segment.label) & (starts < segment.end_s) & (ends > segment.start_s)
        first = int(meets.argmax()) if len(meets) else 0
        late = max(float(starts[first]) - segment.start_s, 0.0) if meets.any() else None
        delays.append(late)
    return delays


def switches(segments: Sequence[Segment]) -> int:
    """How often the label changes from one segment to the next; the background is a label."""
    return sum(a.label != b.label for a, b in pairwise(segments))
