"""Clocks, load, throttling and the state of a machine, off recorded trees."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgevid.device import Check, diagnose
from edgevid.device.power import rapl
from edgevid.device.speed import clocks_fixed, cpu_mhz, gpu_load, gpu_mhz, memory_mhz
from edgevid.device.state import MachineState, read_state
from edgevid.device.throttle import slowed_by, throttle_counts

ROOTS = Path(__file__).parents[1] / "data" / "roots"
NANO = ROOTS / "orin-nano-jetpack-6.2"
NX = ROOTS / "orin-nx-jetpack-6.2"
AGX = ROOTS / "agx-orin-jetpack-6.1"
THOR = ROOTS / "thor-jetpack-7.0"
PC = ROOTS / "pc-without-gpu"


@pytest.mark.parametrize(
    ("root", "cpu", "gpu", "load", "fixed"),
    [
        (NANO, (1344.0, 729.6), 612.0, 0.345, False),
        (NX, (1984.0, 1984.0), 1173.0, 0.998, False),
        (AGX, (729.6, 729.6), 0.0, 0.0, False),
        (THOR, (2601.0, 2601.0), 1575.0, None, True),
        (PC, (3400.0, 1200.0), None, None, False),
    ],
)
def test_clocks_and_load(root, cpu, gpu, load, fixed):
    assert cpu_mhz(root) == cpu
    assert gpu_mhz(root) == gpu
    assert gpu_load(root) == load
    assert clocks_fixed(root) is fixed


def test_cores_come_in_the_order_of_their_numbers(tmp_path):
    for core, khz in ((10, 3), (2, 2), (0, 1)):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{core}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_cur_freq").write_text(f"{khz}000\n")
    assert cpu_mhz(tmp_path) == (1.0, 2.0, 3.0)


def test_a_pc_without_frequency_scaling_tells_its_clocks_in_cpuinfo(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("cpu MHz\t\t: 2600.000\nflags: x\ncpu MHz : 800.5\n")
    assert cpu_mhz(tmp_path) == (2600.0, 800.5)
    assert clocks_fixed(tmp_path) is None


def test_old_jetpacks_keep_the_gpus_load_elsewhere(tmp_path):
    (tmp_path / "sys/devices/gpu.0").mkdir(parents=True)
    (tmp_path / "sys/devices/gpu.0/load").write_text("250\n")
    assert gpu_load(tmp_path) == 0.25


def test_the_memorys_clock_is_seen_by_root_alone(tmp_path):
    assert memory_mhz(NANO) is None
    rate = tmp_path / "sys/kernel/debug/bpmp/debug/clk/emc/rate"
    rate.parent.mkdir(parents=True)
    rate.write_text("3199000000\n")
    assert memory_mhz(tmp_path) == 3199.0


def test_what_throttled_since_the_start():
    assert throttle_counts(NANO) == {"oc1": 0, "oc2": 0, "oc3": 27}
    assert throttle_counts(THOR)["oc3"] == 179
    # Cores add up; the package's count stands at each of its cores.
    assert throttle_counts(PC) == {"core": 7, "package": 9}


def test_fans_and_offsets_slow_nothing():
    assert slowed_by(NANO) == {}
    assert slowed_by(PC) == {}
    assert slowed_by(NX) == {"cpufreq-cpu0": 5}
    assert slowed_by(THOR) == {"cpufreq-cpu0": 2, "devfreq-gpu-gpc-0": 4}


def test_the_state_of_a_board():
    assert read_state(NANO) == MachineState(
        governors=("schedutil",),
        cpu_mhz=(1344.0, 729.6),
        gpu_mhz=612.0,
        clocks_fixed=False,
        power_mode="25W (1)",
        temperatures_c={
            "cpu-thermal": 52.406, "gpu-thermal": 50.531, "soc0-thermal": 51.187,
            "tj-thermal": 52.406,
        },
        throttle_events={"oc1": 0, "oc2": 0, "oc3": 27},
        load=0.52,
    )  # fmt: skip
    assert read_state(NX).power_mode == "MAXN_SUPER (0)"
    assert read_state(THOR).slowed_by == {"cpufreq-cpu0": 2, "devfreq-gpu-gpc-0": 4}


def test_nothing_there_is_a_state_too(tmp_path):
    assert read_state(tmp_path) == MachineState()


@pytest.mark.parametrize("tree", [NANO, AGX, THOR, PC, NX])
@pytest.mark.parametrize("garbage", [b"", b"\xff\x00\xfe" * 40, b"{]: 12, -1\n" * 9])
def test_no_content_brings_the_state_down(tmp_path, tree, garbage):
    copy = shutil.copytree(tree, tmp_path / "tree")
    for path in sorted(copy.rglob("*")):
        if path.is_file():
            path.write_bytes(garbage)
    state = read_state(copy)
    assert state.cpu_mhz == ()
    assert state.throttle_events == {}
    assert state.temperatures_c == {}


def check(machine, tree, name, **more):
    [found] = [c for c in diagnose(machine(tree, **more)).checks if c.name == name]
    return found


def test_the_doctor_shows_power_clocks_and_throttling_of_a_board(machine):
    assert check(machine, NANO, "power") == Check("power", "ok", "ina3221: VDD_IN 7.6 W")
    clocks = check(machine, NANO, "GPU clocks")
    assert (clocks.state, clocks.value) == ("info", "612 MHz, load 34%, free to move")
    assert clocks.mend.endswith("sudo jetson_clocks")
    past = check(machine, NANO, "throttling")
    assert past.value == "not now; since the start: momentary over-current 27 times"
    assert check(machine, AGX, "throttling") == Check("throttling", "ok", "none")
    assert check(machine, AGX, "GPU clocks").value == "asleep, load 0%, free to move"


def test_the_doctor_warns_of_a_device_that_is_slowed_now(machine):
    hot = check(machine, THOR, "throttling")
    assert (hot.state, hot.value) == ("warning", "slowed now by cpufreq-cpu0, devfreq-gpu-gpc-0")
    assert check(machine, THOR, "GPU clocks") == Check("GPU clocks", "ok", "1575 MHz, fixed")


def test_the_doctor_of_a_pc(machine, monkeypatch):
    assert check(machine, PC, "power").value == "RAPL: package-0 + package-0/dram"
    assert check(machine, PC, "GPU clocks").state == "info"

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("edgevid.device.power.rapl.read_number", refuse)
    refused = check(machine, PC, "power")
    assert (refused.state, refused.mend) == ("info", rapl.MEND)
    assert "energy_range_uj: Permission denied" in refused.value


def test_the_doctor_of_a_machine_that_tells_nothing(machine, tmp_path):
    assert check(machine, tmp_path, "power").value.startswith("no sensor that edgevid reads")
    assert check(machine, tmp_path, "throttling") == Check("throttling", "info", "not exposed")
