"""What the harness says about times: intervals that hold, outliers, the end of warming up."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevid.benchmarks.harness.statistics import (
    block_length,
    effective_samples,
    interval,
    interval_of_rounds,
    outliers,
    percentile_of,
    samples_needed,
    statistic,
    steady,
    student_t,
)
from edgevid.errors import SpecError

SPREAD = 0.3
times = st.lists(st.floats(0.01, 1e4), min_size=1, max_size=60)
names = st.sampled_from(["mean", "p50", "p90", "p99.9"])


def correlated(rng: np.random.Generator, n: int, phi: float) -> np.ndarray:
    """Log-normal times whose logs follow one another: AR(1), correlation `phi` at lag 1."""
    noise = rng.standard_normal(n + 100) * math.sqrt(1 - phi**2)
    for i in range(1, len(noise)):
        noise[i] += phi * noise[i - 1]
    return np.exp(SPREAD * noise[100:])


def true_value(name: str) -> float:
    share = percentile_of(name)
    return math.exp(SPREAD**2 / 2 if share is None else SPREAD * NormalDist().inv_cdf(share))


@pytest.mark.parametrize(
    ("phi", "n", "name"),
    [(0.0, 300, "mean"), (0.0, 300, "p50"), (0.6, 800, "mean"), (0.6, 800, "p50"),
     (0.6, 800, "p90"), (0.9, 2000, "p50"), (0.0, 1200, "p99")],
)  # fmt: skip
def test_intervals_hold_the_true_value_about_as_often_as_they_say(phi, n, name):
    rng = np.random.default_rng(7)
    true = true_value(name)
    found = [interval(correlated(rng, n, phi), name, resamples=300) for _ in range(120)]
    covered = np.mean([i.low <= true <= i.high for i in found])
    assert 0.89 <= covered <= 0.995


def test_single_samples_drawn_alone_would_promise_too_much():
    rng = np.random.default_rng(3)
    series = correlated(rng, 2000, 0.9)
    blocks = interval(series, "mean")
    alone = interval(rng.permutation(series), "mean")
    assert blocks.high - blocks.low > 3 * (alone.high - alone.low)
    assert 50 < effective_samples(series, "mean") < 200  # 2000 (1 - phi) / (1 + phi) = 105
    assert effective_samples(rng.permutation(series), "mean") > 1500


def slow_changes(rng: np.random.Generator, n: int) -> np.ndarray:
    """Flicker noise: as much of it at every length of time, from one round to many runs."""
    levels = np.zeros(n)
    for length in 2.0 ** np.arange(9):
        phi = math.exp(-1 / length)
        level = rng.standard_normal()
        for i in range(n):
            level = phi * level + math.sqrt(1 - phi**2) * rng.standard_normal()
            levels[i] += level
    return levels


@pytest.mark.parametrize("made", [slow_changes, np.random.Generator.standard_normal])
def test_a_second_run_falls_into_its_interval_in_19_of_20_tries(made):
    rng = np.random.default_rng(11)
    inside = 0
    for _ in range(300):
        machine = 10 + 0.1 * made(rng, 20)  # each round has a level of its own
        first, second = (
            [correlated(rng, 60, 0.5) + level for level in levels]
            for levels in (machine[:10], machine[10:])
        )
        expected = interval_of_rounds(first, "p50").of_another_run()
        inside += expected.low <= statistic(np.concatenate(second), "p50") <= expected.high
    assert inside >= 0.95 * 300


@settings(max_examples=60, deadline=None)
@given(times, names, st.floats(0.1, 10))
def test_an_interval_holds_its_own_value_and_scales_with_the_unit(samples, name, unit):
    found = interval(samples, name, resamples=50)
    assert found.low <= found.value <= found.high
    assert min(samples) * 0.999 <= found.low <= found.high <= max(samples) * 1.001
    assert interval(samples, name, resamples=50) == found
    scaled = interval(np.asarray(samples) * unit, name, resamples=50)
    assert scaled.value == pytest.approx(found.value * unit)
    assert scaled.low == pytest.approx(found.low * unit, rel=1e-6)


@settings(deadline=None)
@given(st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]), st.floats(0.001, 0.999))
def test_samples_needed_is_the_least_that_has_an_interval(confidence, share):
    needed = samples_needed(f"p{share * 100}", confidence)
    tail = (1 - confidence) / 2

    def enclosed(n: int) -> bool:
        return max(share, 1 - share) ** n <= tail * (1 + 1e-9)

    assert enclosed(needed)
    assert not enclosed(needed - 1)


def test_samples_needed_of_the_usual_percentiles():
    assert [samples_needed(p) for p in ("mean", "p50", "p90", "p99", "p99.9")] == [
        2, 6, 36, 368, 3688,
    ]  # fmt: skip


@settings(deadline=None)
@given(times)
def test_at_most_half_are_outliers_whatever_the_unit(samples):
    values = np.asarray(samples)
    marked = outliers(values)
    assert marked.sum() <= len(values) / 2
    assert (outliers(values * 1024) == marked).all()
    assert not outliers(np.full(9, values[0])).any()


def test_outliers_are_the_far_samples():
    rng = np.random.default_rng(0)
    values = rng.normal(10, 0.1, 500)
    values[[20, 300]] = 14.0, 60.0
    marked = outliers(values)
    assert marked[[20, 300]].all()
    assert marked.sum() <= 6
    mostly_equal = np.array([1.0] * 30 + [1.001] * 5 + [9.0])
    assert np.flatnonzero(outliers(mostly_equal)).tolist() == [35]


@pytest.mark.parametrize("seed", range(8))
def test_warming_up_ends_where_the_times_stop_to_fall(seed):
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 0.2, 600)
    falling = 10 + 8 * np.exp(-np.arange(600) / 40) + noise
    found = steady(falling)
    assert found.found
    assert 60 <= found.start <= 300  # 8 exp(-60/40) = 1.8: nine times the noise is gone
    stepped = np.where(np.arange(600) < 100, 14.0, 10.0) + noise
    assert steady(stepped).start in range(100, 300)
    assert steady(10 + noise).found


def test_a_late_outlier_does_not_move_the_end_of_warming_up():
    values = 10 + np.random.default_rng(1).normal(0, 0.1, 400)
    before = steady(values)
    values[390] = 500
    assert steady(values).start == before.start


def test_times_that_keep_changing_are_not_steady():
    rising = 10 + np.arange(400) * 0.01 + np.random.default_rng(0).normal(0, 0.1, 400)
    assert not steady(rising).found
    assert not steady([1.0] * 9).found
    assert steady([1.0] * 100).found
    assert steady([1.0] * 100).start == 0


def test_blocks_are_as_long_as_the_dependence():
    rng = np.random.default_rng(5)
    lengths = [block_length(correlated(rng, 4000, phi)) for phi in (0.0, 0.5, 0.95)]
    assert lengths[0] <= 8
    assert lengths[0] < lengths[1] < lengths[2]
    assert block_length(np.ones(50)) == 1
    assert block_length(np.ones(1)) == 1


@pytest.mark.parametrize(
    ("degrees", "expected"), [(1, 12.706), (2, 4.3027), (4, 2.7764), (9, 2.2622), (200, 1.9719)]
)
def test_student_t_is_that_of_the_tables(degrees, expected):
    assert student_t(0.975, degrees) == pytest.approx(expected, rel=2e-4)
    assert student_t(0.025, degrees) == pytest.approx(-expected, rel=2e-4)


@pytest.mark.parametrize("name", ["median", "p", "p0", "p100", "p-1", "99", "pnan", ""])
def test_unknown_statistics_are_one_line(name):
    with pytest.raises(SpecError, match="unknown statistic"):
        statistic([1.0], name)


def test_nothing_to_describe_is_said():
    with pytest.raises(SpecError, match="no samples"):
        interval([], "p50")
    with pytest.raises(SpecError, match="sample 1 is not a finite number"):
        interval([1.0, math.nan], "p50")
    with pytest.raises(SpecError, match="1 rounds"):
        interval_of_rounds([[1.0, 2.0]], "p50")
    with pytest.raises(SpecError, match="not a time above 0"):
        interval_of_rounds([[1.0], [0.0]], "p50")


def test_no_time_is_expected_below_nothing():
    found = interval_of_rounds([[1.0], [1.1], [50.0]], "p50").of_another_run()
    assert 0 < found.low < found.value < found.high
    assert found.high / found.value == pytest.approx(found.value / found.low)
