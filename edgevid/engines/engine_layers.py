"""Loading a plan, and what the library itself says of its layers. Needs a GPU."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgevid.engines.cuda_memory import open_cuda
from edgevid.engines.plans import PlanKey
from edgevid.engines.tensorrt_module import error_log, load_tensorrt
from edgevid.errors import BuildError, EngineError, MissingDependencyError

if TYPE_CHECKING:
    import tensorrt


@dataclass(frozen=True)
class EngineLayer:
    """One step of an engine; often several nodes of the graph in one.

    Attributes:
        name: As the library writes it, with the names of the nodes in it.
        kind: Such as "CaskConvolution"; empty where the plan keeps only names.
        outputs: Type and memory format of each output, as the library writes them.
    """

    name: str
    kind: str = ""
    outputs: tuple[str, ...] = ()


def load_engine(trt: Any, data: bytes, key: PlanKey) -> tensorrt.ICudaEngine | None:
    """The engine in a plan whose hash was checked; None where the library refuses it.

    The reason is in `error_log(trt)`.
    """
    error_log(trt).take()
    runtime = trt.Runtime(error_log(trt))
    if key.dla_core is not None:
        runtime.DLA_core = key.dla_core
    engine: tensorrt.ICudaEngine | None = runtime.deserialize_cuda_engine(data)
    return engine


def read_back(key: PlanKey, data: bytes) -> tuple[EngineLayer, ...] | None:
    """Load a plan that was just built and compare it with its key.

    Returns:
        Its layers; None where there is no GPU here that it fits.

    Raises:
        BuildError: The library refuses it, or it takes other batches than its key says.
    """
    trt = load_tensorrt(key.flavour)
    try:
        here = open_cuda().compute_capability
    except (EngineError, MissingDependencyError):
        return None
    if not key.runs_on(here):
        return None
    engine = load_engine(trt, data, key)
    if engine is None:
        raise BuildError(
            f"TensorRT does not load the plan {key} that it just built: {error_log(trt).take()}",
            "Check the GPU's memory and driver",
        )
    for name, low, high in _batches(trt, engine):
        if (low, high) != (key.min_batch, key.max_batch):
            raise BuildError(
                f"the plan {key} takes batches {low} to {high} of input {name!r}",
                "Build it again; this should not happen",
            )
    return engine_layers(trt, engine)


def _batches(trt: Any, engine: tensorrt.ICudaEngine) -> Iterator[tuple[str, int, int]]:
    """(input, smallest, largest) batch of every input whose batch varies."""
    for i in range(engine.num_io_tensors):
        name = engine.get_tensor_name(i)
        is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        if is_input and tuple(engine.get_tensor_shape(name))[:1] == (-1,):
            low, _usual, high = engine.get_tensor_profile_shape(name, 0)
            yield name, int(low[0]), int(high[0])


def engine_layers(trt: Any, engine: tensorrt.ICudaEngine) -> tuple[EngineLayer, ...]:
    """The layers of a loaded engine, in the order in which they run.

    The library tells them as JSON ("Engine Inspector" in its manual): objects where the plan
    was built with `BuildOptions.layer_details`, else bare names.
    """
    inspector: tensorrt.EngineInspector = engine.create_engine_inspector()
    told = json.loads(inspector.get_engine_information(trt.LayerInformationFormat.JSON))
    return tuple(_layer(entry) for entry in told.get("Layers", ()))


def _layer(entry: str | dict[str, Any]) -> EngineLayer:
    if isinstance(entry, str):
        return EngineLayer(entry)
    outputs = tuple(str(o.get("Format/Datatype", "")) for o in entry.get("Outputs", ()))
    return EngineLayer(str(entry.get("Name", "")), str(entry.get("LayerType", "")), outputs)


def new_profiler(trt: Any) -> Any:
    """What an execution context reports its layers' times to.

    Its `totals_ms` adds up, by layer, what each call took.
    """

    class Profiler(trt.IProfiler):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self.totals_ms: dict[str, float] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.totals_ms[layer_name] = self.totals_ms.get(layer_name, 0.0) + ms

    return Profiler()
