"""Figures of classified clips, against cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.evaluation import (
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

# Six clips of three classes; clip 2 ties 0 with 1, clip 5 ties 1 with 2.
SCORES = np.array(
    [
        [0.7, 0.2, 0.1],
        [0.1, 0.8, 0.1],
        [0.4, 0.4, 0.2],
        [0.2, 0.5, 0.3],
        [0.6, 0.3, 0.1],
        [0.2, 0.4, 0.4],
    ]
)
TRUTH = np.array([0, 1, 1, 2, 0, 2])


def test_top_1_gives_a_tie_to_the_lower_class_as_argmax_does():
    assert top_k_accuracy(SCORES, TRUTH) == pytest.approx(3 / 6)
    assert top_k_accuracy(SCORES, SCORES.argmax(1)) == 1.0


def test_top_2_counts_the_second_best_and_the_lower_class_of_a_tie():
    # Clip 3 (0.5, 0.3) and 5 (0.4, 0.4) have class 2 among their best two; clip 2 has class 1.
    assert top_k_accuracy(SCORES, TRUTH, 2) == 1.0
    assert top_k_accuracy(SCORES[:1], np.array([2]), 2) == 0.0
    assert top_k_accuracy(np.array([[0.2, 0.2, 0.2]]), np.array([2]), 2) == 0.0


def test_top_k_is_unknown_without_clips_or_where_every_answer_is_right():
    assert top_k_accuracy(SCORES, TRUTH, 3) is None
    assert top_k_accuracy(np.zeros((0, 3)), np.zeros(0, int)) is None
    with pytest.raises(ValueError, match=r"outside 0\.\.2"):
        top_k_accuracy(SCORES, np.array([0, 1, 1, 2, 0, 3]))


def test_the_confusion_matrix_has_truth_in_rows():
    matrix = confusion_matrix(TRUTH, SCORES.argmax(1), 3)
    assert matrix.tolist() == [[2, 0, 0], [1, 1, 0], [0, 2, 0]]
    assert confusion_matrix(np.zeros(0, int), np.zeros(0, int), 2).tolist() == [[0, 0], [0, 0]]
    with pytest.raises(ValueError, match=r"predicted is outside 0\.\.1"):
        confusion_matrix(np.array([0]), np.array([2]), 2)
    with pytest.raises(ValueError, match="truth is"):
        confusion_matrix(np.array([0]), np.array([0, 1]), 2)


def test_per_class_figures_and_a_class_that_is_never_predicted():
    figures = per_class(np.array([[2, 0, 0], [1, 1, 0], [0, 2, 0]]))
    assert figures[0] == ClassFigures(2, 3, pytest.approx(2 / 3), 1.0, pytest.approx(4 / 5))
    assert figures[1] == ClassFigures(
        2, 3, pytest.approx(1 / 3), pytest.approx(1 / 2), pytest.approx(2 / 5)
    )
    assert figures[2] == ClassFigures(2, 0, None, 0.0, 0.0)


def test_a_class_without_clips_has_no_recall_and_does_not_count_in_the_mean():
    matrix = np.array([[3, 1, 0], [0, 0, 0], [0, 0, 0]])
    figures = per_class(matrix)
    assert figures[1] == ClassFigures(0, 1, 0.0, None, 0.0)
    assert figures[2] == ClassFigures(0, 0, None, None, None)
    assert mean_class_accuracy(matrix) == pytest.approx(3 / 4)


def test_mean_class_accuracy_weighs_classes_alike():
    assert mean_class_accuracy(np.array([[9, 1], [1, 1]])) == pytest.approx((0.9 + 0.5) / 2)
    assert mean_class_accuracy(np.eye(4, dtype=int)) == 1.0
    assert mean_class_accuracy(np.zeros((2, 2), int)) is None


def test_calibration_error_of_a_worked_case():
    # Bins (0, 0.5] and (0.5, 1]: two clips at mean 0.45, one right; three at 0.8, two right.
    confidence = np.array([0.4, 0.5, 0.7, 0.8, 0.9])
    correct = np.array([True, False, True, True, False])
    low, high = calibration_bins(confidence, correct, 2)
    assert (low.count, low.confidence, low.accuracy) == (2, pytest.approx(0.45), 0.5)
    assert (high.count, high.confidence, high.accuracy) == (
        3,
        pytest.approx(0.8),
        pytest.approx(2 / 3),
    )
    expected = 2 / 5 * 0.05 + 3 / 5 * (0.8 - 2 / 3)
    assert calibration_error([low, high]) == pytest.approx(expected)


def test_calibration_bins_own_their_upper_edge():
    bins = calibration_bins(np.array([0.0, 0.2, 0.2000001, 1.0]), np.ones(4, bool), 5)
    assert [b.count for b in bins] == [2, 1, 0, 0, 1]
    assert (bins[2].confidence, bins[2].accuracy) == (None, None)


def test_calibration_is_perfect_where_confidence_is_the_share_that_is_right():
    correct = np.array([True, True, True, False])
    assert calibration_error(calibration_bins(np.full(4, 0.75), correct)) == pytest.approx(0.0)
    assert calibration_error(calibration_bins(np.ones(3), np.ones(3, bool))) == 0.0
    assert calibration_error(calibration_bins(np.ones(3), np.zeros(3, bool))) == 1.0
    assert calibration_error(calibration_bins(np.zeros(0), np.zeros(0, bool))) is None
    with pytest.raises(ValueError, match="outside"):
        calibration_bins(np.array([np.nan]), np.array([True]))


def test_average_precision_of_a_label():
    # By falling score: right, wrong, right, wrong: (1/1 + 2/3) / 2.
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    assert label_average_precision(scores, np.array([1, 0, 1, 0])) == pytest.approx(5 / 6)
    assert label_average_precision(scores, np.array([0, 0, 0, 1])) == pytest.approx(1 / 4)
    assert label_average_precision(scores, np.array([1, 1, 1, 1])) == 1.0
    assert label_average_precision(scores, np.zeros(4)) is None


def test_equal_scores_of_a_label_stand_or_fall_together():
    # All four at once: recall 1 at precision 2/4, in whatever order.
    for truth in ([1, 1, 0, 0], [0, 0, 1, 1], [0, 1, 0, 1]):
        assert label_average_precision(np.full(4, 0.5), np.array(truth)) == pytest.approx(0.5)
    tied = label_average_precision(np.array([0.9, 0.5, 0.5, 0.1]), np.array([1, 0, 1, 0]))
    assert tied == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        # Mirrored.
        (20, 20, 0.8389, 1.0),
        (28, 29, 0.8282, 0.9939),
    ],
)
def test_wilson_interval_is_the_published_one(successes, trials, low, high):
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500), st.data())
def test_wilson_interval_holds_the_share(trials, data):
    successes = data.draw(st.integers(0, trials))
    low, high = wilson_interval(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1


CLIPS = st.integers(1, 6).flatmap(
    lambda classes: st.tuples(
        st.just(classes),
        st.lists(
            st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1)),
            min_size=1,
            max_size=40,
        ),
    )
)


@given(CLIPS, st.randoms(use_true_random=False))
def test_figures_do_not_depend_on_the_order_of_the_clips(case, random):
    classes, pairs = case
    shuffled = random.sample(pairs, len(pairs))
    one, other = (
        confusion_matrix(*np.array(clips).T, classes)  # type: ignore[misc]
        for clips in (pairs, shuffled)
    )
    assert per_class(one) == per_class(other)
    assert one.sum() == len(pairs)


@given(CLIPS)
def test_perfect_answers_score_1_and_figures_are_shares(case):
    classes, pairs = case
    truth, predicted = np.array(pairs).T
    for figures in per_class(confusion_matrix(truth, truth, classes)):
        assert figures.f1 in (1.0, None)
    matrix = confusion_matrix(truth, predicted, classes)
    for figures in per_class(matrix):
        for value in (figures.precision, figures.recall, figures.f1):
            assert value is None or 0 <= value <= 1
    assert np.trace(matrix) / len(pairs) == pytest.approx(np.mean(truth == predicted))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_every_clip_is_in_one_bin_and_the_error_is_a_share(clips):
    confidence, correct = np.array([c for c, _ in clips]), np.array([r for _, r in clips])
    bins = calibration_bins(confidence, correct)
    assert sum(b.count for b in bins) == len(clips)
    error = calibration_error(bins)
    assert error is not None
    assert 0 <= error <= 1
    for b in bins:
        assert b.confidence is None or b.low - 1e-9 <= b.confidence <= b.high + 1e-9


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=12))
def test_average_precision_equals_its_definition(clips):
    scores, truth = np.array([s for s, _ in clips]), np.array([t for _, t in clips])
    if not truth.any():
        assert label_average_precision(scores, truth) is None
        return
    expected = before = 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        taken = scores >= threshold
        recall = truth[taken].sum() / truth.sum()
        expected += (recall - before) * truth[taken].mean()
        before = recall
    assert label_average_precision(scores, truth) == pytest.approx(expected)
