"""Figures of labels over time, against cases worked by hand and the field's definitions."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.evaluation import (
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


def segments(text: str) -> list[Segment]:
    """One character a frame: "aab.c" is a for 2, b for 1, background for 1, c for 1."""
    return segments_of(frames(text), np.arange(len(text)), len(text))


def frames(text: str) -> np.ndarray:
    return np.array([BACKGROUND if c == "." else ord(c) for c in text], np.int64)


def test_runs_become_segments_with_their_mean_score():
    found = segments_of(
        np.array([1, 1, BACKGROUND, 2]),
        np.array([0.0, 0.5, 1.0, 2.0]),
        2.5,
        np.array([0.6, 0.8, 0.1, 0.9]),
    )
    assert [s[:3] for s in found] == [(1, 0.0, 1.0), (BACKGROUND, 1.0, 2.0), (2, 2.0, 2.5)]
    assert [s.score for s in found] == pytest.approx([0.7, 0.1, 0.9])
    assert segments_of(np.zeros(0, int), np.zeros(0), 1.0) == []


def test_labels_at_takes_the_start_and_not_the_end():
    found = [Segment(3, 1.0, 2.0), Segment(4, 2.5, 3.0)]
    at = labels_at(found, np.array([0.5, 1.0, 1.999, 2.0, 2.5, 3.0]))
    assert at.tolist() == [BACKGROUND, 3, 3, BACKGROUND, 4, BACKGROUND]
    assert labels_at([Segment(1, 0.3, 0.4)], np.array([0.1 + 0.2])).tolist() == [1]
    assert labels_at([], np.array([0.0])).tolist() == [BACKGROUND]


def test_frame_accuracy_counts_background_unless_told_otherwise():
    truth, shown = frames("aab..b"), frames("aabbbb")
    assert frame_accuracy(truth, shown) == pytest.approx(4 / 6)
    assert frame_accuracy(truth, shown, truth != BACKGROUND) == 1.0
    assert frame_accuracy(truth, frames("......")) == pytest.approx(2 / 6)
    assert frame_accuracy(truth, shown, np.zeros(6, bool)) is None


# Truth a b c; shown a b a c: one insertion, longest 4.
@pytest.mark.parametrize(
    ("truth", "shown", "score"),
    [
        ("aabbcc", "aabbcc", 1.0),
        ("aabbcc", "abbbbc", 1.0),
        ("aabbcc", "aabacc", 1 - 1 / 4),
        ("aabb", "bbaa", 0.0),
        ("aabb", "aaaa", 1 - 1 / 2),
        ("aabb", "....", 0.0),
        ("....", "....", 1.0),
        ("....", "aa..", 0.0),
        ("aa..bb", "aaaabb", 1.0),
        ("aa..aa", "aaaaaa", 1 - 1 / 2),
        ("abcd", "acbd", 1 - 2 / 4),
    ],
)
def test_edit_score_of_worked_cases(truth, shown, score):
    assert edit_score(segments(truth), segments(shown)) == pytest.approx(score)


# Against aaaabbbb: "aabbbbbb" has IoU 2/4 for a and 4/6 for b.
@pytest.mark.parametrize(
    ("truth", "shown", "overlap", "counts"),
    [
        ("aaaabbbb", "aaaabbbb", 0.5, (2, 0, 0)),
        ("aaaabbbb", "aabbbbbb", 0.5, (2, 0, 0)),
        ("aaaabbbb", "abbbbbbb", 0.5, (1, 1, 1)),
        ("aaaabbbb", "abbbbbbb", 0.25, (2, 0, 0)),
        ("aaaabbbb", "aabaabbb", 0.1, (2, 2, 0)),
        ("aaaabbbb", "cccccccc", 0.1, (0, 1, 2)),
        ("aaaabbbb", "........", 0.1, (0, 0, 2)),
        ("........", "aaaa....", 0.1, (0, 1, 0)),
        ("........", "........", 0.1, (0, 0, 0)),
        ("aaaa....", "aaaa..aa", 0.1, (1, 1, 0)),
        ("aa......", "......aa", 0.1, (0, 1, 1)),
    ],
)
def test_matched_segments_of_worked_cases(truth, shown, overlap, counts):
    assert match_segments(segments(truth), segments(shown), overlap) == SegmentCounts(*counts)


def test_the_first_shown_segment_takes_the_true_one_even_if_a_later_one_fits_better():
    # Both halves of a overlap: 3/10 and 6/10. The first takes it at 0.25, the second at 0.5.
    truth, shown = segments("aaaaaaaaaa"), segments("aaabaaaaaa")
    assert match_segments(truth, shown, 0.25) == SegmentCounts(1, 2, 0)
    assert match_segments(truth, shown, 0.5) == SegmentCounts(1, 2, 0)
    assert match_segments(truth, shown, 0.7) == SegmentCounts(0, 3, 1)


def test_f1_adds_counts_up_over_videos():
    total = SegmentCounts(3, 1, 0) + SegmentCounts(0, 1, 2)
    assert total == SegmentCounts(3, 2, 2)
    assert total.f1 == pytest.approx(6 / 10)
    precision, recall = 3 / 5, 3 / 5
    assert total.f1 == pytest.approx(2 * precision * recall / (precision + recall))
    assert SegmentCounts().f1 == 1.0
    assert SegmentCounts(0, 2, 3).f1 == 0.0


def test_onset_delays_of_worked_cases():
    truth = [Segment(1, 0.0, 4.0), Segment(2, 4.0, 8.0), Segment(3, 8.0, 10.0)]
    shown = [Segment(1, 0.8, 5.0), Segment(2, 5.0, 7.0), Segment(3, 7.0, 10.0)]
    assert onset_delays(truth, shown) == pytest.approx([0.8, 1.0, 0.0])
    # Label 2 is shown, but only after its segment; label 3 never.
    assert onset_delays(truth, [Segment(1, 2.0, 8.0), Segment(2, 8.0, 10.0)]) == [2.0, None, None]
    assert onset_delays(truth, []) == [None, None, None]
    assert onset_delays([Segment(BACKGROUND, 0.0, 1.0)], shown) == []


def test_onset_is_the_first_time_within_the_segment():
    truth = [Segment(1, 2.0, 6.0)]
    shown = [Segment(1, 0.0, 1.0), Segment(2, 1.0, 3.5), Segment(1, 3.5, 4.0), Segment(1, 5, 6)]
    assert onset_delays(truth, shown) == [1.5]
    assert onset_delays(truth, [Segment(1, 6.0, 9.0)]) == [None]
    assert onset_delays(truth, [Segment(1, 1.0, 2.0), Segment(2, 2.0, 6.0)]) == [None]


def test_switches_count_changes_of_label_the_background_too():
    assert switches(segments("aabbcc")) == 2
    assert switches(segments("a.a.a")) == 4
    assert switches(segments("aaaa")) == 0
    assert switches([]) == 0
    assert switches([Segment(1, 0.0, 1.0), Segment(1, 1.0, 2.0)]) == 0


TEXTS = st.integers(1, 24).flatmap(
    lambda n: st.tuples(*[st.text("abc.", min_size=n, max_size=n) for _ in range(2)])
)


@given(TEXTS)
def test_a_perfect_prediction_scores_1_everywhere(texts):
    truth = segments(texts[0])
    assert edit_score(truth, truth) == 1.0
    assert frame_accuracy(frames(texts[0]), labels_at(truth, np.arange(len(texts[0])))) == 1.0
    assert set(onset_delays(truth, truth)) <= {0.0}
    for overlap in (0.1, 0.25, 0.5, 1.0):
        counts = match_segments(truth, truth, overlap)
        assert counts.f1 == 1.0
        assert counts.tp == sum(s.label != BACKGROUND for s in truth)


@given(TEXTS)
def test_segments_give_the_frames_back(texts):
    for text in texts:
        assert labels_at(segments(text), np.arange(len(text))).tolist() == frames(text).tolist()


@given(TEXTS)
def test_edit_score_equals_the_recursive_definition(texts):
    truth, shown = segments(texts[0]), segments(texts[1])
    y = tuple(s.label for s in truth if s.label != BACKGROUND)
    p = tuple(s.label for s in shown if s.label != BACKGROUND)

    @cache
    def distance(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        return min(
            distance(i - 1, j) + 1,
            distance(i, j - 1) + 1,
            distance(i - 1, j - 1) + (y[i - 1] != p[j - 1]),
        )

    longest = max(len(y), len(p))
    expected = 1 - distance(len(y), len(p)) / longest if longest else 1.0
    assert edit_score(truth, shown) == pytest.approx(expected)
    assert edit_score(truth, shown) == edit_score(shown, truth)


@given(TEXTS, st.sampled_from([0.1, 0.25, 0.5]))
def test_matching_accounts_for_every_segment_and_knows_no_unit(texts, overlap):
    truth, shown = segments(texts[0]), segments(texts[1])
    counts = match_segments(truth, shown, overlap)
    assert counts.tp + counts.fn == sum(s.label != BACKGROUND for s in truth)
    assert counts.tp + counts.fp == sum(s.label != BACKGROUND for s in shown)
    scaled = [[Segment(s.label, s.start_s * 2, s.end_s * 2) for s in x] for x in (truth, shown)]
    assert match_segments(*scaled, overlap) == counts


@given(TEXTS)
def test_a_larger_overlap_never_finds_more(texts):
    truth, shown = segments(texts[0]), segments(texts[1])
    hits = [match_segments(truth, shown, overlap).tp for overlap in (0.1, 0.25, 0.5, 0.9)]
    assert hits == sorted(hits, reverse=True)


@given(TEXTS)
def test_onset_delays_equal_the_frame_by_frame_definition(texts):
    truth, shown = texts
    expected = []
    for segment in segments(truth):
        if segment.label == BACKGROUND:
            continue
        inside = range(int(segment.start_s), int(segment.end_s))
        late = [t - segment.start_s for t in inside if frames(shown)[t] == segment.label]
        expected.append(late[0] if late else None)
    assert onset_delays(segments(truth), segments(shown)) == expected
