"""Power off recorded trees: rails, totals, counters that wrap, sources that cannot be read."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevid.device.power import HwmonReader, NvmlReader, PowerReader, RaplReader, find_power
from edgevid.device.power import rapl as rapl_module

ROOTS = Path(__file__).parents[1] / "data" / "roots"
PC = ROOTS / "pc-without-gpu"
COUNTER = "sys/class/powercap/intel-rapl:0/energy_uj"
RANGE_UJ = 262143328850


def no_nvml():
    return None


@pytest.mark.parametrize(
    ("tree", "chips", "total_of", "total_mw", "rails"),
    [
        ("orin-nano-jetpack-6.2", "ina3221", "VDD_IN", 5024 * 1.520, "VDD_CPU_GPU_CV VDD_SOC"),
        ("orin-nx-jetpack-6.2", "ina3221", "VDD_IN", 19536 * 0.832, "VDD_CPU_GPU_CV VDD_SOC"),
        (
            "agx-orin-jetpack-6.1", "ina3221", "VDD_GPU_SOC VDD_CPU_CV VIN_SYS_5V0",
            19488 * 0.164 + 19488 * 0.040 + 4968 * 0.812, "VDDQ_VDD2_1V8AO",
        ),
        (
            "thor-jetpack-7.0", "ina3221 and ina238", "VIN", 23117.0,
            "VDD_GPU VDD_CPU_SOC_MSS VIN_SYS_5V0",
        ),
    ],
)  # fmt: skip
def test_the_rails_of_a_board_and_its_total(tree, chips, total_of, total_mw, rails):
    reader = HwmonReader.find(ROOTS / tree)
    assert isinstance(reader, PowerReader)
    assert (reader.name, reader.total_of) == (chips, tuple(total_of.split()))
    reading = reader.read()
    assert reading.total_mw == pytest.approx(total_mw)
    assert set(reading.rails_mw) == {*total_of.split(), *rails.split()}
    assert reading.energy_j is None


def test_a_sleeping_gpu_may_read_below_zero():
    reading = HwmonReader.find(ROOTS / "thor-jetpack-7.0").read()
    assert reading.rails_mw["VDD_GPU"] == pytest.approx(11992 * -0.032)


def test_a_thor_module_without_its_boards_monitor_is_summed(tmp_path):
    tree = shutil.copytree(ROOTS / "thor-jetpack-7.0", tmp_path / "tree")
    shutil.rmtree(tree / "sys/class/hwmon/hwmon5")
    reader = HwmonReader.find(tree)
    assert reader.total_of == ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0")
    assert reader.read().total_mw == pytest.approx(11992 * 0.512 + 4968 * 1.312)


def test_a_chip_that_both_places_show_counts_once(tmp_path):
    tree = shutil.copytree(ROOTS / "orin-nano-jetpack-6.2", tmp_path / "tree")
    chip = tree / "sys/bus/i2c/devices/1-0040/hwmon/hwmon1"
    (tree / "sys/class/hwmon/hwmon1").symlink_to(chip)
    assert len(HwmonReader.find(tree).read().rails_mw) == 3


def test_rails_that_no_document_adds_up_have_no_total(tmp_path):
    tree = shutil.copytree(ROOTS / "orin-nano-jetpack-6.2", tmp_path / "tree")
    (tree / "sys/bus/i2c/devices/1-0040/hwmon/hwmon1/in1_label").write_text("VDD_MINE\n")
    reader = HwmonReader.find(tree)
    assert reader.total_of == ()
    assert reader.read().total_mw is None


@pytest.mark.parametrize("content", [b"", b"off\n", b"\xff"])
def test_a_sensor_that_answers_no_number_is_an_os_error(tmp_path, content):
    tree = shutil.copytree(ROOTS / "orin-nano-jetpack-6.2", tmp_path / "tree")
    reader = HwmonReader.find(tree)
    (tree / "sys/bus/i2c/devices/1-0040/hwmon/hwmon1/curr1_input").write_bytes(content)
    with pytest.raises(OSError, match="curr1_input holds no number"):
        reader.read()


def test_a_machine_without_sensors_has_none(tmp_path):
    assert HwmonReader.find(tmp_path) is None
    assert HwmonReader.find(PC) is None
    assert RaplReader.find(tmp_path) is None
    assert find_power(tmp_path, find_nvml=no_nvml).readers == ()


class Pc:
    """The laptop's counters, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.root = shutil.copytree(PC, folder / "pc", dirs_exist_ok=True)
        self.now_s = 100.0

    def clock(self) -> float:
        return self.now_s

    def count(self, zone: str, uj: int) -> None:
        (self.root / f"sys/class/powercap/{zone}/energy_uj").write_text(f"{uj}\n")


