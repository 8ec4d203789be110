"""The table of the live benchmark, its statistics and its cameras' plans."""

from __future__ import annotations

from itertools import islice, pairwise
from typing import get_args

import numpy as np
import pytest

from edgevid.benchmarks.faulty_camera import Kind, random_plan
from edgevid.benchmarks.live import main
from edgevid.benchmarks.live_rows import Row, Slope, _student, slope, table


def test_a_row_says_whether_its_target_was_reached():
    rows = [Row("soak", "a", "1 s", "2 s", False), Row("soak", "b", "", "3", None)]
    assert table(rows).splitlines()[2:] == [
        "| soak | a | 1 s | 2 s | **no** |",
        "| soak | b |  | 3 |  |",
    ]


@pytest.mark.parametrize(("rise", "is_zero"), [(0.0, True), (12.0, False), (-12.0, False)])
def test_a_slope_is_found_in_noise_that_wanders(rise, is_zero):
    times = np.arange(1800) / 3600
    wander = np.convolve(np.random.default_rng(4).normal(0, 1, 1900), np.ones(30) / 30, "valid")
    found = slope(list(times), list(200 + rise * times + wander[:1800]))
    assert found.low <= rise <= found.high
    assert found.rise == pytest.approx(rise, abs=1)
    assert found.is_zero == is_zero


def test_noise_that_swings_for_minutes_is_no_slope():
    """In 19 of 20 series, by the meaning of the interval; resampled stretches say so in 10."""
    random, times = np.random.default_rng(5), np.arange(1200) / 3600
    held = 0
    for _ in range(100):
        shocks, level = random.normal(size=2400), 0.0
        swinging = [level := np.exp(-1 / 180) * level + shock for shock in shocks][1200:]
        held += slope(list(times), swinging).is_zero
    assert held >= 88


def test_the_quantile_is_that_of_the_tables():
    found = [_student(freedom) for freedom in (3, 5, 10, 30)]
    assert found == pytest.approx([3.182, 2.571, 2.228, 2.042], rel=0.01)


def test_a_straight_line_has_no_noise():
    assert slope([0, 1, 2, 3], [1, 3, 5, 7]) == Slope(2.0, 2.0, 2.0)


def test_a_plan_holds_every_fault_as_often_and_is_the_same_again():
    faults = list(islice(random_plan(3, 15.0), 60))
    assert faults == list(islice(random_plan(3, 15.0), 60))
    assert faults != list(islice(random_plan(4, 15.0), 60))
    kinds = [fault.kind for fault in faults]
    assert {kinds.count(kind) for kind in get_args(Kind)} == {10}
    assert all(a.at_s < b.at_s for a, b in pairwise(faults))
    assert faults[-1].at_s == pytest.approx(60 * 15, rel=0.2)


def test_a_part_that_is_not_there_is_named(capsys):
    with pytest.raises(SystemExit):
        main(["soaks"])
    assert "no part 'soaks'; there are" in capsys.readouterr().err
