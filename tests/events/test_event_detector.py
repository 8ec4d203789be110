"""When events begin and end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.events import EventDetector, EventRule, EventRules
from edgevid.types import Event

STEP_S = 0.1


def _detect(rule: EventRule, scores: list[float], finish: bool = True) -> list[Event]:
    detector = EventDetector("cam", ["wave"], EventRules([rule]))
    events = [
        e
        for i, score in enumerate(scores)
        for e in detector.update(np.float32([score]), round(i * STEP_S, 6))
    ]
    return events + (detector.finish() if finish else [])


def _spans(events: list[Event]) -> list[tuple[float, float | None]]:
    return [(round(e.start_s, 6), None if e.end_s is None else round(e.end_s, 6)) for e in events]


def test_onset_and_offset_differ() -> None:
    events = _detect(EventRule(0.6, 0.4), [0.5, 0.6, 0.5, 0.45, 0.39, 0.5, 0.59])
    assert _spans(events) == [(0.1, None), (0.1, 0.4)]
    start, end = events
    assert (start.decided_s, end.decided_s) == (0.1, 0.4)
    assert (start.peak_score, end.peak_score) == pytest.approx((0.6, 0.6))
    assert end.mean_score == pytest.approx((0.6 + 0.5 + 0.45) / 3)
    assert (start.index, end.index, start.closed_by, end.closed_by) == (0, 0, None, "offset")


def test_short_ones_are_left_out_and_long_ones_told_once_they_are_long() -> None:
    events = _detect(EventRule(0.5, 0.5, min_s=0.3), [0.9, 0.9, 0, 0.9, 0.9, 0.9, 0.9, 0.9, 0])
    assert _spans(events) == [(0.3, None), (0.3, 0.8)]
    assert events[0].decided_s == pytest.approx(0.6)


def test_an_event_as_long_as_the_minimum_counts_to_the_window_that_ends_it() -> None:
    events = _detect(EventRule(0.5, 0.5, min_s=0.3), [0.9, 0.9, 0.9, 0])
    assert _spans(events) == [(0.0, None), (0.0, 0.3)]


def test_near_ones_are_one() -> None:
    scores = [0.9, 0.1, 0.2, 0.8, 0.1, 0.1, 0.1, 0.1, 0.9]
    events = _detect(EventRule(0.5, 0.5, merge_s=0.2), scores)
    assert _spans(events) == [(0.0, None), (0.0, 0.4), (0.8, None), (0.8, 0.8)]
    # What lies between counts in the mean; the end is known once nothing can follow.
    assert events[1].mean_score == pytest.approx((0.9 + 0.1 + 0.2 + 0.8) / 4)
    assert events[1].decided_s == pytest.approx(0.6)
    assert events[3].closed_by == "end"


def test_one_that_comes_back_too_late_is_another() -> None:
    detector = EventDetector("cam", ["wave"], EventRules([EventRule(0.5, 0.5, merge_s=0.3)]))
    told = [detector.update(np.float32([s]), t) for s, t in [(0.9, 0), (0.1, 1), (0.9, 9)]]
    assert _spans([e for events in told for e in events]) == [(0, None), (0, 1), (9, None)]
    assert [e.index for e in told[2]] == [0, 1]


def test_scores_at_the_limits_in_float32() -> None:
    assert _spans(_detect(EventRule(0.7, 0.7), [0.7, 0.7, 0.7])) == [(0.0, None), (0.0, 0.2)]


def test_several_labels_at_once_each_by_its_rule() -> None:
    rules = EventRules([EventRule(0.5), EventRule(0.9, 0.9), None])
    detector = EventDetector("cam", ["a", "b", "c"], rules)
    first = detector.update(np.float32([0.6, 0.95, 1.0]), 1.0)
    assert [(e.label, e.index) for e in first] == [("a", 0), ("b", 1)]
    second = detector.update(np.float32([0.6, 0.8, 1.0]), 2.0)
    assert [(e.label, e.end_s) for e in second] == [("b", 2.0)]
    assert [(e.label, e.end_s, e.closed_by) for e in detector.finish("gap")] == [("a", 2.0, "gap")]
    assert detector.finish() == []


def _by_definition(rule: EventRule, scores: list[float]) -> list[tuple[float, float, float, float]]:
    """Start, end, peak and mean, from the whole list at once."""
    times = [round(i * STEP_S, 6) for i in range(len(scores))]
    runs: list[list[int]] = []  # first window, and the one that is off
    on = False
    for i, score in enumerate(np.float32(scores)):
        if not on and score >= np.float32(rule.onset):
            runs.append([i, len(scores)])
            on = True
        elif on and score < np.float32(rule.offset):
            runs[-1][1] = i
            on = False
    merged: list[list[int]] = []
    for first, off in runs:
        if merged and times[first] - times[merged[-1][1]] <= rule.merge_s + 1e-6:
            merged[-1][1] = off
        else:
            merged.append([first, off])
    found = []
    for first, off in merged:
        end = times[min(off, len(times) - 1)]
        if end - times[first] >= rule.min_s - 1e-6:
            inside = np.float32(scores[first:off])
            found.append((times[first], end, float(inside.max()), float(inside.mean())))
    return found


@given(
    scores=st.lists(st.integers(0, 10).map(lambda n: n / 10), max_size=60),
    onset=st.integers(1, 10),
    drop=st.integers(0, 5),
    min_steps=st.integers(0, 6),
    merge_steps=st.integers(0, 6),
)
def test_equals_the_definition(scores, onset, drop, min_steps, merge_steps) -> None:
    rule = EventRule(
        onset / 10, max(onset - drop, 0) / 10, min_steps * STEP_S, merge_steps * STEP_S
    )
    events = _detect(rule, scores)
    ended = [e for e in events if e.end_s is not None]
    got = [(round(e.start_s, 6), round(e.end_s or 0, 6), e.peak_score, e.mean_score) for e in ended]
    expected = _by_definition(rule, scores)
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        assert one == pytest.approx(other, abs=1e-6)
    # Every event is told twice, its beginning first, under one number.
    told = [(e.index, e.end_s is None) for e in events]
    assert sorted(told) == [(i, begins) for i in range(len(ended)) for begins in (False, True)]
    assert all(told.index((i, True)) < told.index((i, False)) for i in range(len(ended)))
