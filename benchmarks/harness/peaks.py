"""What a device can do at most: operations a second, and bytes a second through memory.

Jetsons: by their tensor cores and clocks. One core does 512 dense multiply-adds a clock in INT8
on Orin, half in FP16, a quarter in TF32 (in which TensorRT computes FP32). With NVIDIA's clocks
that gives NVIDIA's own figures, which count sparse weights twice: 170 TOPS for AGX Orin 64GB, 67
for Orin Nano Super. On Thor it is 2048 in FP8 (1035 TFLOPS with sparse weights); INT8 is taken to
be as fast.

Sources: NVIDIA's data sheets of the modules, and "JetPack 6.2 brings Super Mode".
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Literal

import numpy as np

from edgevid.benchmarks.harness.graph_cost import Numbers
from edgevid.device.jetson import read_board
from edgevid.device.machine import ROOT, read_text
from edgevid.device.speed import gpu_limit_mhz
from edgevid.device.system import read_memory


@dataclass(frozen=True)
class Peaks:
    """Limits of a device.

    Attributes:
        gflop_s: 10^9 operations a second by what they are computed in; a multiply-add is two.
        gb_s: 10^9 bytes a second to and from memory.
        source: Where the figures are from.
    """

    gflop_s: dict[Numbers, float]
    gb_s: float
    source: str


@dataclass(frozen=True)
class _Module:
    """Tensor cores, highest clock of the GPU, memory."""

    name: str
    cores: int
    mhz: float
    gb_s: float
    int8_a_clock: int = 512


_SIZE_FP32, _SIZE_INT8 = 512, 1024
_PIECE = 16_000_000
_ORIN_NANO_8 = _Module("Orin Nano 8GB", 32, 625, 68.3)
_MODULES = {
    "nvidia,p3767-0000": _Module("Orin NX 16GB", 32, 918, 102.4),
    "nvidia,p3767-0001": _Module("Orin NX 8GB", 32, 765, 102.4),
    "nvidia,p3767-0003": _ORIN_NANO_8,
    "nvidia,p3767-0004": _Module("Orin Nano 4GB", 16, 625, 34.1),
    "nvidia,p3767-0005": _ORIN_NANO_8,
    "nvidia,p3701-0000": _Module("AGX Orin 32GB (first kit)", 64, 1300, 204.8),
    "nvidia,p3701-0004": _Module("AGX Orin 32GB", 56, 930, 204.8),
    "nvidia,p3701-0005": _Module("AGX Orin 64GB", 64, 1300, 204.8),
    "nvidia,p3834-0008": _Module("Thor T5000", 80, 1575, 273.0, int8_a_clock=2048),
}
_SUPER = {
    "nvidia,p3767-0000": _Module("Orin NX 16GB Super", 32, 1173, 102.4),
    "nvidia,p3767-0001": _Module("Orin NX 8GB Super", 32, 1173, 102.4),
    "nvidia,p3767-0003": _Module("Orin Nano 8GB Super", 32, 1020, 102.4),
    "nvidia,p3767-0004": _Module("Orin Nano 4GB Super", 16, 1020, 51.2),
    "nvidia,p3767-0005": _Module("Orin Nano 8GB Super", 32, 1020, 102.4),
}


def jetson_peaks(root: Path = ROOT) -> Peaks | None:
    """Of the GPU of this board, at the clock that its power mode allows.

    None where the board is none of the table's. The DLA's cores are not in it.
    """
    board = read_board(root)
    if board is None:
        return None
    table = _SUPER if any(name.endswith("-super") for name in board.compatible) else _MODULES
    module = next((table[name] for name in board.compatible if name in table), None)
    if module is None:
        return None
    mhz = min(module.mhz, gpu_limit_mhz(root) or module.mhz)
    int8 = 2.0 * module.cores * module.int8_a_clock * mhz / 1e3
    return Peaks(
        {"int8": int8, "fp16": int8 / 2, "fp32": int8 / 4},
        module.gb_s,
        f"{module.name}: {module.cores} tensor cores at {mhz:.0f} MHz, dense; {module.gb_s:g} GB/s",
    )


def measure_cpu_peaks(threads: int, seconds: float = 0.3, root: Path = ROOT) -> Peaks:
    """Of this CPU: the fastest products of matrices by ONNX Runtime, and the fastest copy.

    FP16 is computed in FP32 there. A copy within the caches is no copy through memory, so pieces of
    arrays as large as the last cache are copied, one after the other, up to 256 MB. Each product
    and each piece takes a few milliseconds: on a busy machine some are not interrupted.

    Args:
        threads: To use, as the measured engine does.
        seconds: For each of the three.
        root: Of the file system; another one in tests.
    """
    size = _copy_bytes(root)
    fp32 = _flop(_SIZE_FP32) * _best_rate(_product("fp32", _SIZE_FP32, threads), seconds)
    int8 = _flop(_SIZE_INT8) * _best_rate(_product("int8", _SIZE_INT8, threads), seconds)
    copied = 2e-9 * _PIECE * _best_rate(_copy(size, threads), seconds)
    return Peaks(
        {"fp32": fp32, "fp16": fp32, "int8": int8},
        copied,
        f"measured: the best products of matrices by ONNX Runtime and the best copies within "
        f"{size / 1e6:.0f} MB, {threads} thread{'' if threads == 1 else 's'}",
    )


def _flop(size: int) -> float:
    """10^9 operations of a product of two square matrices."""
    return 2e-9 * size**3


def _best_rate(call: Callable[[], object], seconds: float) -> float:
    """Calls a second at the best: a limit is what was reached when nothing else got in the way."""
    call()
    best = float("inf")
    end = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < end or best == float("inf"):
        call()
        best = min(best, time.perf_counter() - begun)
    return 1 / best


def _product(numbers: Literal["fp32", "int8"], size: int, threads: int) -> Callable[[], object]:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    kinds = {
        "fp32": ("MatMul", np.float32, np.float32, TensorProto.FLOAT, TensorProto.FLOAT),
        "int8": ("MatMulInteger", np.uint8, np.int8, TensorProto.UINT8, TensorProto.INT32),
    }
    operator, left, right, taken, given = kinds[numbers]
    weights = numpy_helper.from_array(np.ones((size, size), right), "w")
    shape = [size, size]
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", taken, shape)],
        [helper.make_tensor_value_info("y", given, shape)],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feeds = {"x": np.ones(shape, left)}
    return lambda: session.run(None, feeds)


def _copy(size: int, threads: int) -> Callable[[], object]:
    """Copies the next piece, each thread its share; what is copied is read and written."""
    source, target = np.ones(size, np.uint8), np.ones(size, np.uint8)
    share = _PIECE // threads
    starts = cycle(range(0, size - _PIECE + 1, _PIECE))
    pool = ThreadPoolExecutor(threads)

    def copy_share(first: int) -> None:
        np.copyto(target[first : first + share], source[first : first + share])

    def copy_piece() -> None:
        start = next(starts)
        for _ in pool.map(copy_share, range(start, start + share * threads, share)):
            pass

    return copy_piece


def _copy_bytes(root: Path) -> int:
    caches = root / "sys/devices/system/cpu/cpu0/cache"
    texts = [read_text(path) or "" for path in caches.glob("index*/size")]
    largest = max((int(t[:-1]) * 1024 for t in texts if re.fullmatch(r"\d+K", t)), default=0)
    _, available = read_memory(root)
    return min(max(largest, 64_000_000), 256_000_000, available // 8)
