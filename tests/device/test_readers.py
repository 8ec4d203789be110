"""The readers of system files, on recorded trees and on odd content."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.device.engines import read_libnvinfer
from edgevid.device.gpu import Gpu, parse_smi, read_cuda, read_driver, read_gpus
from edgevid.device.jetson import (
    PowerMode,
    read_board,
    read_l4t,
    read_packages,
    read_power_mode,
)
from edgevid.device.machine import read_text, run_command
from edgevid.device.system import (
    Camera,
    Clocks,
    parse_cpu_list,
    read_cameras,
    read_clocks,
    read_cores,
    read_memory,
)

ROOTS = Path(__file__).parents[1] / "data" / "roots"
NANO = ROOTS / "orin-nano-jetpack-6.2"
AGX = ROOTS / "agx-orin-jetpack-6.1"
THOR = ROOTS / "thor-jetpack-7.0"
PC = ROOTS / "pc-without-gpu"


def write(root: Path, path: str, text: str | bytes) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


@pytest.mark.parametrize(
    ("root", "l4t", "sm", "driver"),
    [
        (NANO, "36.4.3", 87, "540.4.0"),
        (AGX, "36.4.0", 87, "540.4.0"),
        (THOR, "38.2.0", 110, "580.00"),
    ],
)
def test_a_jetson_is_told_by_its_tree(root: Path, l4t: str, sm: int, driver: str) -> None:
    board = read_board(root)
    assert board is not None
    assert read_l4t(root) == l4t
    assert board.sm == sm
    assert read_driver(root) == driver


def test_the_model_has_no_terminating_zero() -> None:
    board = read_board(AGX)
    assert board is not None
    assert board.model == "NVIDIA Jetson AGX Orin Developer Kit"
    assert board.compatible == (
        "nvidia,p3737-0000+p3701-0005",
        "nvidia,p3701-0005",
        "nvidia,tegra234",
    )


def test_another_arm_board_has_no_compute_capability(tmp_path: Path) -> None:
    write(tmp_path, "sys/firmware/devicetree/base/compatible", b"rpi,5-model-b\0brcm,bcm2712\0")
    board = read_board(tmp_path)
    assert board is not None
    assert board.sm is None
    assert board.model == "rpi,5-model-b"


def test_a_pc_has_none_of_it() -> None:
    assert read_board(PC) is None
    assert read_l4t(PC) is None
    assert read_driver(PC) is None
    assert read_cuda(PC) is None
    assert read_power_mode(PC) is None
    assert read_libnvinfer(PC) is None


def test_packages_that_were_removed_are_not_installed() -> None:
    names = ("nvidia-jetpack", "nvidia-l4t-core", "no-such-package")
    assert read_packages(names, AGX) == {"nvidia-l4t-core": "36.4.0-20240912212859"}
    assert read_packages(names, NANO) == {
        "nvidia-jetpack": "6.2+b77",
        "nvidia-l4t-core": "36.4.3-20250107174145",
    }


def test_power_modes() -> None:
    assert read_power_mode(NANO) == PowerMode(1, {0: "15W", 1: "25W", 2: "MAXN_SUPER"}, True)
    agx = read_power_mode(AGX)
    assert agx is not None
    assert (agx.mode, agx.chosen, agx.fastest) == (2, False, 0)


def test_power_status_with_a_fan_mode(tmp_path: Path) -> None:
    write(tmp_path, "var/lib/nvpmodel/status", "pmode:0002 fmode:quiet\n")
    assert read_power_mode(tmp_path) == PowerMode(2, {}, True)


@pytest.mark.parametrize("path", ["var/lib/nvpmodel/status", "etc/nvpmodel.conf"])
def test_a_power_file_without_a_mode_is_named(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match=f"/{path} names no power mode"):
        read_power_mode(write(tmp_path, path, "garbage"))


def test_a_strange_release_file_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nv_tegra_release names no release: 'R00 \(debug\)'"):
        read_l4t(write(tmp_path, "etc/nv_tegra_release", "R00 (debug)\n"))


def test_cuda_comes_from_its_file_or_its_package() -> None:
    assert read_cuda(NANO) == "12.6.2"
    assert read_cuda(THOR) == "13.0.48"
    assert read_cuda(AGX) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cuda": "12"}', '{"cuda": {}}', "null"])
def test_a_malformed_cuda_version_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"version\.json is malformed"):
        read_cuda(write(tmp_path, "usr/local/cuda/version.json", text))


def test_the_newest_tensorrt_library_counts(tmp_path: Path) -> None:
    for name in ("libnvinfer.so.10.3.0", "libnvinfer.so.10.13.3", "libnvinfer.so.10"):
        write(tmp_path, f"usr/lib/aarch64-linux-gnu/{name}", "")
    assert read_libnvinfer(tmp_path) == "10.13.3"
    assert read_libnvinfer(NANO) == "10.3.0"


def test_the_gpu_is_pieced_together(machine) -> None:
    # nvidia-smi on Orin says N/A for the compute capability: the device tree knows it.
    assert read_gpus(machine("orin-nano-jetpack-6.2")) == (Gpu("Orin (nvgpu)", 87, "540.4.0"),)
    assert read_gpus(machine("thor-jetpack-7.0")) == (Gpu("NVIDIA Thor", 110, "580.00"),)
    assert read_gpus(machine("agx-orin-jetpack-6.1")) == (
        Gpu("integrated GPU of nvidia,tegra234", 87, "540.4.0"),
    )
    assert read_gpus(machine("pc-without-gpu")) == ()


def test_a_driver_without_nvidia_smi_still_names_the_gpu(tmp_path: Path, machine) -> None:
    info = "Model: \t\t NVIDIA GeForce RTX 4070\nIRQ:   \t\t 146\n"
    write(tmp_path, "proc/driver/nvidia/gpus/0000:01:00.0/information", info)
    banner = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC"
    write(tmp_path, "proc/driver/nvidia/version", banner)
    assert read_gpus(machine(tmp_path)) == (Gpu("NVIDIA GeForce RTX 4070", None, "550.54.14"),)


def test_nvidia_smi_of_two_gpus_and_of_none() -> None:
    text = "NVIDIA H200, 9.0, 575.57.08\nNVIDIA RTX PRO 6000, 12.0, 575.57.08"
    assert [gpu.sm for gpu in parse_smi(text)] == [90, 120]
    assert parse_smi("No devices were found") == ()
    assert parse_smi("") == ()


@given(st.text())
def test_nvidia_smi_may_say_anything(text: str) -> None:
    for gpu in parse_smi(text):
        assert gpu.name
        assert gpu.sm is None or gpu.sm >= 0


def test_cores_are_those_allowed_and_the_quota() -> None:
    assert read_cores(NANO) == (6, None)
    assert read_cores(PC) == (5, None)
    assert read_cores(THOR) == (14, 4.0)


@given(st.sets(st.integers(0, 300), min_size=1))
def test_cpu_lists_of_any_shape_are_counted(cpus: set[int]) -> None:
    ranges: list[list[int]] = []
    for cpu in sorted(cpus):
        if ranges and ranges[-1][1] == cpu - 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    text = ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)
    assert parse_cpu_list(text) == len(cpus)


def test_memory_is_in_bytes() -> None:
    assert read_memory(NANO) == (7802584 * 1024, 3412040 * 1024)


def test_files_without_the_field_say_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="MemTotal"):
        read_memory(write(tmp_path, "proc/meminfo", "MemFree: 1 kB"))
    with pytest.raises(ValueError, match="Cpus_allowed_list"):
        read_cores(tmp_path)


def test_clocks_are_in_mhz_over_all_cores() -> None:
    assert read_clocks(NANO) == Clocks(("schedutil",), 729, 1344, 1728)
    assert read_clocks(THOR) == Clocks(("performance",), 2601, 2601, 2601)


def test_clocks_that_are_not_exposed(tmp_path: Path) -> None:
    assert read_clocks(tmp_path) is None


def test_metadata_nodes_are_no_cameras() -> None:
    assert read_cameras(NANO) == (
        Camera("/dev/video0", "vi-output, imx219 9-0010"),
        Camera("/dev/video1", "HD Pro Webcam C920"),
    )
    assert [camera.is_csi for camera in read_cameras(NANO)] == [True, False]
    assert read_cameras(AGX) == ()


def test_cameras_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 2):
        write(tmp_path, f"sys/class/video4linux/video{number}/name", f"cam {number}")
    assert [c.device for c in read_cameras(tmp_path)] == ["/dev/video2", "/dev/video10"]


def test_bytes_that_are_no_text_are_read(tmp_path: Path) -> None:
    write(tmp_path, "file", b"\xff\xfe ok\n")
    assert read_text(tmp_path / "file") == "\ufffd\ufffd ok"
    assert read_text(tmp_path / "none") is None
    assert read_text(tmp_path / "file" / "below") is None


def test_commands_that_are_missing_or_fail_give_nothing() -> None:
    assert run_command(("no-such-command-at-all",)) is None
    assert run_command(("false",)) is None
    assert run_command(("echo", "yes")) == "yes"
