"""What a candidate is timed on: the engine that would run it on this machine."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgevid.convert.graph import carried_states
from edgevid.convert.quantize.layer_times import CALLS, LayerTime, onnxruntime_layers, rank
from edgevid.engines.onnxruntime_engine import OnnxRuntimeEngine
from edgevid.engines.plans import FLAVOURS, Flavour
from edgevid.engines.tensorrt_build import BuiltPlan, Progress, build_plan
from edgevid.errors import EdgevidError, EngineError
from edgevid.states import States
from edgevid.types import Array

if TYPE_CHECKING:
    from onnx import ModelProto

TimedOn = Literal["auto", "onnxruntime", "openvino", "tensorrt", "tensorrt-rtx"]


@dataclass(frozen=True)
class TimedEngine:
    """A graph, ready to be run again and again.

    Attributes:
        kind: What it runs on.
        name: The same for people, with its version.
        is_device: True for TensorRT on a GPU: what the bundle is for. False: its times say
            little of the device.
        run: Runs the graph once on feeds (every input by name, batch first).
        close: Gives back what it holds.
        layers: Tells, for feeds, which layers take the time.
        plan: TensorRT only: what was built, to be kept in the bundle.
    """

    kind: Literal["onnxruntime", "openvino", "tensorrt", "tensorrt-rtx"]
    name: str
    is_device: bool
    run: Callable[[Mapping[str, Array]], object]
    close: Callable[[], None]
    layers: Callable[[Mapping[str, Array]], tuple[LayerTime, ...]]
    plan: BuiltPlan | None = None


def timing_engine() -> TimedOn:
    """What `open_for_timing` takes on this machine, so that all candidates are timed on one.

    TensorRT, then TensorRT-RTX, where the package and a GPU are usable; else OpenVINO where
    it is installed; else ONNX Runtime.
    """
    from edgevid.engines.cuda_memory import open_cuda
    from edgevid.engines.tensorrt_module import load_tensorrt

    for flavour in FLAVOURS:
        try:
            load_tensorrt(flavour)
            open_cuda()
        except EdgevidError:
            continue  # this flavour or the GPU is missing: what comes next needs neither
        return flavour
    return "openvino" if importlib.util.find_spec("openvino") else "onnxruntime"


def open_for_timing(
    graph: ModelProto,
    precision: str,
    on: TimedOn = "auto",
    *,
    batch: tuple[int, int, int] = (1, 1, 4),
    progress: Progress | None = None,
) -> TimedEngine:
    """Open a candidate.

    Args:
        graph: In its final precision.
        precision: Of the graph, as it stands in a plan's key.
        on: What to time on; "auto": `timing_engine()`.
        batch: TensorRT only: smallest, usual and largest batch of the plan, as the bundle's
            plans have them, so that the plan can be kept.
        progress: Told how far TensorRT's builder is.

    Raises:
        EngineError: The engine cannot be opened, or does not take the graph.
        BuildError: TensorRT cannot build the graph.
        MissingDependencyError: The engine's package is not installed.
    """
    if on == "auto":
        on = timing_engine()
    if on == "tensorrt" or on == "tensorrt-rtx":
        return _tensorrt(graph, precision, on, batch, progress)
    data: bytes = graph.SerializeToString(deterministic=True)
    if on == "openvino":
        return _openvino(data)
    engine = OnnxRuntimeEngine(data)
    layers = partial(onnxruntime_layers, data)
    return TimedEngine("onnxruntime", engine.name, False, engine.infer, engine.close, layers)


def first_call(graph: ModelProto, clip: Mapping[str, Array]) -> dict[str, Array]:
    """What a graph is fed first of a clip: of one with states, the first step and zeros."""
    states = carried_states(graph)
    frames = {name: array[:1] for name, array in clip.items()}
    return {**frames, **States(states).feeds}


def _tensorrt(
    graph: ModelProto,
    precision: str,
    flavour: Flavour,
    batch: tuple[int, int, int],
    progress: Progress | None,
) -> TimedEngine:
    from edgevid.engines.cuda_memory import open_cuda
    from edgevid.engines.tensorrt_engine import TensorRTEngine
    from edgevid.engines.tensorrt_module import error_log, load_tensorrt

    trt = load_tensorrt(flavour)
    cuda = open_cuda()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        # The same bytes as in a bundle, so that the plan's key fits there.
        file.write_bytes(graph.SerializeToString(deterministic=True))
        plan = build_plan(file, flavour, None, batch, precision=precision, progress=progress)
    runtime = trt.Runtime(error_log(trt))
    loaded = runtime.deserialize_cuda_engine(plan.data)
    if loaded is None:
        raise EngineError(
            f"TensorRT does not load the plan {plan.key} that it just built: "
            f"{error_log(trt).take()}",
            "Check the GPU's memory and driver",
        )
    engine = TensorRTEngine(trt, cuda, loaded, plan.key)
    return TimedEngine(
        flavour,
        engine.name,
        True,
        engine.infer,
        engine.close,
        lambda feeds: rank((name, "", ms) for name, ms in engine.layer_times(feeds, CALLS).items()),
        plan,
    )


def _openvino(data: bytes) -> TimedEngine:
    from edgevid.engines.openvino_engine import OpenVinoEngine

    engine = OpenVinoEngine(data, counters=True)

    def layers(feeds: Mapping[str, Array]) -> tuple[LayerTime, ...]:
        engine.infer(feeds)
        return rank(engine.layer_times(feeds))

    return TimedEngine("openvino", engine.name, False, engine.infer, engine.close, layers)
