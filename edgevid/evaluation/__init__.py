"""How good answers are: of clips with one label each, and of streams with labels over time."""

from edgevid.evaluation.classification import (
    CalibrationBin,
    ClassFigures,
    calibration_bins,
    calibration_error,
    confusion_matrix,
    label_average_precision,
    mean_class_accuracy,
    per_class,
    top_k_accuracy,
    wilson_interval,
)
from edgevid.evaluation.detection import average_precision, mean_average_precision
from edgevid.evaluation.segments import (
    BACKGROUND,
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
from edgevid.evaluation.streams import AnnotatedVideo, Shown, StreamFigures, judge

__all__ = [
    "BACKGROUND",
    "AnnotatedVideo",
    "CalibrationBin",
    "ClassFigures",
    "Segment",
    "SegmentCounts",
    "Shown",
    "StreamFigures",
    "average_precision",
    "calibration_bins",
    "calibration_error",
    "confusion_matrix",
    "edit_score",
    "frame_accuracy",
    "judge",
    "label_average_precision",
    "labels_at",
    "match_segments",
    "mean_average_precision",
    "mean_class_accuracy",
    "onset_delays",
    "per_class",
    "segments_of",
    "switches",
    "top_k_accuracy",
    "wilson_interval",
]
