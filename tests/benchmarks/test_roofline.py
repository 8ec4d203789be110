"""Peaks of devices and what a run reaches of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgevid.benchmarks.harness.graph_cost import GraphCost, Layer
from edgevid.benchmarks.harness.peaks import Peaks, jetson_peaks, measure_cpu_peaks
from edgevid.benchmarks.harness.roofline import Calls, roofline

ROOTS = Path(__file__).parents[1] / "data" / "roots"


def board(folder: Path, *compatible: str, max_hz: int | None = None) -> Path:
    tree = folder / "proc/device-tree"
    tree.mkdir(parents=True)
    (tree / "compatible").write_bytes(b"".join(f"nvidia,{c}".encode() + b"\0" for c in compatible))
    if max_hz is not None:
        (folder / "sys/class/devfreq/17000000.gpu").mkdir(parents=True)
        (folder / "sys/class/devfreq/17000000.gpu/max_freq").write_text(f"{max_hz}\n")
    return folder


@pytest.mark.parametrize(
    ("compatible", "sparse_tops", "gb_s"),
    [
        (("p3768-0000+p3767-0003", "p3767-0003"), 40, 68),
        (("p3768-0000+p3767-0005-super", "p3767-0005"), 67, 102),
        (("p3768-0000+p3767-0004", "p3767-0004"), 20, 34),
        (("p3768-0000+p3767-0004-super", "p3767-0004"), 34, 51),
        # Of the Orin NX NVIDIA counts the DLAs in: 70 and 100 TOPS with 20 a DLA, 157 with 80.
        (("p3768-0000+p3767-0001", "p3767-0001"), 50, 102),
        (("p3768-0000+p3767-0000", "p3767-0000"), 60, 102),
        (("p3768-0000+p3767-0000-super", "p3767-0000"), 77, 102),
        (("p3737-0000+p3701-0004", "p3701-0004"), 108, 205),
        (("p3737-0000+p3701-0005", "p3701-0005"), 170, 205),
        (("p4071-0000+p3834-0008", "p3834-0008"), 1035, 273),
    ],
)
def test_dense_peaks_are_half_of_what_nvidia_states_for_sparse_weights(
    tmp_path, compatible, sparse_tops, gb_s
):
    peaks = jetson_peaks(board(tmp_path, *compatible))
    assert peaks.gflop_s["int8"] == pytest.approx(sparse_tops * 1e3 / 2, rel=0.03)
    assert peaks.gflop_s["fp16"] == peaks.gflop_s["int8"] / 2
    assert peaks.gb_s == pytest.approx(gb_s, rel=0.01)


def test_a_power_mode_that_caps_the_clock_caps_the_peak(tmp_path):
    capped = jetson_peaks(board(tmp_path, "p3701-0005", max_hz=650_000_000))
    assert capped.gflop_s["int8"] == pytest.approx(85_197 / 2, rel=1e-3)
    assert "64 tensor cores at 650 MHz" in capped.source


def test_other_machines_are_in_no_table(tmp_path):
    assert jetson_peaks(tmp_path) is None
    assert jetson_peaks(ROOTS / "pc-without-gpu") is None
    assert jetson_peaks(board(tmp_path, "p9999-0000", "tegra234")) is None
    assert jetson_peaks(ROOTS / "orin-nano-jetpack-6.2").source.startswith("Orin Nano 8GB Super")


def test_the_peaks_of_this_cpu_are_measured(tmp_path):
    cache = tmp_path / "sys/devices/system/cpu/cpu0/cache/index3"
    cache.mkdir(parents=True)
    (cache / "size").write_text("64K\n")
    (tmp_path / "proc").mkdir()
    shutil.copy(ROOTS / "pc-without-gpu/proc/meminfo", tmp_path / "proc/meminfo")
    peaks = measure_cpu_peaks(1, 0.05, tmp_path)
    assert peaks.gflop_s["fp32"] > 1
    assert peaks.gflop_s["int8"] > 1
    assert 0.1 < peaks.gb_s < 10_000
    assert peaks.source.endswith("copies within 64 MB, 1 thread")


PEAKS = Peaks({"fp32": 100.0, "fp16": 200.0, "int8": 400.0}, 10.0, "made up")


def cost(*layers: Layer, weights: int = 0, io: int = 0) -> GraphCost:
    return GraphCost(tuple(layers), {"Conv": sum(la.flops for la in layers)}, weights, io)


def test_many_operations_on_few_bytes_are_bound_by_computing():
    one = cost(Layer("Conv", 2e9, "fp32", 5e6), weights=1_000_000, io=1_000_000)
    found = roofline([Calls(one)], PEAKS, clip_s=0.040)
    assert (found.bound, found.limit_ms) == ("compute", pytest.approx(20.0))
    assert found.share == pytest.approx(0.5)
    assert found.reached_gflop_s == pytest.approx(50)
    assert found.peak_gflop_s == pytest.approx(100)
    assert (found.gflop_per_clip, found.mb_per_clip) == (pytest.approx(2), pytest.approx(2))


def test_few_operations_on_many_bytes_are_bound_by_memory():
    one = cost(Layer("Gemm", 1e8, "int8", 1e8), weights=100_000_000)
    found = roofline([Calls(one)], PEAKS, clip_s=0.020)
    assert (found.bound, found.limit_ms) == ("memory", pytest.approx(10.0))
    assert found.share == pytest.approx(0.5)
    assert found.memory_bound_share == 1.0


def test_layers_are_bound_each_by_its_own():
    one = cost(Layer("Conv", 1e9, "fp16", 1e6), Layer("MaxPool", bytes=5e7), io=1_000)
    found = roofline([Calls(one)], PEAKS, clip_s=0.020)
    # 5 ms of operations (0.1 of memory), then 5 ms of memory.
    assert found.layers_limit_ms == pytest.approx(10.0)
    assert found.memory_bound_share == pytest.approx(0.5)
    assert (found.limit_ms, found.layers_share) == (pytest.approx(5.0), pytest.approx(0.5))


def test_a_batch_shares_the_weights_and_a_backbone_runs_once_a_frame():
    batch = cost(Layer("Conv", 8e9, "fp32", 1e6), weights=40_000_000, io=8_000_000)
    by_batch = roofline([Calls(batch, 1 / 4)], PEAKS, clip_s=0.1)
    assert (by_batch.gflop_per_clip, by_batch.mb_per_clip) == (pytest.approx(2), pytest.approx(12))
    backbone, head = cost(Layer("Conv", 1e9, "int8", 1e6)), cost(Layer("Gemm", 1e6, "fp32", 1e3))
    split = roofline([Calls(backbone, 8.0), Calls(head)], PEAKS, clip_s=0.1)
    assert split.gflop_by_numbers == {"int8": pytest.approx(8), "fp32": pytest.approx(0.001)}
    assert split.limit_ms == pytest.approx(8 / 400 * 1e3 + 0.01)


def test_a_graph_without_products_is_bound_by_memory():
    found = roofline([Calls(cost(Layer("Relu", bytes=1e6), io=1_000_000))], PEAKS, clip_s=0.001)
    assert (found.bound, found.gflop_per_clip, found.share) == ("memory", 0, pytest.approx(0.1))
