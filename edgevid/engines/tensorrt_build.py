"""Building a TensorRT plan from a bundle's ONNX graph.

One path for TensorRT 10.3 to 11.x and TensorRT-RTX: a strongly typed network, so precision
is what the graph says; releases differ only where `hasattr` asks. TensorRT builds on the GPU
it builds for; TensorRT-RTX also on a machine without one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevid.engines import dla
from edgevid.engines.build_options import BuildOptions
from edgevid.engines.build_progress import Progress, progress_monitor
from edgevid.engines.cuda_memory import open_cuda
from edgevid.engines.plan_summary import plan_summary
from edgevid.engines.plans import FLAVOURS, Flavour, PlanKey, short_hash
from edgevid.engines.refusals import parse_graph
from edgevid.engines.tensorrt_module import error_log, load_tensorrt
from edgevid.engines.timing_cache import TimingCache
from edgevid.errors import BuildError
from edgevid.files import sha256_file

if TYPE_CHECKING:
    import tensorrt

__all__ = ["BuiltPlan", "Progress", "build_plan", "capability_to_build", "known_capabilities"]


@dataclass(frozen=True)
class BuiltPlan:
    """A plan as it came from the builder.

    Attributes:
        key: What it is valid for; `Bundle.add_plan(str(key), data)` keeps it.
        data: The plan.
        notes: What a user should know, one sentence each.
        gpu_layers: Built for a DLA: the layers that fell back to the GPU.
    """

    key: PlanKey
    data: bytes
    notes: tuple[str, ...] = ()
    gpu_layers: tuple[str, ...] = ()


def build_plan(
    onnx_path: Path,
    flavour: Flavour,
    compute_capability: str | None = None,
    batch: tuple[int, int, int] | None = None,
    *,
    precision: str,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
) -> BuiltPlan:
    """Build a plan.

    Args:
        onnx_path: The graph, in its final precision.
        flavour: "tensorrt" or "tensorrt-rtx".
        compute_capability: Such as "8.6". None: the GPU here with TensorRT (which builds for
            no other); every GPU from 8.0 on with TensorRT-RTX.
        batch: Smallest, usual and largest batch, in place of those of `options`.
        precision: What the graph is in, for the key: "fp32", "fp16", "int8" or "mixed".
        options: How to build it; the defaults of `BuildOptions` where None.
        progress: Told how far the builder is.

    Raises:
        BuildError: The graph does not parse or does not build, or an argument cannot be.
        MissingDependencyError: The flavour's package is not installed.
        EngineError: TensorRT is to build, and there is no usable GPU.
    """
    options = options or BuildOptions()
    if batch is not None:
        options = replace(options, min_batch=batch[0], opt_batch=batch[1], max_batch=batch[2])
    _check_arguments(onnx_path, flavour)
    if options.dla_core is not None:
        dla.check_dla(flavour, precision)
    trt = load_tensorrt(flavour)
    if flavour == "tensorrt":
        compute_capability = _capability_here(compute_capability)
    return _Build(trt, flavour, compute_capability, precision, options).run(onnx_path, progress)


class _Build:
    """One build, from the graph to the plan.

    Args:
        trt: The module `tensorrt` or `tensorrt_rtx`.
        flavour, compute_capability, precision, options: As for `build_plan`.
    """

    def __init__(
        self,
        trt: Any,
        flavour: Flavour,
        compute_capability: str | None,
        precision: str,
        options: BuildOptions,
    ) -> None:
        self._trt = trt
        self._flavour = flavour
        self._capability = compute_capability
        self._precision = precision
        self._options = options
        self._notes: list[str] = []
        self._gpu_layers: tuple[str, ...] = ()

    def run(self, path: Path, progress: Progress | None) -> BuiltPlan:
        trt, options = self._trt, self._options
        error_log(trt).take()
        builder = trt.Builder(error_log(trt))
        if options.dla_core is not None:
            dla.check_core(trt, builder, options.dla_core)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        # The parser owns the weights: it must live until the build is over.
        parser = trt.OnnxParser(network, error_log(trt))
        if options.dla_core is not None:
            dla.adjust_parser(trt, parser)
        parse_graph(trt, parser, path)
        config = builder.create_builder_config()
        self._configure(config)
        batches = _set_batches(builder, network, config, options)
        self._note(_batch_note(options, batches))
        if options.dla_core is not None:
            placed = dla.place_on_dla(trt, network, config, options.dla_core)
            self._note(placed.note(options.dla_core))
            self._gpu_layers = placed.on_gpu
        data = self._serialize(builder, network, config, progress)
        key = PlanKey(
            self._flavour,
            str(trt.__version__),
            self._capability,
            self._precision,
            batches.min,
            batches.max,
            batches.fixed,
            short_hash(sha256_file(path)),
            options.dla_core,
        )
        self._note(plan_summary(data).doubt(self._precision))
        return BuiltPlan(key, data, tuple(self._notes), self._gpu_layers)

    def _configure(self, config: tensorrt.IBuilderConfig) -> None:
        trt, options = self._trt, self._options
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mb << 20)
        if options.optimization_level is not None:
            config.builder_optimization_level = options.optimization_level
        if options.layer_details:
            config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        if self._flavour == "tensorrt-rtx" and self._capability is not None:
            _set_capability(trt, config, self._capability)
        elif self._flavour == "tensorrt-rtx":
            self._note("No compute capability was given: the plan runs on every GPU from 8.0 on.")

    def _serialize(
        self,
        builder: tensorrt.Builder,
        network: tensorrt.INetworkDefinition,
        config: tensorrt.IBuilderConfig,
        progress: Progress | None,
    ) -> bytes:
        timings = None
        if self._flavour == "tensorrt" and self._options.timing_cache:
            timings = TimingCache(config, _timing_key(self._trt, self._capability))
            self._note(timings.note)
        monitor = progress_monitor(self._trt, progress)
        config.progress_monitor = monitor
        plan = builder.build_serialized_network(network, config)
        if monitor.raised is not None:
            raise monitor.raised
        if plan is None:
            raise BuildError(
                f"TensorRT {self._trt.__version__} cannot build this graph: "
                f"{error_log(self._trt).take()}",
                "Convert with --precision fp32, give the builder more memory, or run with "
                "--engine onnxruntime",
            )
        if timings is not None:
            self._note(timings.save())
        return bytes(plan)

    def _note(self, text: str) -> None:
        if text:
            self._notes.append(text)


def _timing_key(trt: Any, capability: str | None) -> str:
    return f"trt-{trt.__version__}-sm{(capability or '').replace('.', '')}"


def _check_arguments(onnx_path: Path, flavour: str) -> None:
    if flavour not in FLAVOURS:
        raise BuildError(f"unknown target {flavour!r}", f"Choose one of: {', '.join(FLAVOURS)}")
    if not onnx_path.is_file():
        raise BuildError(f"no such file: {onnx_path}", "Give the path of an .onnx file")


def capability_to_build(trt: Any, flavour: Flavour, here: str | None) -> str | None:
    """What to build for on a machine with a GPU of compute capability `here` (None: no GPU).

    TensorRT-RTX builds portable plans for GPUs that it does not know by number.
    """
    if flavour == "tensorrt-rtx" and here not in known_capabilities(trt):
        return None
    return here


def _capability_here(asked: str | None) -> str:
    here = open_cuda().compute_capability
    if asked is not None and asked != here:
        raise BuildError(
            f"TensorRT builds only for the GPU it runs on: asked for compute capability "
            f"{asked}, this GPU has {here}",
            "Leave --compute-capability out, or convert on that device",
        )
    return here


def known_capabilities(trt: Any) -> dict[str, Any]:
    """Compute capabilities that a TensorRT-RTX can build for without that GPU, by "8.6"."""
    if not hasattr(trt, "ComputeCapability"):
        return {}
    members = dict(trt.ComputeCapability.__members__)
    numbers = sorted(int(name[2:]) for name in members if name.startswith("SM"))
    return {f"{number // 10}.{number % 10}": members[f"SM{number}"] for number in numbers}


def check_capability(trt: Any, asked: str) -> None:
    """Raise BuildError where this TensorRT-RTX cannot build for the compute capability."""
    known = known_capabilities(trt)
    if asked not in known:
        raise BuildError(
            f"TensorRT-RTX {trt.__version__} cannot build for compute capability {asked!r}",
            f"Known are: {', '.join(known) or 'none'}; leave it out for a plan that runs on every "
            "GPU from 8.0 on",
        )


def _set_capability(trt: Any, config: tensorrt.IBuilderConfig, asked: str) -> None:
    check_capability(trt, asked)
    known = known_capabilities(trt)
    if not hasattr(config, "set_compute_capability"):
        raise BuildError(
            f"{trt.__name__} {trt.__version__} builds for the GPU that it runs on alone",
            "Leave --compute-capability out",
        )
    if hasattr(config, "num_compute_capabilities"):
        config.num_compute_capabilities = 1
    config.set_compute_capability(known[asked], 0)


@dataclass(frozen=True)
class _Batches:
    min: int
    max: int
    fixed: bool


def _set_batches(
    builder: tensorrt.Builder,
    network: tensorrt.INetworkDefinition,
    config: tensorrt.IBuilderConfig,
    options: BuildOptions,
) -> _Batches:
    """Give every input with an open axis the range of batches that was chosen.

    Of pictures that is the first axis; of an LSTM's states, for one, the second.

    A DLA takes one batch only ("General Restrictions" in its documentation): the usual one.
    """
    batch = options.batch if options.dla_core is None else (options.opt_batch,) * 3
    profile = builder.create_optimization_profile()
    shapes: dict[str, tuple[int, ...]] = {}
    for i in range(network.num_inputs):
        tensor = network.get_input(i)
        shapes[tensor.name] = tuple(tensor.shape)
    dynamic = _check_open_axes(shapes)
    for name, shape in shapes.items():
        if -1 in shape:
            profile.set_shape(name, *(tuple(n if d == -1 else d for d in shape) for n in batch))
    if dynamic:
        config.add_optimization_profile(profile)
        return _Batches(batch[0], batch[2], fixed=False)
    size = max((shape[0] for shape in shapes.values() if shape), default=1)
    return _Batches(size, size, fixed=True)


def _check_open_axes(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """True where the batch varies.

    Raises:
        BuildError: Something else varies too.
    """
    first_varies = any(shape[:1] == (-1,) for shape in shapes.values())
    for name, shape in shapes.items():
        if shape.count(-1) > 1 or (-1 in shape and not first_varies):
            raise BuildError(
                f"input {name!r} has shape {_show(shape)}: only the first axis may vary",
                "Fix the other dimensions when exporting the model",
            )
    return first_varies


def _batch_note(options: BuildOptions, batches: _Batches) -> str:
    if batches.fixed and batches.max != options.max_batch:
        return f"The graph fixes the batch at {batches.max}."
    if batches.max != options.max_batch:
        return f"A DLA takes one batch: the plan is for {batches.max}, the usual one."
    return ""


def _show(shape: Sequence[int]) -> str:
    return "[" + ", ".join("?" if d == -1 else str(d) for d in shape) + "]"
