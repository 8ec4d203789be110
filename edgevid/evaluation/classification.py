"""Figures of clips that have one true class each, or for sigmoids a set of classes.

Every figure is a share from 0 to 1. One that would divide by zero is None: the precision of
a class that was never predicted is unknown, not bad.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevid.types import Array

IntArray = npt.NDArray[np.int64]
DEFAULT_BINS = 15
"""As in Guo et al. 2017."""

_Z_95 = 1.959963984540054


@dataclass(frozen=True)
class ClassFigures:
    """One class. With TP, FP and FN the counts of the class against all others:

        precision = TP / (TP + FP)    recall = TP / (TP + FN)    F1 = 2 TP / (2 TP + FP + FN)

    (van Rijsbergen 1979, Information Retrieval, chapter 7.)

    Attributes:
        support: Clips of this class (TP + FN).
        predicted: Clips that were taken for it (TP + FP).
        precision: None where the class was never predicted.
        recall: None where there is no clip of it.
        f1: None where there is neither.
    """

    support: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class CalibrationBin:
    """Clips whose confidence lies in (low, high].

    Attributes:
        count: How many.
        confidence: Their mean confidence; None where there is none.
        accuracy: The share of them that is right; None where there is none.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


def top_k_accuracy(scores: Array, truth: IntArray, k: int = 1) -> float | None:
    """Share of the clips whose true class is among their k best scores.

    Of equal scores the class with the lower number is the better one, as for `np.argmax`.

    Args:
        scores: `(n, C)`.
        truth: `(n,)`, the true classes, from 0 to C - 1.
        k: At least 1.

    Returns:
        None where there is no clip, or where C <= k > 1: every answer would be right.
    """
    scores, truth = _checked(scores, truth)
    if not len(truth) or (k > 1 and scores.shape[1] <= k):
        return None
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float(np.mean(np.any(order == truth[:, None], axis=1)))


def confusion_matrix(truth: IntArray, predicted: IntArray, classes: int) -> IntArray:
    """`(C, C)` counts: row i, column j holds the clips of class i that were taken for j.

    Args:
        truth, predicted: `(n,)`, from 0 to C - 1.
        classes: C.

    Raises:
        ValueError: Shapes differ, or a class lies outside.
    """
    truth, predicted = np.asarray(truth, np.int64), np.asarray(predicted, np.int64)
    if truth.shape != predicted.shape or truth.ndim != 1:
        raise ValueError(f"truth is {truth.shape}, predicted {predicted.shape}")
    for name, values in (("truth", truth), ("predicted", predicted)):
        if len(values) and not (values.min() >= 0 and values.max() < classes):
            raise ValueError(f"a class in {name} is outside 0..{classes - 1}")
    counts = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def per_class(confusion: IntArray) -> list[ClassFigures]:
    """Precision, recall, F1 and support of each class of a confusion matrix `(C, C)`."""
    figures = []
    for i in range(len(confusion)):
        hits = int(confusion[i, i])
        support, predicted = int(confusion[i].sum()), int(confusion[:, i].sum())
        figures.append(class_figures(hits, support, predicted))
    return figures


def class_figures(hits: int, support: int, predicted: int) -> ClassFigures:
    """One class from its true positives, its clips and the clips taken for it."""
    return ClassFigures(
        support=support,
        predicted=predicted,
        precision=_share(hits, predicted),
        recall=_share(hits, support),
        f1=_share(2 * hits, support + predicted),
    )


def mean_class_accuracy(confusion: IntArray) -> float | None:
    """Mean recall of the classes that have clips: no class counts more for having more.

    (Balanced accuracy, Brodersen et al. 2010, ICPR.) None where there is no clip.
    """
    recalls = [f.recall for f in per_class(confusion) if f.recall is not None]
    return float(np.mean(recalls)) if recalls else None


