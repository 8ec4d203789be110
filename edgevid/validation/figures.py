"""From scores to the figures of labelled clips."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgevid.evaluation import (
    calibration_bins,
    calibration_error,
    confusion_matrix,
    label_average_precision,
    mean_class_accuracy,
    per_class,
    top_k_accuracy,
    wilson_interval,
)
from edgevid.evaluation.classification import class_figures
from edgevid.types import Array
from edgevid.validation.annotations import LabelledClip
from edgevid.validation.clips import ClipScores
from edgevid.validation.results import ClassResult, ClipAnswer, ClipResults

YES = 0.5
"""A label of a multi-label model is given at this score or above."""


def clip_results(
    clips: Sequence[LabelledClip],
    answers: Sequence[ClipScores],
    labels: Sequence[str],
    multi_label: bool,
) -> ClipResults:
    """All figures of clips that were answered.

    Args:
        clips: At least one.
        answers: One for each clip.
        labels: The model's.
        multi_label: The scores are sigmoids: every label is a yes or no of its own.
    """
    scores = np.stack([a.scores for a in answers])
    if multi_label:
        return _multi_label(clips, answers, scores, labels)
    truth = np.array([c.classes[0] for c in clips], np.int64)
    predicted = scores.argmax(axis=1)
    confusion = confusion_matrix(truth, predicted, len(labels))
    right = predicted == truth
    low, high = wilson_interval(int(right.sum()), len(right))
    bins = calibration_bins(np.minimum(scores.max(axis=1), 1.0), right)
    order = np.argsort(-scores, axis=1, kind="stable")
    ranks = (order == truth[:, None]).argmax(axis=1) + 1
    names = [(labels[i],) for i in predicted]
    return ClipResults(
        clips=len(clips),
        multi_label=False,
        top1=top_k_accuracy(scores, truth),
        top1_low=low,
        top1_high=high,
        top5=top_k_accuracy(scores, truth, 5),
        mean_class_accuracy=mean_class_accuracy(confusion),
        mean_ap=None,
        calibration_error=calibration_error(bins),
        calibration=tuple(bins),
        classes=tuple(
            ClassResult(label=label, **vars(figures))
            for label, figures in zip(labels, per_class(confusion), strict=True)
        ),
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
        answers=_answers(clips, answers, labels, names, [int(r) for r in ranks]),
    )


def _multi_label(
    clips: Sequence[LabelledClip],
    answers: Sequence[ClipScores],
    scores: Array,
    labels: Sequence[str],
) -> ClipResults:
    truth = np.zeros(scores.shape, bool)
    for row, clip in zip(truth, clips, strict=True):
        row[list(clip.classes)] = True
    given = scores >= YES
    classes = []
    for i, label in enumerate(labels):
        hits = int((truth[:, i] & given[:, i]).sum())
        figures = class_figures(hits, int(truth[:, i].sum()), int(given[:, i].sum()))
        precision = label_average_precision(scores[:, i], truth[:, i])
        classes.append(ClassResult(label=label, **vars(figures), average_precision=precision))
    known = [c.average_precision for c in classes if c.average_precision is not None]
    names = [tuple(labels[int(i)] for i in np.flatnonzero(row)) for row in given]
    return ClipResults(
        clips=len(clips),
        multi_label=True,
        top1=None,
        top1_low=None,
        top1_high=None,
        top5=None,
        mean_class_accuracy=None,
        mean_ap=float(np.mean(known)) if known else None,
        calibration_error=None,
        calibration=(),
        classes=tuple(classes),
        confusion=None,
        answers=_answers(clips, answers, labels, names, [None] * len(clips)),
    )


def _answers(
    clips: Sequence[LabelledClip],
    answers: Sequence[ClipScores],
    labels: Sequence[str],
    predicted: Sequence[tuple[str, ...]],
    ranks: Sequence[int | None],
) -> tuple[ClipAnswer, ...]:
    return tuple(
        ClipAnswer(
            video=clip.listed.uri,
            start_s=clip.listed.start_s,
            end_s=clip.listed.end_s if math.isfinite(clip.listed.end_s) else None,
            labels=tuple(labels[i] for i in clip.classes),
            predicted=names,
            score=float(answer.scores.max()),
            rank=rank,
            views=answer.views,
            dropped=answer.dropped,
            padded=answer.padded,
        )
        for clip, answer, names, rank in zip(clips, answers, predicted, ranks, strict=True)
    )
