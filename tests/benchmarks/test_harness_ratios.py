"""Which of two is faster: verdicts that do not say more than the samples do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.benchmarks.harness.ratios import independent_ratio, paired_ratio
from edgevid.benchmarks.harness.statistics import Interval, interval_of_rounds
from edgevid.errors import SpecError

rounds = st.lists(
    st.tuples(st.floats(0.1, 100), st.floats(0.1, 100), st.floats(0.1, 10)), min_size=6, max_size=30
)


def run_of(values) -> Interval:
    """The interval that a run of such rounds states."""
    return interval_of_rounds([[v] for v in values], "mean").of_another_run()


@given(rounds)
def test_a_ratio_turned_round_is_its_inverse(values):
    a, b, _ = np.array(values).T
    apart = independent_ratio(run_of(a), run_of(b)), independent_ratio(run_of(b), run_of(a))
    for there, back in ((paired_ratio(a, b), paired_ratio(b, a)), apart):
        assert there.value == pytest.approx(1 / back.value, rel=1e-6)
        assert there.low == pytest.approx(1 / back.high, rel=1e-6)
        assert there.low <= there.value * (1 + 1e-9) <= there.high * (1 + 2e-9)
    rate = paired_ratio(1 / a, 1 / b, times=False)
    assert rate.value == pytest.approx(paired_ratio(a, b).value)
    rate = independent_ratio(run_of(a), run_of(b), times=False)
    assert rate.value == pytest.approx(apart[1].value)
    assert rate.low == pytest.approx(apart[1].low)


@given(rounds)
def test_what_slows_a_whole_round_cancels_out_of_pairs(values):
    a, b, slow = np.array(values).T
    assert paired_ratio(a * slow, b * slow).value == pytest.approx(paired_ratio(a, b).value)


def test_equal_things_are_called_different_in_at_most_one_of_20_tries():
    rng = np.random.default_rng(2)
    wrong = {"paired": 0, "independent": 0}
    for _ in range(600):
        drift = np.cumsum(rng.normal(0, 0.02, 12))
        a, b = (np.exp(drift + 0.01 * rng.standard_t(2, 12)) for _ in range(2))
        wrong["paired"] += paired_ratio(a, b).verdict != "no difference seen"
        a, b = np.exp(rng.normal(0, 0.05, (2, 12)))
        verdict = independent_ratio(run_of(a), run_of(b)).verdict
        wrong["independent"] += verdict != "no difference seen"
    assert max(wrong.values()) / 600 <= 0.07


def test_pairs_see_three_percent_that_drift_would_hide():
    rng = np.random.default_rng(4)
    seen = hidden = 0
    for _ in range(50):
        drift = np.cumsum(rng.normal(0, 0.05, 12))
        a = np.exp(drift + rng.normal(0, 0.01, 12))
        b = np.exp(drift + rng.normal(0, 0.01, 12)) / 1.03
        found = paired_ratio(a, b)
        seen += found.verdict == "faster"
        assert found.low < 1.03 * 1.02
        hidden += independent_ratio(run_of(a), run_of(b)).verdict == "no difference seen"
    assert seen >= 48
    assert hidden >= 40


def test_the_interval_holds_the_true_ratio():
    rng = np.random.default_rng(9)
    inside = 0
    for _ in range(400):
        a, b = np.exp(rng.normal(0, 0.05, (2, 10)))
        found = paired_ratio(a, b / 1.1)
        inside += found.low <= 1.1 <= found.high
    assert 0.93 <= inside / 400 <= 0.99


def test_a_disturbed_round_moves_the_answer_little():
    a, b = np.full(16, 10.0), np.full(16, 8.0) + np.arange(16) * 0.001
    b[4] = 80.0
    found = paired_ratio(a, b)
    assert found.value == pytest.approx(1.25, rel=0.01)
    assert found.verdict == "faster"


def test_five_rounds_are_too_few_and_six_are_enough():
    a, b = np.arange(1.0, 7), np.arange(1.0, 7) / 2
    few = paired_ratio(a[:5], b[:5])
    assert (few.verdict, few.low, few.high) == ("too few rounds", None, None)
    assert few.value == pytest.approx(2)
    assert paired_ratio(a, b).verdict == "faster"


def test_many_rounds_agree_with_the_exact_count():
    rng = np.random.default_rng(1)
    a, b = np.exp(rng.normal(0, 0.1, (2, 61)))
    exact, close = paired_ratio(a[:60], b[:60]), paired_ratio(a, b)
    assert close.high / close.low == pytest.approx(exact.high / exact.low, rel=0.02)


def test_figures_without_a_ratio_are_one_line():
    with pytest.raises(SpecError, match="3 rounds cannot be paired with 2"):
        paired_ratio([1, 2, 3], [1, 2])
    with pytest.raises(SpecError, match="not positive"):
        paired_ratio([1, 0], [1, 2])
    with pytest.raises(SpecError, match="no rounds"):
        paired_ratio([], [])
    with pytest.raises(SpecError, match="not positive"):
        independent_ratio(Interval(value=0, low=0, high=1), run_of([1, 2]))


def test_an_interval_that_reaches_down_to_nothing_is_wide_on_that_side_alone():
    wide = Interval(value=1.0, low=0.0, high=2.0)
    assert independent_ratio(wide, Interval(value=5.0, low=4.9, high=5.1)).verdict == "slower"
    assert independent_ratio(Interval(value=5.0, low=4.9, high=5.1), wide).low > 1
    assert independent_ratio(wide, Interval(value=1.5, low=1.4, high=1.6)).low < 0.1