def calibration_bins(
    confidence: Array, correct: Array, bins: int = DEFAULT_BINS
) -> list[CalibrationBin]:
    """How often answers of each confidence are right: the bars of a reliability diagram.

    M bins of equal width; bin m holds confidences in ((m - 1) / M, m / M] (Guo et al. 2017,
    arXiv:1706.04599, section 2). A confidence of 0 counts in the first.

    Args:
        confidence: `(n,)` in [0, 1]: the best score of each clip.
        correct: `(n,)` bool: whether that answer is right.
        bins: M, at least 1.

    Raises:
        ValueError: Shapes differ, or a confidence lies outside [0, 1].
    """
    confidence, correct = np.asarray(confidence, np.float64), np.asarray(correct, bool)
    if confidence.shape != correct.shape or confidence.ndim != 1:
        raise ValueError(f"confidence is {confidence.shape}, correct {correct.shape}")
    # The negation catches NaN too.
    if len(confidence) and not (confidence.min() >= 0 and confidence.max() <= 1 + 1e-6):
        raise ValueError("a confidence is outside 0..1")
    edges = np.arange(bins + 1) / bins
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    found = []
    for m in range(bins):
        inside = place == m
        count = int(inside.sum())
        found.append(
            CalibrationBin(
                low=float(edges[m]),
                high=float(edges[m + 1]),
                count=count,
                confidence=float(confidence[inside].mean()) if count else None,
                accuracy=float(correct[inside].mean()) if count else None,
            )
        )
    return found


def calibration_error(bins: list[CalibrationBin]) -> float | None:
    """Expected calibration error, from 0 to 1:

        ECE = sum over the bins of  |B| / n * |accuracy(B) - confidence(B)|

    (Guo et al. 2017, arXiv:1706.04599, equation 3; after Naeini et al. 2015.) None where
    there is no clip.
    """
    total = sum(b.count for b in bins)
    if not total:
        return None
    gaps = (
        b.count * abs(b.accuracy - b.confidence)
        for b in bins
        if b.accuracy is not None and b.confidence is not None
    )
    return sum(gaps) / total


def label_average_precision(scores: Array, truth: Array) -> float | None:
    """Average precision of one label of a multi-label model, over all clips:

        AP = sum over n of  (R_n - R_(n-1)) * P_n

    with P_n and R_n the precision and recall of the clips that score at least the n-th
    distinct score: clips of equal score stand or fall together, so their order does not
    matter. Not interpolated. (Zhu 2004, "Recall, precision and average precision"; as
    scikit-learn's `average_precision_score`, and as Charades and AVA are judged.)

    Args:
        scores: `(n,)`.
        truth: `(n,)` bool: whether the clip has the label.

    Returns:
        None where no clip has the label.
    """
    scores, truth = np.asarray(scores, np.float64), np.asarray(truth, bool)
    positives = int(truth.sum())
    if not positives:
        return None
    order = np.argsort(-scores, kind="stable")
    last_of_score = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(truth[order])[last_of_score]
    precision, recall = hits / (last_of_score + 1), hits / positives
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """95 % confidence interval of a proportion.

    Wilson's score interval (Wilson 1927, JASA 22:209), which holds what it promises at small
    counts and near 1 too (Brown, Cai & DasGupta 2001, Statistical Science 16:101).
    """
    share, z2 = successes / trials, _Z_95**2
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    spread = math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    half = _Z_95 * spread / (1 + z2 / trials)
    # At 0 and at all the formula gives 0 and 1, but for rounding.
    low = 0.0 if successes == 0 else max(middle - half, 0.0)
    return low, 1.0 if successes == trials else min(middle + half, 1.0)


def _checked(scores: Array, truth: IntArray) -> tuple[Array, IntArray]:
    scores, truth = np.asarray(scores), np.asarray(truth, np.int64)
    if scores.ndim != 2 or truth.shape != scores.shape[:1]:
        raise ValueError(f"scores are {scores.shape}, truth {truth.shape}")
    if len(truth) and not (truth.min() >= 0 and truth.max() < scores.shape[1]):
        raise ValueError(f"a true class is outside 0..{scores.shape[1] - 1}")
    return scores, truth


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
