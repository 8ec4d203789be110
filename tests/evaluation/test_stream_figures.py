"""All figures of annotated videos at once, against one case worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgevid.evaluation import BACKGROUND, AnnotatedVideo, Segment, Shown, StreamFigures, judge

# Ten seconds at 2 frames a second. Windows of 1 s end at 1, 2, ... 9 s:
#   truth   a a a a b b b b . .      (one character a second)
#   shown   a a a a a b a b b b      (the first window's label from its start)
TRUTH = [Segment(0, 0.0, 4.0), Segment(1, 4.0, 8.0)]
LABELS = np.array([0, 0, 0, 0, 1, 0, 1, 1, 1])
SHOWN = Shown(LABELS, np.arange(1.0, 10.0), np.full(9, 0.5), 0.0, 10.0)
VIDEO = AnnotatedVideo("v", TRUTH, SHOWN, np.arange(20) / 2)


def test_every_figure_of_a_worked_case():
    assert judge([VIDEO]) == StreamFigures(
        videos=1,
        segments=2,
        duration_s=10.0,
        frames=20,
        # Wrong: seconds 4, 6, 8 and 9.
        frame_accuracy=pytest.approx(12 / 20),
        # IoU of a with 0..5: 4/5; of b with 5..6: 1/4; of b with 7..10: 1/6; a at 6..7 none.
        f1={
            0.1: pytest.approx(2 * 2 / (2 * 2 + 2 + 0)),
            0.25: pytest.approx(2 * 2 / (2 * 2 + 2 + 0)),
            0.5: pytest.approx(2 * 1 / (2 * 1 + 3 + 1)),
        },
        # a b against a b a b.
        edit_score=pytest.approx(1 - 2 / 4),
        # a: its first detection is right up to 0.8. b: of two equal scores the first is right
        # up to 0.25; the second from 0.1 only.
        mean_ap={
            0.1: pytest.approx(1.0),
            0.2: pytest.approx(1.0),
            **{o: pytest.approx(0.5) for o in (0.3, 0.4, 0.5, 0.6, 0.7)},
        },
        # a is known at 1 s; b, true from 4 s, at 5 s.
        onset_delay_s=pytest.approx(1.0),
        max_onset_delay_s=pytest.approx(1.0),
        missed=0,
        switches=3,
        # a to b, b to nothing.
        true_switches=2,
        switches_per_minute=pytest.approx(18.0),
        true_switches_per_minute=pytest.approx(12.0),
    )


def test_frames_without_annotation_do_not_count_for_a_model_that_always_names_a_class():
    figures = judge([VIDEO], background=False)
    assert (figures.frames, figures.frame_accuracy) == (16, pytest.approx(12 / 16))


def test_background_shown_is_right_where_nothing_is_annotated():
    labels = np.where(np.arange(1, 10) >= 8, BACKGROUND, np.array([0] * 3 + [1] * 6))
    shown = Shown(labels, np.arange(1.0, 10.0), np.full(9, 0.5), 0.0, 10.0)
    figures = judge([AnnotatedVideo("v", TRUTH, shown, np.arange(20) / 2)])
    assert figures.frame_accuracy == 1.0
    assert (figures.switches, figures.true_switches) == (2, 2)
    assert figures.f1 == {0.1: 1.0, 0.25: 1.0, 0.5: 1.0}
    assert figures.onset_delay_s == pytest.approx(0.5)


def test_a_lag_delays_the_onset_and_not_the_label():
    late = Shown(LABELS, np.arange(1.0, 10.0), np.full(9, 0.5), 0.0, 10.0, np.full(9, 0.5))
    at_once, later = judge([VIDEO]), judge([AnnotatedVideo("v", TRUTH, late, np.arange(20) / 2)])
    assert later.onset_delay_s == pytest.approx(1.5)
    assert (later.frame_accuracy, later.f1) == (at_once.frame_accuracy, at_once.f1)


def test_missed_segments_count_apart_from_the_delay():
    shown = Shown(np.zeros(3, int), np.array([2.0, 4.0, 6.0]), np.ones(3), 0.0, 10.0)
    figures = judge([AnnotatedVideo("v", TRUTH, shown, np.arange(10.0))])
    assert (figures.missed, figures.onset_delay_s) == (1, 2.0)


def test_videos_add_up_and_their_order_does_not_matter():
    other = AnnotatedVideo("w", TRUTH, Shown(LABELS[:0], *[np.zeros(0)] * 2, 0, 10), np.arange(10))
    figures = judge([VIDEO, other])
    assert figures == judge([other, VIDEO])
    assert (figures.videos, figures.segments, figures.missed) == (2, 4, 2)
    assert figures.duration_s == 20.0
    # The other shows nothing: right where nothing is annotated, in 2 of its 10 frames.
    assert figures.frame_accuracy == pytest.approx((12 + 2) / 30)
    assert figures.edit_score == pytest.approx((0.5 + 0.0) / 2)


def test_no_video_at_all():
    figures = judge([])
    assert (figures.videos, figures.frame_accuracy, figures.edit_score) == (0, None, None)
    assert (figures.switches_per_minute, figures.onset_delay_s) == (None, None)
    assert set(figures.mean_ap.values()) == {None}
