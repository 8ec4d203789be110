"""The table of the live benchmark, its statistics and its cameras' plans."""

from __future__ import annotations

from itertools import islice, pairwise
from typing import get_args

import numpy as np
import pytest

from edgevid.benchmarks.faulty_camera import Kind, random_plan
from edgevid.benchmarks.live import main
from edgevid.benchmarks.live_rows import Row, slope, table


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
