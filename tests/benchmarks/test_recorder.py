"""Energy over a power trace, and what the recorder makes of a board and a run."""

from __future__ import annotations

import csv
import math
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.benchmarks.harness.energy import find_gaps, joules
from edgevid.benchmarks.harness.recorder import Recorder
from edgevid.device.power import PowerReading, PowerSources, find_power

ROOTS = Path(__file__).parents[1] / "data" / "roots"
TRACE = Path(__file__).parents[1] / "data" / "power-trace.csv"


def no_nvml():
    return None


def trace() -> tuple[list[float], list[float]]:
    """Times in s and watts of tests/data/power-trace.csv."""
    with TRACE.open(newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    return [float(r["time_s"]) for r in rows], [float(r["vdd_in_mw"]) / 1e3 for r in rows]


def truth_j() -> float:
    """The energy that the trace's head states."""
    [line] = [ln for ln in TRACE.read_text().splitlines() if ln.startswith("# energy_j")]
    return float(line.split()[-1])


def test_the_energy_of_a_power_trace_is_right_to_a_thousandth():
    times_s, watts = trace()
    assert len(times_s) > 500
    assert joules(times_s, watts) == pytest.approx(truth_j(), rel=1e-3)
    # What the usual mean of the readings makes of the same trace: its times are uneven.
    naive = float(np.mean(watts)) * (times_s[-1] - times_s[0])
    assert naive != pytest.approx(truth_j(), rel=1e-3)


lines = st.lists(st.tuples(st.floats(1e-3, 5.0), st.floats(0.0, 300.0)), min_size=2, max_size=40)


@given(lines)
def test_straight_lines_between_readings_are_exact_and_add_up(steps):
    times_s = np.cumsum([step for step, _ in steps]).tolist()
    watts = [w for _, w in steps]
    whole = joules(times_s, watts)
    exact = math.fsum(
        (times_s[i] - times_s[i - 1]) * (watts[i] + watts[i - 1]) / 2 for i in range(1, len(watts))
    )
    assert whole == pytest.approx(exact, rel=1e-9, abs=1e-9)
    cut = len(steps) // 2
    parts = joules(times_s[: cut + 1], watts[: cut + 1]) + joules(times_s[cut:], watts[cut:])
    assert parts == pytest.approx(whole, rel=1e-9, abs=1e-9)


def test_too_few_readings_are_no_energy_and_wrong_ones_are_refused():
    assert joules([], []) == joules([1.0], [5.0]) == 0.0
    with pytest.raises(ValueError, match="2 times but 1 readings"):
        joules([1.0, 2.0], [5.0])
    with pytest.raises(ValueError, match="run backwards"):
        joules([2.0, 1.0], [5.0, 5.0])


def test_gaps_are_counted_with_their_length():
    gaps = find_gaps([0.0, 0.1, 0.2, 0.9, 1.0, 1.31, 1.4], 0.1)
    assert gaps.count == 2
    assert gaps.longest_s == pytest.approx(0.7)
    assert gaps.total_s == pytest.approx(1.01)
    assert find_gaps([0.0], 0.1).count == 0


class Board:
    """A recorded tree whose sensors move with a clock."""

    def __init__(self, folder: Path, tree: str) -> None:
        self.root = shutil.copytree(ROOTS / tree, folder / "tree")
        self.now_s = 50.0

    def clock(self) -> float:
        return self.now_s

    def write(self, path: str, text: object) -> None:
        (self.root / path).write_text(f"{text}\n")

    def recorder(self, **more) -> Recorder:
        sources = find_power(self.root, self.clock, no_nvml)
        return Recorder(sources, root=self.root, clock=self.clock, **more)


CHIP = "sys/bus/i2c/devices/1-0040/hwmon/hwmon1"


def test_a_trace_played_through_the_files_of_an_orin_nano(tmp_path):
    board = Board(tmp_path, "orin-nano-jetpack-6.2")
    board.write(f"{CHIP}/in1_input", 5000)
    recorder = board.recorder()
    times_s, watts = trace()
    for index, (at_s, watt) in enumerate(zip(times_s, watts, strict=True)):
        board.now_s = 50.0 + at_s
        board.write(f"{CHIP}/curr1_input", round(watt * 200))
        [recorder.begin, recorder.sample][index > 0]() if index < len(
            times_s
        ) - 1 else recorder.end()
    power = recorder.power(clips=100)
    assert (power.source, power.total) == ("ina3221", "VDD_IN")
    assert power.energy_from == {"ina3221": "trapezoids"}
    assert power.joules == pytest.approx(truth_j(), rel=1e-3)
    assert power.joules_per_clip == pytest.approx(truth_j() / 100, rel=1e-3)
    assert power.mean_mw == pytest.approx(power.joules / times_s[-1] * 1e3, rel=1e-6)
    assert power.peak_mw == pytest.approx(max(watts) * 1e3, rel=1e-3)
    assert set(power.rails_mw) == {"VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"}
    assert len(power.total_mw.at_s) == len(times_s)
    assert power.failed == 0


def test_readings_that_fail_leave_a_gap_and_are_counted(tmp_path):
    board = Board(tmp_path, "orin-nano-jetpack-6.2")
    recorder = board.recorder()
    recorder.begin()
    for tick in range(1, 20):
        board.now_s = 50.0 + tick / 10
        board.write(f"{CHIP}/curr1_input", "" if 5 <= tick < 10 else 2000)
        recorder.sample()
    recorder.end()
    power = recorder.power()
    assert power.failed == 5
    assert (power.gaps.count, round(power.gaps.longest_s, 3)) == (1, 0.6)
    assert power.joules_per_clip is None


def test_a_counters_energy_is_taken_before_any_sum(tmp_path):
    board = Board(tmp_path, "pc-without-gpu")
    recorder = board.recorder()
    recorder.begin()
    zone = "sys/class/powercap/intel-rapl:0/energy_uj"
    counted = 261_999_000_000
    for _ in range(10):
        board.now_s += 0.1
        counted = (counted + 2_000_000) % 262143328850
        board.write(zone, counted)
        recorder.sample()
    recorder.end()
    power = recorder.power(clips=4)
    assert power.energy_from == {"RAPL": "counter"}
    assert power.joules == pytest.approx(20.0)
    assert power.joules_per_clip == pytest.approx(5.0)
    assert power.total == "package-0 + package-0/dram"
    assert power.mean_mw == pytest.approx(20_000)


class Constant:
    """A sensor that always reads the same."""

    def __init__(self, name: str, milliwatts: float) -> None:
        self.name, self.total_of, self.milliwatts, self.closed = name, (name,), milliwatts, False

    def read(self) -> PowerReading:
        return PowerReading({self.name: self.milliwatts}, self.milliwatts)

    def close(self) -> None:
        self.closed = True


def test_sources_that_measure_different_things_are_added():
    sensors = (Constant("a", 10_000), Constant("b", 5_000))
    with Recorder(PowerSources(sensors), interval_s=0.01) as recorder:
        time.sleep(0.08)
    power = recorder.power()
    assert power.mean_mw == pytest.approx(15_000)
    assert power.joules == pytest.approx(15.0 * power.total_mw.at_s[-1], rel=0.01)
    assert all(sensor.closed for sensor in sensors)
    assert len(power.total_mw.values) >= 3
    assert recorder.heat().sampler_cpu < 1.0


def test_throttling_during_the_run_is_told_and_what_was_before_is_not(tmp_path):
    board = Board(tmp_path, "orin-nano-jetpack-6.2")
    recorder = board.recorder()
    recorder.begin()
    for tick in range(1, 31):
        board.now_s = 50.0 + tick / 10
        board.write("sys/class/thermal/cooling_device1/cur_state", 3 if 5 <= tick < 25 else 0)
        recorder.sample()
    board.write("sys/class/hwmon/hwmon3/oc3_event_cnt", 30)
    recorder.end()
    heat = recorder.heat()
    assert heat.throttle_events == {"oc3": 3}
    assert heat.slowed_s == {"cpufreq-cpu0": pytest.approx(2.0)}
    assert heat.throttled
    assert heat.zones_c["tj-thermal"].values[0] == 52.406
    assert heat.gpu_load.values[0] == 0.345
    assert (recorder.before.throttle_events["oc3"], recorder.after.throttle_events["oc3"]) == (
        27,
        30,
    )


def test_a_quiet_run_on_a_machine_without_sensors(tmp_path):
    with Recorder(find_power(tmp_path, find_nvml=no_nvml), root=tmp_path) as recorder:
        pass
    assert recorder.power() is None
    heat = recorder.heat()
    assert not heat.throttled
    assert heat.cpu_mhz is heat.gpu_load is None
    assert recorder.notes == ()


def test_a_source_that_cannot_be_read_is_a_note_with_its_mend():
    sources = PowerSources((), ("RAPL: x: Permission denied",), "Run: sudo chmod a+r x")
    assert Recorder(sources).notes == ("RAPL: x: Permission denied. Run: sudo chmod a+r x",)


def test_an_error_in_the_run_still_ends_the_sampling():
    sensor = Constant("a", 1.0)
    with pytest.raises(RuntimeError, match="the run"), Recorder(PowerSources((sensor,))):
        raise RuntimeError("the run failed")
    assert sensor.closed
