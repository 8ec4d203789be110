"""`--engine auto`: run what is installed for a moment, keep the fastest, remember it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from edgevid.engines.user_cache import user_cache
from edgevid.errors import EdgevidError, OutputError
from edgevid.files import write_atomic
from edgevid.manifest import Bundle
from edgevid.protocols import Engine
from edgevid.types import Array

ROUNDS = 30
BUDGET_S = 1.5
_LEAST_ROUNDS = 3

TOLERANCES = {"fp32": 0.005, "fp16": 0.02, "int8": 0.05, "mixed": 0.05}
"""How far a score may be from ONNX Runtime's, by the precision of the graph.

TensorRT multiplies FP32 as TF32; in INT8 the engines round at other places.
"""

_PACKAGES = (
    "edgevid", "onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt", "tensorrt-rtx",
    "cuda-python", "pycuda",
)  # fmt: skip


def choose(
    bundle: Bundle,
    candidates: Sequence[str],
    open_one: Callable[[str], Engine],
    settings: Mapping[str, Any],
    notify: Callable[[str], None],
) -> Engine:
    """Open the candidate that is fastest on this machine and answers as ONNX Runtime does.

    Remembered in the user's cache, for this graph, these versions, this processor and GPU and
    these settings; the next time only that engine is opened.

    Args:
        bundle: Whose graphs to run.
        candidates: Names of engines; the last is ONNX Runtime on the CPU.
        open_one: Opens one by name.
        settings: What else decides: threads, batch, GPU. `max_batch` is the batch to try.
        notify: Told, in a sentence each, why one was not taken, and what was found.

    Raises:
        EdgevidError: ONNX Runtime itself cannot run the graph.
    """
    if len(candidates) == 1:
        return open_one(candidates[0])
    key = _key(bundle, candidates, settings)
    file = _file(key)
    remembered = _recall(file, key)
    if remembered is not None and remembered in candidates:
        try:
            return open_one(remembered)
        except EdgevidError as exc:
            notify(f"{remembered} is not used: {exc.message}")
    opened = _open_all(candidates, open_one, notify)
    try:
        feeds = trial_feeds(opened[candidates[-1]], settings["max_batch"])
        _leave_out_wrong(opened, candidates[-1], feeds, bundle.manifest.precision, notify)
        times = time_in_turn(opened, feeds)
    except BaseException:
        _close(opened.values())
        raise
    best = min(times, key=times.__getitem__)
    chosen = opened.pop(best)
    _close(opened.values())
    if len(times) > 1:
        others = ", ".join(f"{name} {ms:.1f}" for name, ms in times.items() if name != best)
        notify(f"Tried for a moment: {best} takes {times[best]:.1f} ms a call ({others})")
    with suppress(OutputError):  # a cache that cannot be written costs a trial at every start
        write_atomic(file, json.dumps({"key": key, "engine": best, "ms": times}).encode())
    return chosen


def trial_feeds(engine: Engine, batch: int) -> dict[str, Array]:
    """Pictures of ramps and noise for what takes pixels, zeros for states."""
    rng = np.random.default_rng(0)
    feeds: dict[str, Array] = {}
    for info in engine.inputs:
        shape = tuple(batch if d is None else d for d in info.shape)
        if info.dtype != "uint8":
            feeds[info.name] = np.zeros(shape, info.dtype)
            continue
        ramp = np.linspace(0, 160, num=int(np.prod(shape[1:]))).reshape(shape[1:])
        feeds[info.name] = (ramp + rng.integers(0, 96, shape)).astype(np.uint8)
    return feeds


def time_in_turn(
    engines: Mapping[str, Engine], feeds: Mapping[str, Array], budget_s: float = BUDGET_S
) -> dict[str, float]:
    """Median of each engine's calls, in milliseconds: one call each a round, in turn.

    At most `ROUNDS` rounds and, after the first few, `budget_s` seconds in all.
    """
    kept: dict[str, list[float]] = {name: [] for name in engines}
    end = time.monotonic() + budget_s
    for number in range(ROUNDS):
        if number >= _LEAST_ROUNDS and time.monotonic() > end:
            break
        for name, engine in engines.items():
            start = time.perf_counter()
            engine.infer(feeds)
            kept[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(times) for name, times in kept.items()}


def difference(found: Array, wanted: Array, tolerance: float) -> str:
    """How scores `(N, C)` differ from the ones wanted; empty where they agree.

    They agree where no score is further off than the tolerance, and the best class is the
    same wherever it leads by more than that.
    """
    off = float(np.abs(found.astype(np.float64) - wanted).max())
    if not off <= tolerance:  # so that NaN is a difference
        return f"its scores differ from ONNX Runtime's by {off:.3g} (at most {tolerance:g})"
    rows = np.arange(len(wanted))
    lead = wanted.max(axis=-1) - wanted[rows, found.argmax(axis=-1)]
    if lead.max() > tolerance:
        return f"its best class is another than ONNX Runtime's, which leads by {lead.max():.3g}"
    return ""


def _leave_out_wrong(
    opened: dict[str, Engine],
    reference: str,
    feeds: Mapping[str, Array],
    precision: str,
    notify: Callable[[str], None],
) -> None:
    """Close and take out what fails or answers differently; this also warms all up."""
    output = opened[reference].outputs[0].name
    wanted = opened[reference].infer(feeds)[output]
    wanted = wanted.reshape(len(wanted), -1)
    for name in [name for name in opened if name != reference]:
        try:
            found = opened[name].infer(feeds)[output].reshape(wanted.shape)
            wrong = difference(found, wanted, TOLERANCES[precision])
        except EdgevidError as exc:
            wrong = exc.message
        if wrong:
            notify(f"{name} is not used: {wrong}")
            opened.pop(name).close()


def _open_all(
    candidates: Sequence[str], open_one: Callable[[str], Engine], notify: Callable[[str], None]
) -> dict[str, Engine]:
    opened: dict[str, Engine] = {}
    for name in candidates:
        try:
            opened[name] = open_one(name)
        except EdgevidError as exc:
            if name == candidates[-1]:
                _close(opened.values())
                raise
            notify(f"{name} is not used: {exc.message}")
    return opened


def _close(engines: Any) -> None:
    for engine in engines:
        engine.close()


def _key(bundle: Bundle, candidates: Sequence[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    graphs = [a.sha256 for a in bundle.manifest.artifacts if a.kind == "model"]
    versions = {name: found for name in _PACKAGES if (found := _version(name))}
    return {
        "graphs": graphs,
        "candidates": list(candidates),
        "versions": versions,
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        **settings,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The CPU's name; where the kernel tells none (Arm), its architecture."""
    with suppress(OSError):
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _file(key: Mapping[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return user_cache("engines") / f"{digest[:32]}.json"


def _recall(file: Path, key: Mapping[str, Any]) -> str | None:
    """The engine noted for exactly this key; None where there is none."""
    try:
        noted = json.loads(file.read_bytes())
        return str(noted["engine"]) if noted["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # absent or damaged: tried again and written anew
