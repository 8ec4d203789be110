"""The rolling mean against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from edgevid.protocols import Smoother
from edgevid.smoothing import RollingMean
from edgevid.types import Float32Array

_RESET = None


def _definition(history: list[Float32Array], window: int) -> Float32Array:
    return np.mean(np.asarray(history[-window:], np.float64), axis=0).astype(np.float32)


_SCORES = npst.arrays(np.float32, 3, elements=st.floats(0, 1, width=32))
_STEPS = st.lists(st.one_of(_SCORES, _SCORES, _SCORES, st.just(_RESET)), max_size=60)


@given(window=st.integers(1, 20), steps=_STEPS)
@settings(deadline=None)
def test_equals_the_definition_with_resets_in_between(
    window: int, steps: list[Float32Array | None]
) -> None:
    smoother: Smoother = RollingMean(window)
    history: list[Float32Array] = []
    for step in steps:
        if step is None:
            smoother.reset()
            history.clear()
            continue
        history.append(step)
        got = smoother.update(step, float(len(history)))
        assert got.shape == (3,)
        assert got.dtype == np.float32
        # One unit in the last place: both sum in float64, in another order.
        np.testing.assert_array_max_ulp(got, _definition(history, window), maxulp=1)


@pytest.mark.parametrize("window", range(1, 41))
def test_every_window_length(window: int) -> None:
    rng = np.random.default_rng(window)
    smoother = RollingMean(window)
    scores = rng.dirichlet(np.full(7, 0.2), 3 * window + 2).astype(np.float32)
    for i, row in enumerate(scores):
        expected = _definition(list(scores[: i + 1]), window)
        np.testing.assert_array_max_ulp(smoother.update(row, i / 10), expected, maxulp=1)


def test_no_drift_after_large_values() -> None:
    """Where a running sum would add and subtract, 1e8 would swallow what came with it."""
    smoother = RollingMean(3)
    small = np.float32([1e-9, 0.25])
    for _ in range(10_000):
        smoother.update(np.float32([1e8, 1.0]), 0.0)
    for _ in range(3):
        last = smoother.update(small, 0.0)
    np.testing.assert_array_equal(last, small)


@pytest.mark.parametrize("window", [1, 2, 3, 8])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_score_leaves_with_its_window(window: int, bad: float) -> None:
    for position in range(window + 1):
        smoother = RollingMean(window)
        finite = []
        for i in range(position + 2 * window):
            value = bad if i == position else 0.5
            finite.append(bool(np.isfinite(smoother.update(np.float32([value]), 0.0)[0])))
        assert finite == [not position <= i < position + window for i in range(len(finite))]


def test_the_answer_is_the_callers_to_keep() -> None:
    smoother = RollingMean(2)
    scores = np.float32([0.2, 0.8])
    first = smoother.update(scores, 0.0)
    scores[:] = 0  # the engine may reuse its buffer
    second = smoother.update(np.float32([0.4, 0.6]), 1.0)
    np.testing.assert_array_equal(first, np.float32([0.2, 0.8]))
    np.testing.assert_allclose(second, [0.3, 0.7], rtol=1e-7)


def test_another_number_of_classes_is_refused_until_reset() -> None:
    smoother = RollingMean(2)
    smoother.update(np.zeros(3, np.float32), 0.0)
    with pytest.raises(ValueError, match=r"\(3,\).*\(4,\)"):
        smoother.update(np.zeros(4, np.float32), 1.0)
    smoother.reset()
    assert smoother.update(np.ones(4, np.float32), 2.0).tolist() == [1.0] * 4


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        RollingMean(0)
