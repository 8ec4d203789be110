"""Mean average precision of detected segments, as ActivityNet defines it.

Reference: Caba Heilbron et al. 2015, "ActivityNet", and the published `eval_detection.py` of
the ActivityNet challenge, which follows the VOC 2011 development kit (Everingham et al.).
THUMOS'14 is reported with the same code at overlaps from 0.1 to 0.7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgevid.evaluation.segments import BACKGROUND, Segment, temporal_iou
from edgevid.types import Array

OVERLAPS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)

Videos = Mapping[str, Sequence[Segment]]
"""Segments by the name of their video."""


def average_precision(truth: Videos, found: Videos, overlap: float) -> float | None:
    """Interpolated average precision of the detections of one class.

    Detections of all videos are taken by falling score; of equal scores, in the order given.
    A detection is right where a true segment of its video overlaps it by an intersection
    over union of at least `overlap` and is not taken by a better-scored one: it takes the one
    with the largest overlap that is free. With the precision P and the recall R after each
    detection, P is replaced by its maximum at this recall or a larger one, and

        AP = sum over n of  (R_n - R_(n-1)) * P_n

    Args:
        truth: The true segments of the class.
        found: The detections of the class, with scores.
        overlap: At least this IoU.

    Returns:
        From 0 to 1; None where there is no true segment.
    """
    positives = sum(len(segments) for segments in truth.values())
    if not positives:
        return None
    ranked = sorted(
        ((video, segment) for video, segments in found.items() for segment in segments),
        key=lambda item: -item[1].score,
    )
    free = {video: np.ones(len(segments), bool) for video, segments in truth.items()}
    spans = {
        video: np.array([(s.start_s, s.end_s) for s in segments]).reshape(-1, 2)
        for video, segments in truth.items()
    }
    right = [
        video in spans and _take(free[video], temporal_iou(segment, spans[video]), overlap)
        for video, segment in ranked
    ]
    return _interpolated(np.array(right, bool), positives)


def _take(free: Array, iou: Array, overlap: float) -> bool:
    """Take the free true segment that overlaps most, if it does so by enough."""
    candidates = np.where(free, iou, -1.0)
    if not len(candidates) or candidates.max() < overlap:
        return False
    free[candidates.argmax()] = False
    return True


def _interpolated(right: Array, positives: int) -> float:
    hits = np.cumsum(right)
    precision, recall = hits / np.arange(1, len(right) + 1), hits / positives
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope))


def mean_average_precision(
    truth: Videos, found: Videos, overlaps: Sequence[float] = OVERLAPS
) -> dict[float, float | None]:
    """mAP at each overlap: the mean over the classes that have true segments.

    Background segments are left out. The values are None where there is no true segment.
    """
    classes = sorted({s.label for segments in truth.values() for s in segments} - {BACKGROUND})
    means: dict[float, float | None] = {}
    for overlap in overlaps:
        values = [
            average_precision(_only(truth, label), _only(found, label), overlap)
            for label in classes
        ]
        means[overlap] = float(np.mean([v for v in values if v is not None])) if values else None
    return means


def _only(videos: Videos, label: int) -> dict[str, list[Segment]]:
    return {name: [s for s in segments if s.label == label] for name, segments in videos.items()}
