"""Hidden Markov models against every sequence of labels, counted one by one."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from edgevid.smoothing import as_delayed, parse_smoother
from edgevid.smoothing.dynamics import Dynamics, Learned, Sticky
from edgevid.smoothing.hmm import FixedLagHmm, HmmFilter
from edgevid.smoothing.mean import FLOOR


def _matrix(dynamics: Dynamics, classes: int, step_s: float = 1.0) -> np.ndarray:
    """Row i, column j: what the dynamics make of certainty about i."""
    return np.array([dynamics.forward(row, step_s) for row in np.eye(classes)])


def _by_enumeration(
    scores: np.ndarray, matrix: np.ndarray, at: int, weight: float = 1.0
) -> np.ndarray:
    """p(label at window `at` | all of `scores`): a sum over all sequences of labels."""
    evidence = np.maximum(scores.astype(np.float64), FLOOR) ** weight
    classes = scores.shape[1]
    total = np.zeros(classes)
    for path in product(range(classes), repeat=len(scores)):
        weight = 1.0 / classes
        for k, label in enumerate(path):
            weight *= evidence[k, label] * (matrix[path[k - 1], label] if k else 1.0)
        total[path[at]] += weight
    return total / total.sum()


_CASES = st.integers(2, 3).flatmap(
    lambda classes: st.tuples(
        npst.arrays(
            np.float32,
            st.tuples(st.integers(1, 5), st.just(classes)),
            elements=st.floats(0, 1, width=32),
        ),
        npst.arrays(np.float64, (classes, classes), elements=st.floats(0.05, 1)),
        st.floats(0.05, 0.99),
        st.booleans(),
    )
)


def _dynamics(learned: np.ndarray, stay: float, sticky: bool) -> Dynamics:
    return Sticky(stay) if sticky else Learned(learned / learned.sum(axis=1, keepdims=True))


_WEIGHTS = st.sampled_from([1.0, 0.5, 0.05])


@given(case=_CASES, weight=_WEIGHTS)
def test_the_filter_equals_enumeration(case, weight) -> None:
    scores, learned, stay, sticky = case
    dynamics = _dynamics(learned, stay, sticky)
    matrix = _matrix(dynamics, scores.shape[1])
    smoother = HmmFilter(dynamics, weight)
    for k, row in enumerate(scores):
        expected = _by_enumeration(scores[: k + 1], matrix, k, weight)
        np.testing.assert_allclose(smoother.update(row, float(k)), expected, atol=1e-6)


@given(case=_CASES, lag=st.integers(1, 4), weight=_WEIGHTS)
def test_the_fixed_lag_equals_enumeration(case, lag, weight) -> None:
    scores, learned, stay, sticky = case
    dynamics = _dynamics(learned, stay, sticky)
    matrix = _matrix(dynamics, scores.shape[1])
    smoother = FixedLagHmm(dynamics, lag, weight=weight)
    answers = []
    for k, row in enumerate(scores):
        answers += smoother.push(row, float(k))
        assert len(answers) == max(k + 1 - lag, 0)
    answers += smoother.flush()
    for k, (got, time_s) in enumerate(answers):
        assert time_s == k
        expected = _by_enumeration(scores[: k + lag + 1], matrix, k, weight)
        np.testing.assert_allclose(got, expected, atol=1e-6)


def test_a_lag_in_seconds_waits_for_seconds_at_uneven_times() -> None:
    smoother = as_delayed(parse_smoother("hmm:0.9,lag=1s")())
    times = [0.0, 0.2, 0.9, 1.0, 1.3, 3.0, 3.1]
    answered = [[time_s for _, time_s in smoother.push(np.float32([0.6, 0.4]), t)] for t in times]
    assert answered == [[], [], [], [0.0], [0.2], [0.9, 1.0, 1.3], []]
    assert [time_s for _, time_s in smoother.flush()] == [3.0, 3.1]
    assert smoother.flush() == []


@given(mean_s=st.floats(0.1, 20), parts=st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_a_mean_time_is_the_same_at_any_rate(mean_s, parts) -> None:
    """One step of a second, or several that make one: the same matrix (a semigroup)."""
    dynamics = Sticky(mean_s=mean_s)
    whole = _matrix(dynamics, 4, 1.0)
    steps = np.linalg.multi_dot(
        [np.eye(4), *(_matrix(dynamics, 4, p / sum(parts)) for p in parts), np.eye(4)]
    )
    np.testing.assert_allclose(steps, whole, atol=1e-12)
    np.testing.assert_allclose(whole.sum(axis=1), 1)
    # The rate of leaving is 1 / mean_s.
    leaving = 1 - _matrix(dynamics, 4, mean_s * 1e-6)[0, 0]
    assert leaving == pytest.approx(1e-6, rel=1e-3)


def test_a_single_class_and_months_of_certainty_stay_finite() -> None:
    assert HmmFilter(Sticky(0.9)).update(np.float32([0.0]), 0.0).tolist() == [1.0]
    smoother, lagged = HmmFilter(Sticky(0.999)), FixedLagHmm(Sticky(0.999), 400)
    for i in range(2000):
        belief = smoother.update(np.float32([1, 0, 0]), float(i))
        for late, _ in lagged.push(np.float32([1, 0, 0]), float(i)):
            assert np.isfinite(late).all()
    assert belief[0] > 0.999
    for i in range(4):
        belief = smoother.update(np.float32([0, 1, 0]), 2000.0 + i)
    assert belief[1] > 0.999


def test_later_windows_mend_what_the_filter_cannot() -> None:
    """One window of b among a: the filter may fall for it, the lag does not."""
    scores = np.float32([[0.8, 0.2]] * 3 + [[0.1, 0.9]] + [[0.8, 0.2]] * 3)
    stay = 0.8
    seen = HmmFilter(Sticky(stay))
    filtered = [int(seen.update(row, i).argmax()) for i, row in enumerate(scores)]
    lagged = FixedLagHmm(Sticky(stay), 3)
    late = [a for i, row in enumerate(scores) for a in lagged.push(row, i)] + lagged.flush()
    assert filtered[3] == 1
    assert [int(a.argmax()) for a, _ in late] == [0] * 7
