"""Readings of several turns become those of one run."""

from __future__ import annotations

import pytest
from made_results import full_result

from edgevid.benchmarks.harness.merge import merged_heat, merged_power
from edgevid.benchmarks.harness.readings import Heat, Series

POWER = full_result().power


def constant(watts: float, seconds: float):
    series = Series(at_s=(0.0, seconds), values=(watts * 1e3, watts * 1e3))
    return POWER.model_copy(
        update={
            "mean_mw": watts * 1e3, "peak_mw": watts * 1e3, "joules": watts * seconds,
            "total_mw": series, "rails_mw": {"VDD_IN": series},
        }
    )  # fmt: skip


def test_energy_adds_and_the_mean_is_over_the_turns_alone():
    merged = merged_power([(0.0, constant(10, 2)), (100.0, constant(4, 4))], clips=9)
    assert merged.joules == 36
    assert merged.mean_mw == pytest.approx(6000)
    assert merged.peak_mw == 10_000
    assert merged.joules_per_clip == 4
    assert merged.total_mw.at_s == (0.0, 2.0, 100.0, 104.0)
    assert merged.rails_mw["VDD_IN"].values == (10_000, 10_000, 4000, 4000)
    assert merged.gaps.count == 2


def test_without_power_in_every_turn_there_is_none():
    assert merged_power([(0.0, constant(10, 2)), (5.0, None)]) is None
    assert merged_power([]) is None


def test_throttling_of_any_turn_counts():
    zone = Series(at_s=(0.0,), values=(50.0,))
    both = {"cpu": zone, "gpu": zone}
    turns = [
        (0.0, Heat(zones_c={"cpu": zone}, slowed_s={"fan": 1.0}, cpu_mhz=zone)),
        (9.0, Heat(zones_c=both, throttle_events={"x": 2}, slowed_s={"fan": 2.5})),
        (12.0, Heat(zones_c={}, throttle_events={"x": 1})),
    ]  # fmt: skip
    merged = merged_heat(turns)
    assert merged.throttled
    assert merged.throttle_events == {"x": 3}
    assert merged.slowed_s == {"fan": 3.5}
    assert merged.zones_c["cpu"].at_s == (0.0, 9.0)
    assert merged.zones_c["gpu"].at_s == (9.0,)
    assert merged.cpu_mhz.at_s == (0.0,)
    assert merged.gpu_mhz is None