def test_rapl_gives_the_mean_since_the_last_reading(tmp_path):
    pc = Pc(tmp_path)
    reader = RaplReader.find(pc.root, pc.clock)
    assert isinstance(reader, PowerReader)
    assert reader.total_of == ("package-0", "package-0/dram")
    pc.now_s += 2.0
    pc.count("intel-rapl:0", 261_999_000_000 + 30_000_000)
    pc.count("intel-rapl:0:2", 9_000_000_000 + 4_000_000)
    reading = reader.read()
    assert reading.rails_mw["package-0"] == pytest.approx(15_000)
    assert reading.total_mw == pytest.approx(17_000)
    assert reading.energy_j == pytest.approx(34)
    assert set(reading.rails_mw) == {
        "package-0", "package-0/core", "package-0/uncore", "package-0/dram", "psys",
    }  # fmt: skip
    assert reader.read() == reading, "no time passed"


@settings(max_examples=30)
@given(steps=st.lists(st.integers(0, RANGE_UJ - 1), max_size=8), start=st.integers(0, RANGE_UJ - 1))
def test_a_counter_that_wraps_loses_nothing(tmp_path_factory, steps, start):
    pc = Pc(tmp_path_factory.mktemp("pc"))
    pc.count("intel-rapl:0", start)
    reader = RaplReader.find(pc.root, pc.clock)
    count = start
    energy_j = 0.0
    for step in steps:
        count = (count + step) % RANGE_UJ
        pc.count("intel-rapl:0", count)
        pc.now_s += 1.0
        energy_j = reader.read().energy_j
    assert energy_j == pytest.approx(sum(steps) / 1e6)


def test_counters_of_root_alone_come_with_their_mend(monkeypatch):
    def refuse(path: Path) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(rapl_module, "read_number", refuse)
    sources = find_power(PC, find_nvml=no_nvml)
    assert sources.readers == ()
    [problem] = sources.problems
    assert problem.endswith("max_energy_range_uj: Permission denied")
    assert sources.mend.endswith("sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj")


def test_counters_that_hold_garbage_are_named(tmp_path):
    pc = Pc(tmp_path)
    (pc.root / COUNTER).write_text("many\n")
    sources = find_power(pc.root, find_nvml=no_nvml)
    assert sources.readers == ()
    assert sources.problems[0].startswith("RAPL: ")
    assert "energy_uj holds no number" in sources.problems[0]


class FakeNvml:
    """Two GPUs, of which the second is an integrated one that does not tell its power."""

    NVMLError = type("NVMLError", (Exception,), {})

    def __init__(self, counts: bool = True, driver: bool = True) -> None:
        self.counts, self.driver, self.mj, self.shut = counts, driver, 5_000, False

    def nvmlInit(self):
        if not self.driver:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlShutdown(self):
        self.shut = True

    def nvmlDeviceGetCount(self):
        return 2

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetPowerUsage(self, handle):
        if handle == 1:
            raise self.NVMLError("Not Supported")
        return 74_500

    def nvmlDeviceGetTotalEnergyConsumption(self, _):
        if not self.counts:
            raise self.NVMLError("Not Supported")
        return self.mj


def test_nvml_gives_each_gpus_power_and_the_energy_since_it_was_opened():
    nvml = FakeNvml()
    reader = NvmlReader.find(nvml)
    assert isinstance(reader, PowerReader)
    nvml.mj += 149_000
    reading = reader.read()
    assert (reading.rails_mw, reading.total_mw) == ({"GPU 0": 74_500.0}, 74_500.0)
    assert reading.energy_j == pytest.approx(149.0)
    reader.close()
    assert nvml.shut


def test_an_old_gpu_counts_no_energy_and_a_missing_driver_is_no_reader():
    assert NvmlReader.find(FakeNvml(counts=False)).read().energy_j is None
    assert NvmlReader.find(FakeNvml(driver=False)) is None


def test_nvml_that_stops_answering_is_an_os_error():
    nvml = FakeNvml()
    reader = NvmlReader.find(nvml)

    def fail(_):
        raise nvml.NVMLError("GPU is lost")

    nvml.nvmlDeviceGetPowerUsage = fail
    with pytest.raises(OSError, match="NVML: GPU is lost"):
        reader.read()


def test_a_pc_has_processor_and_gpu_and_a_board_its_own_total_alone():
    gpu = SimpleNamespace(name="NVML", total_of=("GPU 0",))
    pc = find_power(PC, find_nvml=lambda: gpu)
    assert [reader.name for reader in pc.readers] == ["RAPL", "NVML"]
    nano = find_power(ROOTS / "orin-nano-jetpack-6.2", find_nvml=lambda: gpu)
    assert [reader.name for reader in nano.readers] == ["ina3221"]
