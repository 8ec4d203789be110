"""Trying settings: figures, the Pareto front, the choice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.evaluation import Segment
from edgevid.events import EventRule, EventRules
from edgevid.pipeline.decisions import Decider, Scored
from edgevid.smoothing import parse_smoother
from edgevid.tuning import ScoredVideo, Tried, choose, front, try_events, try_smoothers
from edgevid.tuning.candidates import COMPARED, event_rules, smoothers
from edgevid.tuning.search import detect, smooth

HOP_S = 0.1


def _video(labels: str, truth: str, restarts: tuple[int, ...] = ()) -> ScoredVideo:
    """A window every 0.1 s: what it says, and what is true then."""
    rows = {"a": (0.8, 0.1, 0.1), "b": (0.1, 0.8, 0.1), "c": (0.1, 0.1, 0.8), "?": (0.4, 0.3, 0.3)}
    scores = np.float32([rows[label] for label in labels])
    ends_s = np.arange(1, len(labels) + 1) * HOP_S
    runs: list[Segment] = []
    for i, name in enumerate(truth):
        label, start = "abc".index(name), i * HOP_S
        if runs and runs[-1].label == label:
            runs[-1] = runs[-1]._replace(end_s=start + HOP_S)
        else:
            runs.append(Segment(label, start, start + HOP_S))
    mask = np.isin(np.arange(len(labels)), restarts)
    end_s = float(ends_s[-1])
    frames_s = np.arange(len(truth)) * HOP_S
    return ScoredVideo("v", tuple(runs), scores, ends_s - HOP_S, ends_s, mask, end_s, frames_s)


def _try(video: ScoredVideo, *specs: str) -> list[Tried]:
    return try_smoothers([video], [(s, parse_smoother(s)) for s in specs])


def test_figures_of_a_flicker() -> None:
    video = _video("aaaabaaaabbbbbb", "aaaaaaaaabbbbbb")
    raw, voted = _try(video, "none", "vote:3")
    assert (raw.figures.switches, raw.figures.true_switches, raw.flicker) == (3, 1, 2)
    assert voted.flicker == 0
    # The vote turns one window later than the raw labels.
    assert voted.delay_s == pytest.approx(raw.delay_s + HOP_S / 2)


def test_the_same_scores_as_in_a_run_restarts_and_lags_too() -> None:
    video = _video("aab?babbca?cab", "aaaaaaabbbbccc", restarts=(5, 9))
    for spec in ("mean:3", "hmm:0.9,lag=0.3s", "mean:2+hmm:0.9,lag=2+hysteresis:0.1"):
        decider = Decider(("a", "b", "c"), parse_smoother(spec)())
        run = []
        for i, row in enumerate(video.scores):
            window = Scored(
                "v", i, float(video.starts_s[i]), float(video.ends_s[i]), row,
                restart=bool(video.restarts[i]),
            )  # fmt: skip
            run += decider.take(window)
        run += decider.finish()
        smoothed = smooth(video, parse_smoother(spec))
        np.testing.assert_array_equal(smoothed.scores, [p.smoothed for p in run])
        np.testing.assert_allclose(smoothed.lags_s, [p.lag_s for p in run], atol=1e-12)


def test_events_are_judged_from_when_they_are_told() -> None:
    video = _video("aaaaaaaaaabbbbbbbbbb", "aaaaaaaaaabbbbbbbbbb")
    rules = [EventRule(0.5, 0.5), EventRule(0.5, 0.5, min_s=0.3)]
    quick, patient = try_events([video], [("none", parse_smoother("none"))], rules)
    assert quick.figures.f1[0.5] == patient.figures.f1[0.5] == 1.0
    assert patient.delay_s == pytest.approx(quick.delay_s + 0.3)
    events = detect(smooth(video, parse_smoother("none")), EventRules([rules[0]] * 3))
    assert [(e.label, e.closed_by) for e in events if e.end_s] == [("0", "offset"), ("1", "end")]


def test_a_front_holds_what_nothing_beats() -> None:
    video = _video("aaaabaaaa?bbb?bbaccccacc", "aaaaaaaaabbbbbbbcccccccc")
    tried = _try(video, *smoothers(multi_label=False)[:120])
    worth = front(tried)
    assert worth
    for one in worth:
        assert not any(other.beats(one) for other in tried)
    for one in tried:
        same = (w for w in worth if w.beats(one) or w._costs == one._costs)
        assert next(same, None) is not None
    accuracies = [t.accuracy for t in worth]
    assert accuracies == sorted(accuracies, reverse=True)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12))
def test_the_front_does_not_depend_on_the_order(pairs) -> None:
    video = _video("aabb", "aabb")
    [base] = _try(video, "none")

    def made(accuracy: int, switches: int) -> Tried:
        from dataclasses import replace

        figures = replace(base.figures, frame_accuracy=accuracy / 4, switches=switches + 1)
        return Tried(f"{accuracy} {switches}", figures)

    one = {t.smooth for t in front([made(*p) for p in pairs])}
    other = {t.smooth for t in front([made(*p) for p in reversed(pairs)])}
    assert one == other


def test_the_choice_is_steady_and_no_less_accurate() -> None:
    video = _video("aaaabaaaabbbbbbbbbb", "aaaaaaaaabbbbbbbbbb")
    tried = _try(video, *smoothers(multi_label=False))
    chosen = choose(tried, tried[0])
    assert chosen.accuracy >= tried[0].accuracy
    assert chosen.flicker == 0
    fast = choose(tried, tried[0], max_delay_s=tried[0].delay_s)
    assert fast.delay_s <= tried[0].delay_s


def test_hundreds_are_tried_and_multi_label_models_take_no_votes() -> None:
    all_, some = smoothers(False), smoothers(True)
    assert len(all_) >= 500
    assert len(set(all_)) == len(all_)
    assert set(COMPARED) <= set(all_)
    for spec in all_:
        parse_smoother(spec)
    for spec in some:
        parse_smoother(spec, multi_label=True)
    assert len(event_rules()) >= 50
