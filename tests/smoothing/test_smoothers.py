"""Each smoother against its definition."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from edgevid.protocols import Smoother
from edgevid.smoothing import parse_smoother
from edgevid.smoothing.exponential import ExponentialMean
from edgevid.smoothing.hysteresis import Hysteresis
from edgevid.smoothing.mean import FLOOR, RollingLogMean, RollingMean
from edgevid.smoothing.median import RollingMedian
from edgevid.smoothing.vote import MajorityVote
from edgevid.types import Float32Array

_SCORES = npst.arrays(np.float32, 3, elements=st.floats(0, 1, width=32))
_STREAM = st.lists(st.tuples(_SCORES, st.integers(1, 30)), min_size=1, max_size=40)
"""Scores, and the hundredths of a second since the window before."""

_REACHES = st.one_of(
    st.tuples(st.integers(1, 14), st.none()), st.tuples(st.none(), st.integers(1, 200))
)


def _counted(times: list[int], windows: int | None, span: int | None) -> int:
    """How many of the newest windows count, in whole hundredths of a second."""
    if windows is not None:
        return min(windows, len(times))
    assert span is not None
    return sum(time > times[-1] - span for time in times)


def _against(
    make: Callable[[int | None, float | None], Smoother],
    definition: Callable[[Float32Array], Float32Array],
    stream: list[tuple[Float32Array, int]],
    reach: tuple[int | None, int | None],
) -> None:
    windows, span = reach
    smoother = make(windows, None if span is None else span / 100)
    rows: list[Float32Array] = []
    times: list[int] = []
    for scores, step in stream:
        times.append((times[-1] if times else 0) + step)
        rows.append(scores)
        got = smoother.update(scores, times[-1] / 100)
        expected = definition(np.array(rows[-_counted(times, windows, span) :]))
        np.testing.assert_allclose(got, expected, rtol=2e-6, atol=2e-6)


@given(stream=_STREAM, reach=_REACHES)
def test_rolling_mean(stream, reach) -> None:
    _against(
        lambda n, s: RollingMean(n, span_s=s),
        lambda rows: np.mean(rows, axis=0, dtype=np.float64),
        stream,
        reach,
    )


@given(stream=_STREAM, reach=_REACHES)
def test_median(stream, reach) -> None:
    _against(
        lambda n, s: RollingMedian(n, span_s=s),
        lambda rows: np.median(rows, axis=0),
        stream,
        reach,
    )


@given(stream=_STREAM, reach=_REACHES)
def test_mean_of_logits_of_a_softmax(stream, reach) -> None:
    def definition(rows: Float32Array) -> Float32Array:
        powers = np.exp(np.log(np.maximum(rows, FLOOR)).mean(axis=0, dtype=np.float64))
        return powers / powers.sum()

    _against(lambda n, s: RollingLogMean(n, span_s=s), definition, stream, reach)


@given(stream=_STREAM, reach=_REACHES)
def test_mean_of_logits_of_sigmoids(stream, reach) -> None:
    def definition(rows: Float32Array) -> Float32Array:
        p = rows.astype(np.float64)
        logits = np.log(np.maximum(p, FLOOR)) - np.log(np.maximum(1 - p, FLOOR))
        return 1 / (1 + np.exp(-logits.mean(axis=0)))

    _against(lambda n, s: RollingLogMean(n, span_s=s, multi_label=True), definition, stream, reach)


@given(stream=_STREAM, reach=_REACHES)
def test_vote(stream, reach) -> None:
    _against(
        lambda n, s: MajorityVote(n, span_s=s),
        lambda rows: np.bincount(rows.argmax(axis=1), minlength=3) / len(rows),
        stream,
        reach,
    )


def test_in_a_tied_vote_the_leader_stays() -> None:
    vote = MajorityVote(4)
    ballots = [1, 1, 0, 0, 0, 1]
    led = [
        int(vote.update(np.eye(2, dtype=np.float32)[b], i).argmax()) for i, b in enumerate(ballots)
    ]
    # 1, 11, 110, 1100 (tie), 1000, 0001: class 0 takes over only once it has more.
    assert led == [1, 1, 1, 1, 0, 0]


def test_exponential_mean_by_its_recurrence() -> None:
    rng = np.random.default_rng(2)
    rows = rng.dirichlet(np.ones(4), 50).astype(np.float32)
    smoother = ExponentialMean(0.3)
    state = rows[0].astype(np.float64)
    smoother.update(rows[0], 0.0)
    for i, row in enumerate(rows[1:], 1):
        state = 0.7 * state + 0.3 * row
        np.testing.assert_allclose(smoother.update(row, i * i), state, rtol=1e-6)


@given(
    start=_SCORES,
    constant=_SCORES,
    tau=st.floats(0.05, 20),
    parts=st.lists(st.integers(1, 9), min_size=1, max_size=6),
)
def test_a_time_constant_does_not_see_how_many_windows_came(start, constant, tau, parts) -> None:
    """One window after a second, or several within it: the same, for a constant input."""
    one, many = ExponentialMean(time_constant_s=tau), ExponentialMean(time_constant_s=tau)
    one.update(start, 0.0)
    many.update(start, 0.0)
    expected = constant + (start.astype(np.float64) - constant) * math.exp(-1 / tau)
    at_once = one.update(constant, 1.0)
    for end in np.cumsum(parts) / sum(parts):
        in_steps = many.update(constant, float(end))
    np.testing.assert_allclose(at_once, expected, atol=1e-6)
    np.testing.assert_allclose(in_steps, at_once, atol=1e-6)


def _labels(smoother: Smoother, first: list[float], step_s: float = 0.1) -> str:
    """Labels for two classes of which the first has these scores."""
    return "".join(
        "ab"[int(smoother.update(np.float32([p, 1 - p]), i * step_s).argmax())]
        for i, p in enumerate(first)
    )


def test_hysteresis_waits_for_the_margin() -> None:
    # b leads by 0.02, 0.08, 0.1: only the last is enough (with float32 a hair more).
    assert _labels(Hysteresis(0.0999), [0.6, 0.49, 0.46, 0.45, 0.46, 0.54, 0.56]) == "aaabbba"


def test_hysteresis_waits_for_windows_running() -> None:
    smoother = Hysteresis(0.1, windows=3)
    assert _labels(smoother, [0.9, 0.2, 0.2, 0.9, 0.2, 0.2, 0.2, 0.9]) == "aaaaaabb"


@pytest.mark.parametrize("step_s", [0.1, 0.25, 0.5])
def test_hysteresis_waits_for_a_time_at_any_rate(step_s: float) -> None:
    labels = _labels(Hysteresis(0.1, span_s=0.5), [0.9] + [0.2] * 20, step_s)
    assert labels.index("b") == 1 + round(0.5 / step_s)


def test_a_rival_starts_anew_when_another_takes_its_place() -> None:
    smoother = Hysteresis(0.1, windows=2)
    rows = np.float32([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.1, 0.8, 0.1]])
    held = [int(smoother.update(row, i).argmax()) for i, row in enumerate([*rows, rows[1]])]
    assert held == [0, 0, 0, 0, 1]


@given(stream=st.lists(_SCORES, min_size=1, max_size=30))
def test_hysteresis_only_ever_swaps_two_scores(stream) -> None:
    smoother = Hysteresis(0.2, windows=2)
    for i, scores in enumerate(stream):
        got = smoother.update(scores, i / 10)
        assert sorted(got) == sorted(scores)
        assert got.max() == scores.max()
        assert (got != scores).sum() in (0, 2)


@pytest.mark.parametrize(
    "text", ["mean:2", "logmean:2", "ema:0.5", "vote:2", "median:2", "hmm:0.9"]
)
def test_another_number_of_classes_is_refused_until_reset(text: str) -> None:
    smoother = parse_smoother(text)()
    assert isinstance(smoother, Smoother)
    smoother.update(np.full(3, 0.3, np.float32), 0.0)
    with pytest.raises(ValueError, match=r"\(3,\).*\(4,\)"):
        smoother.update(np.full(4, 0.3, np.float32), 1.0)
    smoother.reset()
    smoother.update(np.full(4, 0.3, np.float32), 2.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RollingMean(0), lambda: RollingMean(), lambda: RollingMean(2, span_s=1.0),
        lambda: RollingMean(span_s=0.0), lambda: ExponentialMean(0.0), lambda: ExponentialMean(),
        lambda: ExponentialMean(time_constant_s=-1), lambda: Hysteresis(1.5),
        lambda: Hysteresis(0.1, windows=0),
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused(make) -> None:
    with pytest.raises(ValueError, match=r"must be|or a time|a time constant"):
        make()
