"""What an NVIDIA GPU does for edgevid: copies, overlap, graphs, batches, and edgevid's own cost.

    python -m edgevid.benchmarks.gpu [--bundle B.edgevid] [--engine onnxruntime-cuda]

Without a GPU the parts that need one are left out, with the reason;
EDGEVID_REQUIRE_GPU=1 makes that an error. Times are medians; what is compared runs in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import edgevid.demo
from edgevid.benchmarks.gpu_bare import bare_call
from edgevid.benchmarks.gpu_kernel import Kernel
from edgevid.convert import convert
from edgevid.engines import open_engine
from edgevid.engines.cuda_buffers import Graph, IoBuffer, Stream
from edgevid.engines.cuda_memory import Cuda, open_cuda
from edgevid.errors import EdgevidError
from edgevid.manifest import Bundle
from edgevid.protocols import Engine
from edgevid.types import Array

_MIB = 1 << 20
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_OVERHEAD_LIMIT_US = 30.0
_GPU_ENGINES = ("tensorrt", "tensorrt-rtx", "onnxruntime-cuda")


def times_ms(*calls: Callable[[], object], rounds: int) -> list[list[float]]:
    """Milliseconds of each call, by call; they run in turn, after three rounds to warm up."""
    times: list[list[float]] = [[] for _ in calls]
    for number in range(rounds + 3):
        for call, kept in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            if number >= 3:
                kept.append((time.perf_counter() - start) * 1e3)
    return times


def medians_ms(*calls: Callable[[], object], rounds: int = 30) -> list[float]:
    """Median of each call, in milliseconds."""
    return [statistics.median(kept) for kept in times_ms(*calls, rounds=rounds)]


def in_order(*steps: Callable[[], object]) -> Callable[[], None]:
    """One call that does all of them."""

    def call() -> None:
        for step in steps:
            step()

    return call


def bandwidth(cuda: Cuda, nbytes: int = 64 * _MIB) -> dict[str, float]:
    """GB/s to and from the GPU, from pageable and from page-locked memory."""
    stream, pinned = Stream(cuda), IoBuffer(cuda, nbytes)
    pageable = np.ones(nbytes, np.uint8)
    locked = pinned.view((nbytes,), np.uint8)
    locked[:] = 1

    def up(host: Any) -> Callable[[], None]:
        return in_order(
            lambda: cuda.copy_to_device(pinned.device_ptr, host, stream.handle), stream.synchronize
        )

    def down(host: Any) -> Callable[[], None]:
        return in_order(
            lambda: cuda.copy_to_host(host, pinned.device_ptr, stream.handle), stream.synchronize
        )

    names = ("pageable up", "pinned up", "pageable down", "pinned down")
    times = medians_ms(up(pageable), up(locked), down(pageable), down(locked))
    pinned.close()
    stream.close()
    return {name: nbytes / ms / 1e6 for name, ms in zip(names, times, strict=True)}


def overlap(cuda: Cuda, kernel: Kernel, nbytes: int = 16 * _MIB, parts: int = 8) -> dict[str, Any]:
    """Copy and compute one after the other, against two streams that take turns."""
    streams = [Stream(cuda), Stream(cuda)]
    sides = [(IoBuffer(cuda, nbytes), IoBuffer(cuda, nbytes)) for _ in streams]

    def compute(rounds: int, lane: int) -> None:
        source, result = sides[lane]
        kernel.launch(result.device_ptr, source.device_ptr, nbytes, rounds, streams[lane])

    def run(rounds: int, lanes: int) -> None:
        for part in range(parts):
            lane = part % lanes
            sides[lane][0].send(nbytes, streams[lane])
            compute(rounds, lane)
        for stream in streams:
            stream.synchronize()

    wait = streams[0].synchronize
    (copy_ms,) = medians_ms(in_order(lambda: sides[0][0].send(nbytes, streams[0]), wait))
    rounds = 64
    while rounds < 1 << 20:
        (kernel_ms,) = medians_ms(in_order(partial(compute, rounds, 0), wait), rounds=5)
        if kernel_ms >= 0.8 * copy_ms:
            break
        rounds = max(rounds + 1, min(rounds * 4, int(rounds * copy_ms / kernel_ms)))
    serial_ms, overlapped_ms = medians_ms(lambda: run(rounds, 1), lambda: run(rounds, 2))
    for buffer in (*sides[0], *sides[1]):
        buffer.close()
    for stream in streams:
        stream.close()
    return {
        "copy_ms": copy_ms,
        "kernel_ms": kernel_ms,
        "serial_ms": serial_ms,
        "overlapped_ms": overlapped_ms,
        "gain": serial_ms / overlapped_ms,
    }


def graph_launch(cuda: Cuda, kernel: Kernel, launches: int = 40) -> dict[str, float]:
    """Many small kernels between two small copies: each launched, against one graph."""
    nbytes = 1 << 16
    stream, source, result = Stream(cuda), IoBuffer(cuda, nbytes), IoBuffer(cuda, nbytes)

    def work() -> None:
        source.send(nbytes, stream)
        for _ in range(launches):
            kernel.launch(result.device_ptr, source.device_ptr, nbytes, 4, stream)
        result.download(nbytes, stream)

    graph = Graph(cuda, stream, work)
    direct_ms, graph_ms = medians_ms(
        in_order(work, stream.synchronize),
        in_order(lambda: graph.launch(stream), stream.synchronize),
        rounds=200,
    )
    graph.close()
    source.close()
    result.close()
    stream.close()
    return {"direct_us": direct_ms * 1e3, "graph_us": graph_ms * 1e3, "gain": direct_ms / graph_ms}


def feeds_of(engine: Engine, batch: int) -> dict[str, Array]:
    """Random pixels, zeros for states."""
    rng = np.random.default_rng(batch)
    feeds: dict[str, Array] = {}
    for info in engine.inputs:
        shape = tuple(batch if d is None else d for d in info.shape)
        pixels = info.dtype == "uint8"
        feeds[info.name] = (
            rng.integers(0, 256, shape, np.uint8) if pixels else np.zeros(shape, info.dtype)
        )
    return feeds


def batches(engine: Engine, largest: int) -> list[dict[str, float]]:
    """Latency and throughput from batch 1 to `largest`."""
    rows = []
    for batch in (b for b in _BATCHES if b <= largest):
        feeds = feeds_of(engine, batch)
        (ms,) = medians_ms(partial(engine.infer, feeds), rounds=20)
        rows.append({"batch": batch, "ms": ms, "per_second": batch / ms * 1e3})
    return rows


def overhead(engine: Engine) -> dict[str, float]:
    """edgevid's `infer` against the bare calls of the same engine, at batch 1, in pairs."""
    feeds = feeds_of(engine, 1)
    bare = bare_call(engine, feeds)
    bare_ms, ours_ms = times_ms(bare, lambda: engine.infer(feeds), rounds=1000)
    added = [ours - bare for ours, bare in zip(ours_ms, bare_ms, strict=True)]
    return {
        "bare_us": statistics.median(bare_ms) * 1e3,
        "edgevid_us": statistics.median(ours_ms) * 1e3,
        "overhead_us": statistics.median(added) * 1e3,
    }


