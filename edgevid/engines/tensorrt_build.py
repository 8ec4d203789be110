"""Building a TensorRT plan from a bundle's ONNX graph.

One path for TensorRT 10.3 to 11.x and TensorRT-RTX: a strongly typed network, so precision
is what the graph says; releases differ only where `hasattr` asks. TensorRT builds on the GPU
it builds for; TensorRT-RTX also on a machine without one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevid.engines.cuda_memory import open_cuda
from edgevid.engines.plans import FLAVOURS, Flavour, PlanKey, short_hash
from edgevid.engines.tensorrt_module import error_log, load_tensorrt
from edgevid.errors import BuildError
from edgevid.manifest import sha256_file

if TYPE_CHECKING:
    import tensorrt

Progress = Callable[[str, int, int], None]
"""Told (phase, steps done, steps in all) while the builder works."""

WORKSPACE_BYTES = 1 << 30


@dataclass(frozen=True)
class BuiltPlan:
    """A plan as it came from the builder.

    Attributes:
        key: What it is valid for; `Bundle.add_plan(str(key), data)` keeps it.
        data: The plan.
        notes: What a user should know, one sentence each.
    """

    key: PlanKey
    data: bytes
    notes: tuple[str, ...] = ()


def build_plan(
    onnx_path: Path,
    flavour: Flavour,
    compute_capability: str | None = None,
    batch: tuple[int, int, int] = (1, 1, 4),
    *,
    precision: str,
    workspace_bytes: int = WORKSPACE_BYTES,
    progress: Progress | None = None,
) -> BuiltPlan:
    """Build a plan.

    Args:
        onnx_path: The graph, in its final precision.
        flavour: "tensorrt" or "tensorrt-rtx".
        compute_capability: Such as "8.6". None: the GPU here with TensorRT (which builds for
            no other); every GPU from 8.0 on with TensorRT-RTX.
        batch: Smallest, usual and largest batch, for graphs with a dynamic batch.
        precision: What the graph is in, for the key: "fp32", "fp16", "int8".
        workspace_bytes: Most scratch memory a layer may take.
        progress: Told how far the builder is.

    Raises:
        BuildError: The graph does not parse or does not build, or an argument cannot be.
        MissingDependencyError: The flavour's package is not installed.
        EngineError: TensorRT is to build, and there is no usable GPU.
    """
    _check_arguments(onnx_path, flavour, batch)
    trt = load_tensorrt(flavour)
    notes: list[str] = []
    if flavour == "tensorrt":
        compute_capability = _capability_here(compute_capability)
    elif compute_capability is None:
        notes.append("No compute capability was given: the plan runs on every GPU from 8.0 on.")

    error_log(trt).take()
    builder = trt.Builder(error_log(trt))
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    # The parser owns the weights: it must live until the build is over.
    parser = trt.OnnxParser(network, error_log(trt))
    _parse(parser, onnx_path)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_bytes)
    if flavour == "tensorrt-rtx" and compute_capability is not None:
        _set_capability(trt, config, compute_capability)
    batches = _set_batches(builder, network, config, batch)
    if batches.fixed and batch[2] != batches.max:
        notes.append(f"The graph fixes the batch at {batches.max}.")

    data = _build(trt, builder, network, config, progress)
    key = PlanKey(
        flavour,
        str(trt.__version__),
        compute_capability,
        precision,
        batches.min,
        batches.max,
        batches.fixed,
        short_hash(sha256_file(onnx_path)),
    )
    return BuiltPlan(key, data, tuple(notes))


def _check_arguments(onnx_path: Path, flavour: str, batch: tuple[int, int, int]) -> None:
    if flavour not in FLAVOURS:
        raise BuildError(f"unknown target {flavour!r}", f"Choose one of: {', '.join(FLAVOURS)}")
    if not 1 <= batch[0] <= batch[1] <= batch[2]:
        raise BuildError(
            f"batch {batch} cannot be", "Give smallest, usual, largest, such as (1, 1, 4)"
        )
    if not onnx_path.is_file():
        raise BuildError(f"no such file: {onnx_path}", "Give the path of an .onnx file")


def _capability_here(asked: str | None) -> str:
    here = open_cuda().compute_capability
    if asked is not None and asked != here:
        raise BuildError(
            f"TensorRT builds only for the GPU it runs on: asked for compute capability "
            f"{asked}, this GPU has {here}",
            "Leave --compute-capability out, or convert on that device",
        )
    return here


def _parse(parser: tensorrt.OnnxParser, path: Path) -> None:
    if parser.parse_from_file(str(path)):
        return
    problems = []
    hint = "Check that it is a whole ONNX file: edgevid inspect"
    for i in range(parser.num_errors):
        error: tensorrt.ParserError = parser.get_error(i)
        where = ""
        if error.node_operator():
            where = f"node {error.node_name() or error.node()!r} ({error.node_operator()}): "
            hint = "Export the model without that operator, or run it with --engine onnxruntime"
        problems.append(where + error.desc().strip(". "))
    raise BuildError(
        f"TensorRT cannot parse {path}: {'; '.join(problems) or 'it did not say why'}", hint
    )


def known_capabilities(trt: Any) -> dict[str, Any]:
    """Compute capabilities that a TensorRT-RTX can build for without that GPU, by "8.6"."""
    if not hasattr(trt, "ComputeCapability"):
        return {}
    members = dict(trt.ComputeCapability.__members__)
    numbers = sorted(int(name[2:]) for name in members if name.startswith("SM"))
    return {f"{number // 10}.{number % 10}": members[f"SM{number}"] for number in numbers}


def _set_capability(trt: Any, config: tensorrt.IBuilderConfig, asked: str) -> None:
    known = known_capabilities(trt)
    if asked not in known or not hasattr(config, "set_compute_capability"):
        listed = ", ".join(known) or "none"
        raise BuildError(
            f"TensorRT-RTX {trt.__version__} cannot build for compute capability {asked!r}",
            f"Known are: {listed}; leave it out for a plan that runs on every GPU from 8.0 on",
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
    batch: tuple[int, int, int],
) -> _Batches:
    """Give every input with a dynamic first axis the range `batch`."""
    profile = builder.create_optimization_profile()
    fixed: set[int] = set()
    dynamic = 0
    for i in range(network.num_inputs):
        tensor: tensorrt.ITensor = network.get_input(i)
        shape = tuple(tensor.shape)
        if -1 in shape[1:]:
            raise BuildError(
                f"input {tensor.name!r} has shape {_show(shape)}: only the first axis may vary",
                "Fix the other dimensions when exporting the model",
            )
        if shape and shape[0] == -1:
            dynamic += 1
            profile.set_shape(tensor.name, *((size, *shape[1:]) for size in batch))
        elif shape:
            fixed.add(shape[0])
    if dynamic:
        config.add_optimization_profile(profile)
        return _Batches(batch[0], batch[2], fixed=False)
    size = max(fixed, default=1)
    return _Batches(size, size, fixed=True)


def _show(shape: Sequence[int]) -> str:
    return "[" + ", ".join("?" if d == -1 else str(d) for d in shape) + "]"


def _build(
    trt: Any,
    builder: tensorrt.Builder,
    network: tensorrt.INetworkDefinition,
    config: tensorrt.IBuilderConfig,
    progress: Progress | None,
) -> bytes:
    monitor = _monitor(trt, progress)
    config.progress_monitor = monitor
    plan = builder.build_serialized_network(network, config)
    if monitor.raised is not None:
        raise monitor.raised
    if plan is None:
        raise BuildError(
            f"TensorRT {trt.__version__} cannot build this graph: {error_log(trt).take()}",
            "Convert with --precision fp32, give the builder more memory, or run with "
            "--engine onnxruntime",
        )
    return bytes(plan)


def _monitor(trt: Any, progress: Progress | None) -> Any:
    """A progress monitor that also ends the build where `progress` or Ctrl-C raises.

    An exception must not cross the library's own frames: it is kept in `raised`, the build
    is told to stop, and `_build` raises it again.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.raised: BaseException | None = None
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:  # noqa: ARG002
            self._steps[phase_name] = num_steps

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

        def step_complete(self, phase_name: str, step: int) -> bool:
            try:
                if progress is not None:
                    progress(phase_name, step + 1, self._steps.get(phase_name, step + 1))
            except BaseException as exc:
                self.raised = exc
            return self.raised is None

    return Monitor()
