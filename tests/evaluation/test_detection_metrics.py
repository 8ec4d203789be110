"""Mean average precision of segments, against cases worked by hand and a slow definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.evaluation import BACKGROUND, Segment, average_precision, mean_average_precision
from edgevid.evaluation.detection import OVERLAPS

TRUTH = {"one": [Segment(0, 0, 10), Segment(0, 20, 30)], "two": [Segment(0, 5, 15)]}


def test_perfect_detections_score_1_whatever_their_scores():
    found = {
        "one": [Segment(0, 0, 10, 0.2), Segment(0, 20, 30, 0.9)],
        "two": [Segment(0, 5, 15, 0.5)],
    }
    assert average_precision(TRUTH, found, 0.7) == pytest.approx(1.0)


def test_interpolated_precision_of_a_worked_case():
    # By falling score: right, wrong, right; the third true segment is missed.
    # Recall 1/3, 1/3, 2/3; precision 1, 1/2, 2/3: AP = 1/3 * 1 + 1/3 * 2/3.
    found = {
        "one": [Segment(0, 0, 10, 0.9), Segment(0, 40, 50, 0.8)],
        "two": [Segment(0, 5, 14, 0.7)],
    }
    assert average_precision(TRUTH, found, 0.5) == pytest.approx(1 / 3 + 2 / 9)


def test_a_precision_that_rises_later_counts_from_before():
    # Wrong, right, right: precision 0, 1/2, 2/3; both steps of recall count 2/3.
    found = {"one": [Segment(0, 40, 50, 0.9), Segment(0, 0, 10, 0.8), Segment(0, 20, 30, 0.7)]}
    assert average_precision({"one": TRUTH["one"]}, found, 0.5) == pytest.approx(2 / 3)


def test_a_true_segment_is_found_once_by_the_best_score():
    # Two detections of the first segment: the better-scored one is right although it fits less.
    found = {"one": [Segment(0, 0, 10, 0.5), Segment(0, 0, 6, 0.9)]}
    assert average_precision(TRUTH, found, 0.5) == pytest.approx(1 / 3)
    assert average_precision({"one": [Segment(0, 0, 10)]}, found, 0.7) == pytest.approx(1 / 2)


def test_a_detection_takes_the_free_segment_with_the_largest_overlap():
    truth = {"v": [Segment(0, 0, 10), Segment(0, 4, 14)]}
    found = {"v": [Segment(0, 3, 13, 0.9), Segment(0, 0, 10, 0.8)]}
    assert average_precision(truth, found, 0.5) == pytest.approx(1.0)
    # Both are nearest to the second; the later one takes the first, which still overlaps.
    found = {"v": [Segment(0, 4, 14, 0.9), Segment(0, 3, 13, 0.8)]}
    assert average_precision(truth, found, 0.5) == pytest.approx(1.0)
    assert average_precision(truth, found, 0.6) == pytest.approx(1 / 2)


def test_no_detection_no_truth_and_another_video():
    assert average_precision(TRUTH, {}, 0.5) == 0.0
    assert average_precision({}, {"one": [Segment(0, 0, 1)]}, 0.5) is None
    assert average_precision(TRUTH, {"three": [Segment(0, 0, 10)]}, 0.1) == 0.0


def test_equal_scores_keep_the_order_given():
    truth = {"v": [Segment(0, 0, 10)]}
    right, wrong = Segment(0, 0, 10, 0.5), Segment(0, 20, 30, 0.5)
    assert average_precision(truth, {"v": [right, wrong]}, 0.5) == 1.0
    assert average_precision(truth, {"v": [wrong, right]}, 0.5) == 0.5


def test_the_mean_is_over_the_classes_of_the_truth_without_background():
    truth = {"v": [Segment(0, 0, 10), Segment(1, 10, 20), Segment(BACKGROUND, 20, 30)]}
    found = {"v": [Segment(0, 0, 10, 0.9), Segment(2, 10, 20, 0.8), Segment(BACKGROUND, 20, 30)]}
    assert mean_average_precision(truth, found) == dict.fromkeys(OVERLAPS, 0.5)
    assert mean_average_precision({}, found, [0.5]) == {0.5: None}


def test_overlap_decides():
    # IoU 5/10: right up to 0.5.
    means = mean_average_precision({"v": [Segment(0, 0, 10)]}, {"v": [Segment(0, 0, 5)]})
    assert [means[o] for o in OVERLAPS] == [1, 1, 1, 1, 1, 0, 0]


SEGMENTS = st.lists(
    st.builds(
        lambda start, length, score: Segment(0, start, start + length, score / 10),
        st.integers(0, 12),
        st.integers(1, 6),
        st.integers(0, 10),
    ),
    max_size=6,
)
VIDEOS = st.dictionaries(st.sampled_from("ab"), SEGMENTS)


def by_hand(truth, found, overlap):
    """The definition, one detection at a time, without arrays."""
    positives = sum(map(len, truth.values()))
    ranked = [(v, s) for v in found for s in found[v]]
    ranked.sort(key=lambda item: item[1].score, reverse=True)
    free = {v: list(range(len(truth[v]))) for v in truth}
    points, right = [], 0
    for rank, (video, segment) in enumerate(ranked, 1):
        ious = {}
        for i in free.get(video, []):
            t = truth[video][i]
            inside = max(0, min(t.end_s, segment.end_s) - max(t.start_s, segment.start_s))
            union = t.end_s - t.start_s + segment.end_s - segment.start_s - inside
            ious[i] = inside / union
        best = max(ious, key=ious.__getitem__, default=None)
        if best is not None and ious[best] >= overlap:
            free[video].remove(best)
            right += 1
        points.append((right / positives, right / rank))
    area = before = 0.0
    for i, (recall, _) in enumerate(points):
        area += (recall - before) * max(precision for _, precision in points[i:])
        before = recall
    return area


@given(VIDEOS, VIDEOS, st.sampled_from(OVERLAPS))
def test_average_precision_equals_the_definition(truth, found, overlap):
    if not any(truth.values()):
        assert average_precision(truth, found, overlap) is None
        return
    assert average_precision(truth, found, overlap) == pytest.approx(by_hand(truth, found, overlap))


@given(VIDEOS, VIDEOS, st.floats(0.1, 1.0))
def test_only_the_order_of_the_scores_matters(truth, found, factor):
    scaled = {v: [s._replace(score=s.score * factor / 2) for s in found[v]] for v in found}
    assert average_precision(truth, found, 0.5) == average_precision(truth, scaled, 0.5)