def measure(bundle: Bundle, asked: str | None, largest: int) -> dict[str, Any]:
    """Everything that this machine can measure; what it cannot, with the reason."""
    found: dict[str, Any] = {"left_out": {}}
    try:
        cuda = open_cuda("cuda-python")
    except EdgevidError as exc:
        found["left_out"]["memory layer"] = exc.message
    else:
        kernel = Kernel(cuda)
        found["device"] = cuda.device_name
        found["copy_gb_s"] = bandwidth(cuda)
        found["overlap"] = overlap(cuda, kernel)
        found["graph"] = graph_launch(cuda, kernel)
    found["engines"] = {}
    for name in (asked,) if asked else _GPU_ENGINES:
        try:
            engine = open_engine(bundle, name, max_batch=largest, notify=_say)
        except EdgevidError as exc:
            found["left_out"][name] = exc.message
            continue
        found["engines"][name] = {
            "name": engine.name,
            "overhead": overhead(engine),
            "batches": batches(engine, largest),
        }
        engine.close()
    return found


def show(found: Mapping[str, Any]) -> None:
    """Print what `measure` found."""
    print(f"Device: {found.get('device', 'no GPU')}")
    for name, rate in found.get("copy_gb_s", {}).items():
        print(f"  copy {name:14} {rate:8.2f} GB/s")
    if "overlap" in found:
        o = found["overlap"]
        print(
            f"  copy + compute: {o['serial_ms']:.3f} ms one after the other, "
            f"{o['overlapped_ms']:.3f} ms on two streams ({o['gain']:.2f} times)"
        )
        g = found["graph"]
        print(
            f"  42 small launches: {g['direct_us']:.0f} us each launched, {g['graph_us']:.0f} us "
            f"as a CUDA graph ({g['gain']:.2f} times)"
        )
    for engine in found["engines"].values():
        print(f"{engine['name']}")
        for row in engine["batches"]:
            print(f"  batch {row['batch']:4}  {row['ms']:9.3f} ms  {row['per_second']:10.1f} /s")
        o = engine["overhead"]
        print(
            f"  edgevid {o['edgevid_us']:.1f} us, bare {o['bare_us']:.1f} us: overhead "
            f"{o['overhead_us']:.1f} us (at most {_OVERHEAD_LIMIT_US:.0f} wanted)"
        )
    for part, reason in found["left_out"].items():
        print(f"left out: {part}: {reason}")


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def main() -> int:
    """Measure, print, and give the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bundle", type=Path, help="default: the demo model, FP32")
    parser.add_argument("--engine", help=f"default: each of {', '.join(_GPU_ENGINES)}")
    parser.add_argument("--max-batch", type=int, default=_BATCHES[-1])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = args.bundle
        if path is None:
            path = Path(folder) / "demo.edgevid"
            convert(
                edgevid.demo.MODEL, path, spec=edgevid.demo.SPEC, precision="fp32", target="onnx"
            )
        found = measure(Bundle.load(path), args.engine, args.max_batch)
    show(found)
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")
    required = os.environ.get("EDGEVID_REQUIRE_GPU") == "1"
    return 1 if required and ("device" not in found or not found["engines"]) else 0


if __name__ == "__main__":
    sys.exit(main())
