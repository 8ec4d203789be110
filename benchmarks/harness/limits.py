"""Holds a bundle's run against what the device could do with its graphs."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from edgevid.benchmarks.harness.graph_cost import GraphCost, count_graph
from edgevid.benchmarks.harness.peaks import Peaks, jetson_peaks, measure_cpu_peaks
from edgevid.benchmarks.harness.roofline import Calls, Roofline, roofline
from edgevid.engines.threads import default_threads
from edgevid.errors import EdgevidError, MissingDependencyError
from edgevid.manifest import Bundle, Stage

_GPU = re.compile(r"tensorrt|cuda", re.IGNORECASE)
_THREADS = re.compile(r"(\d+) threads?")

_CPU_PEAKS = lru_cache(measure_cpu_peaks)
"""Once a process: what a machine can do does not change from one bundle to the next."""


def run_against_limits(
    bundle: Bundle,
    engine: str,
    clip_s: float,
    batch: int = 1,
    new_frames: int | None = None,
    cpu_peaks: Callable[[int], Peaks] = _CPU_PEAKS,
) -> tuple[Roofline | None, str]:
    """The roofline of a run, and a note; without one the note says why.

    Args:
        bundle: What ran.
        engine: As it names itself.
        clip_s: Seconds that the engine took for a clip: of a batch, its share.
        batch: Clips in one call.
        new_frames: Of a split model: frames a window that went through the backbone; None: all.
        cpu_peaks: Measures what the CPU can do with so many threads; replaced in tests.
    """
    try:
        calls = bundle_calls(bundle, batch, new_frames)
        peaks = _peaks(engine, cpu_peaks)
    except (EdgevidError, ImportError) as exc:
        return None, f"no roofline: {exc}"
    if peaks is None:
        return None, "no roofline: the peaks of this GPU are not in the table"
    if not any(part.cost.flops for part in calls):
        return None, "no roofline: the graph multiplies no matrices"
    found = roofline(calls, peaks, clip_s)
    missing = ", ".join(f"{count} {kind}" for kind, count in found.uncounted.items())
    return found, f"roofline: operations of {missing} are not counted" if missing else ""


def bundle_calls(bundle: Bundle, batch: int = 1, new_frames: int | None = None) -> list[Calls]:
    """What one clip costs in each graph of a bundle.

    Args:
        batch: Clips in one call.
        new_frames: Of a split model: frames a window that go through the backbone; None: all.

    Raises:
        MissingDependencyError: The package `onnx` is not installed.
        BundleError: A file of the bundle is missing or was changed.
        ModelError: A graph does not take this batch.
    """
    if bundle.manifest.features is None:
        return [Calls(_cost(bundle, None, batch), 1 / batch)]
    head = _cost(bundle, "head", batch)
    frames = _window(bundle) if new_frames is None else new_frames
    return [
        Calls(_cost(bundle, "backbone", frames * batch), 1 / batch),
        Calls(head, 1 / batch),
    ]


def _window(bundle: Bundle) -> int:
    """Frames of a window that the head of a split model takes."""
    import onnx

    head = onnx.load(bundle.file("model", "head"), load_external_data=False)
    return int(head.graph.input[0].type.tensor_type.shape.dim[1].dim_value)


def _cost(bundle: Bundle, stage: Stage | None, batch: int) -> GraphCost:
    path = bundle.file("model", stage)
    return _count_file(path, path.stat().st_mtime_ns, batch)


@lru_cache(maxsize=16)
def _count_file(path: Path, _changed_ns: int, batch: int) -> GraphCost:
    try:
        import onnx
    except ImportError:
        raise MissingDependencyError("onnx", "convert", "counting operations") from None
    model = onnx.load(path, load_external_data=False)
    constants = {tensor.name for tensor in model.graph.initializer}
    # convert leaves no axis open but the batch's.
    inputs = {
        value.name: tuple(dim.dim_value or batch for dim in value.type.tensor_type.shape.dim)
        for value in model.graph.input
        if value.name not in constants
    }
    return count_graph(model, inputs)


def _peaks(engine: str, cpu_peaks: Callable[[int], Peaks]) -> Peaks | None:
    if _GPU.search(engine):
        return jetson_peaks()
    match = _THREADS.search(engine)
    return cpu_peaks(int(match[1]) if match else default_threads())
