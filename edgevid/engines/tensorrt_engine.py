"""TensorRT and TensorRT-RTX on the GPU."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevid.engines.build_options import BuildOptions
from edgevid.engines.cuda_buffers import IoBuffer, Stream
from edgevid.engines.cuda_memory import Cuda, open_cuda
from edgevid.engines.engine_layers import load_engine, new_profiler
from edgevid.engines.feeds import check_feeds, show_shape
from edgevid.engines.plan_store import bundle_keys, find_plans, keep_plan, model_sha256
from edgevid.engines.plans import Flavour, PlanKey, short_hash
from edgevid.engines.split_engine import stage_options
from edgevid.engines.tensorrt_build import BuiltPlan, build_plan, capability_to_build
from edgevid.engines.tensorrt_module import error_log, load_tensorrt
from edgevid.errors import EngineError
from edgevid.manifest import Bundle, Stage
from edgevid.types import Array, TensorInfo

if TYPE_CHECKING:
    import tensorrt

_REPORT_EVERY_S = 5.0


def open_tensorrt(
    bundle: Bundle,
    flavour: Flavour,
    max_batch: int,
    notify: Callable[[str], None],
    stage: Stage | None = None,
) -> TensorRTEngine:
    """The bundle's graph on the GPU: from a kept plan that fits, else built here and kept.

    Args:
        bundle: Whose graph.
        flavour: Of TensorRT.
        max_batch: The most windows that are fed at once.
        notify: Told why an engine is built, and how that goes.
        stage: Of a split model: which of its graphs.

    Raises:
        MissingDependencyError: The flavour's or CUDA's package is not installed.
        EngineError: There is no usable GPU, or the plan does not run on it.
        BuildError: No plan can be built from the graph.
    """
    trt = load_tensorrt(flavour)
    cuda = open_cuda()
    options = BuildOptions(1, max_batch, max_batch)
    options = stage_options(options, bundle.manifest, stage)
    want = PlanKey(
        flavour,
        str(trt.__version__),
        cuda.compute_capability,
        bundle.manifest.precision,
        1,
        options.max_batch,
        fixed_batch=False,
        model_hash=short_hash(model_sha256(bundle, stage)),
    )
    refused = ""
    for plan in find_plans(bundle, want):
        loaded = load_engine(trt, plan.data, plan.key)
        if loaded is not None:
            return TensorRTEngine(trt, cuda, loaded, plan.key)
        refused = f"the kept plan {plan.key} does not load ({error_log(trt).take()})"
    notify(_why_build(bundle, want, refused, cuda))
    plan = _build(bundle.file("model", stage), want, options, trt, notify)
    loaded = load_engine(trt, plan.data, plan.key)
    if loaded is None:
        raise EngineError(
            f"TensorRT does not load the plan {plan.key} that it just built: "
            f"{error_log(trt).take()}",
            "Check the GPU's memory and driver, or use --engine onnxruntime",
        )
    keep_plan(bundle, plan, notify)
    return TensorRTEngine(trt, cuda, loaded, plan.key)


def _why_build(bundle: Bundle, want: PlanKey, refused: str, cuda: Cuda) -> str:
    others = ", ".join(str(key) for key in bundle_keys(bundle))
    none_fits = "no kept plan fits this device" + (f" (there are: {others})" if others else "")
    return (
        f"Building an engine with {want.flavour} {want.version} for {cuda.device_name} "
        f"(compute capability {cuda.compute_capability}), because {refused or none_fits}. This "
        "may take minutes, once"
    )


def _build(
    graph: Path, want: PlanKey, options: BuildOptions, trt: Any, notify: Callable[[str], None]
) -> BuiltPlan:
    return build_plan(
        graph,
        want.flavour,
        capability_to_build(trt, want.flavour, want.compute_capability),
        precision=want.precision,
        options=options,
        progress=_reporter(notify),
    )


def _reporter(notify: Callable[[str], None]) -> Callable[[str, int, int], None]:
    last = time.monotonic()

    def report(phase: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _REPORT_EVERY_S:
            last = time.monotonic()
            notify(f"Building the engine: {phase}, step {done} of {total}")

    return report


class TensorRTEngine:
    """Runs a deserialised engine; memory is allocated once, for the largest batch.

    Args:
        trt: The module `tensorrt` or `tensorrt_rtx`.
        cuda: The GPU.
        engine: What `deserialize_cuda_engine` gave.
        key: What the plan was built for.

    Raises:
        EngineError: There is not enough memory, or a shape depends on data.
    """

    def __init__(self, trt: Any, cuda: Cuda, engine: tensorrt.ICudaEngine, key: PlanKey) -> None:
        self._trt = trt
        self._log = error_log(trt)
        self._name = f"{key.flavour} {key.version} ({key.precision}, {cuda.device_name})"
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        takes = trt.TensorIOMode.INPUT
        self._inputs = tuple(
            _info(trt, engine, name) for name in names if engine.get_tensor_mode(name) == takes
        )
        self._outputs = tuple(
            _info(trt, engine, name) for name in names if engine.get_tensor_mode(name) != takes
        )
        largest = {info.name: _largest(engine, info) for info in self._inputs}
        self._varies = {i.name: i.batch_axis for i in self._inputs if i.batch_axis is not None}
        self._max_batch = min(
            (largest[name][axis] for name, axis in self._varies.items()), default=0
        )
        self._context: tensorrt.IExecutionContext = engine.create_execution_context()
        if self._context is None:
            raise EngineError(
                f"TensorRT cannot make an execution context: {self._log.take()}",
                "Free GPU memory, or take a smaller --max-batch",
            )
        self._engine: tensorrt.ICudaEngine | None = engine
        self._buffers: dict[str, IoBuffer] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._stream = Stream(cuda)
        try:
            self._set_shapes(largest)
            self._allocate(cuda, largest)
        except EngineError:
            self.close()
            raise

    @property
    def name(self) -> str:
        return self._name

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        return self._inputs

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        return self._outputs

    @property
    def max_batch(self) -> int:
        """The largest batch of one launch, where the graph's batch varies; else 0."""
        return self._max_batch

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph; a batch beyond `max_batch` in several launches.

        Raises:
            EngineError: A feed does not fit, the engine is closed, or the GPU failed.
        """
        if self._engine is None:
            raise EngineError("the engine is closed", "Open it again: open_engine(bundle)")
        batch = check_feeds(self._inputs, feeds)
        if not self._varies or batch <= self._max_batch:
            return self._launch(feeds)
        pieces = []
        for start in range(0, batch, self._max_batch):
            pieces.append(self._launch(self._cut(feeds, start)))
        return {
            o.name: np.concatenate([piece[o.name] for piece in pieces], axis=o.batch_axis or 0)
            for o in self._outputs
        }

    def layer_times(self, feeds: Mapping[str, Array], calls: int) -> dict[str, float]:
        """What each layer takes, in milliseconds, as the mean of so many calls.

        Args:
            feeds: Every input by name; a batch of at most `max_batch`.
            calls: After one that is not counted.

        Raises:
            EngineError: As `infer`.
        """
        collector = new_profiler(self._trt)
        self.infer(feeds)
        self._context.profiler = collector
        for _ in range(calls):
            self.infer(feeds)
        return {name: total_ms / calls for name, total_ms in collector.totals_ms.items()}

    def close(self) -> None:
        """Give back the engine and its memory."""
        if self._engine is None:
            return
        self._engine = None
        self._context = None
        for buffer in self._buffers.values():
            buffer.close()
        self._stream.close()

    def _cut(self, feeds: Mapping[str, Array], start: int) -> dict[str, Array]:
        """The part of a large batch that one launch takes, from `start` on."""
        cut = slice(start, start + self._max_batch)
        return {
            name: np.ascontiguousarray(array[(slice(None),) * self._varies[name] + (cut,)])
            if name in self._varies
            else array
            for name, array in feeds.items()
        }

    def _launch(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        self._set_shapes({name: array.shape for name, array in feeds.items()})
        for info in self._inputs:
            self._buffers[info.name].upload(feeds[info.name], self._stream)
        if not self._context.execute_async_v3(self._stream.handle):
            raise EngineError(
                f"TensorRT failed in the graph: {self._log.take()}",
                "Free GPU memory, or use --engine onnxruntime",
            )
        for info in self._outputs:
            nbytes = math.prod(self._shapes[info.name]) * np.dtype(info.dtype).itemsize
            self._buffers[info.name].download(nbytes, self._stream)
        self._stream.synchronize()
        return {
            info.name: self._buffers[info.name].read(self._shapes[info.name], info.dtype)
            for info in self._outputs
        }

    def _set_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Tell the context the inputs' shapes where they changed; note the outputs'."""
        if all(self._shapes.get(name) == shape for name, shape in shapes.items()):
            return
        self._shapes.clear()
        for name, shape in shapes.items():
            if not self._context.set_input_shape(name, shape):
                raise EngineError(
                    f"the plan does not take shape {show_shape(shape)} for input {name!r}: "
                    f"{self._log.take()}",
                    "Feed a batch within the plan's range",
                )
        missing = self._context.infer_shapes()
        if missing:
            raise EngineError(f"TensorRT cannot tell the shapes of the outputs without {missing}")
        found = {o.name: tuple(self._context.get_tensor_shape(o.name)) for o in self._outputs}
        for name, shape in found.items():
            if -1 in shape:
                raise EngineError(
                    f"the shape of output {name!r} depends on the data",
                    "Export a model whose outputs have a fixed size, or use --engine onnxruntime",
                )
        self._shapes = {**shapes, **found}

    def _allocate(self, cuda: Cuda, largest: Mapping[str, tuple[int, ...]]) -> None:
        for info in (*self._inputs, *self._outputs):
            shape = largest.get(info.name) or self._shapes[info.name]
            buffer = IoBuffer(cuda, math.prod(shape) * np.dtype(info.dtype).itemsize)
            self._buffers[info.name] = buffer
            self._context.set_tensor_address(info.name, buffer.device_ptr)


def _info(trt: Any, engine: tensorrt.ICudaEngine, name: str) -> TensorInfo:
    shape = tuple(None if d == -1 else int(d) for d in engine.get_tensor_shape(name))
    return TensorInfo(name, shape, _dtype(trt, engine.get_tensor_dtype(name), name))


def _largest(engine: tensorrt.ICudaEngine, info: TensorInfo) -> tuple[int, ...]:
    """The largest shape of an input in the plan's profile."""
    if None not in info.shape:
        return tuple(d for d in info.shape if d is not None)
    _smallest, _usual, largest = engine.get_tensor_profile_shape(info.name, 0)
    return tuple(int(d) for d in largest)


def _dtype(trt: Any, dtype: Any, name: str) -> str:
    known = {
        trt.DataType.BOOL: "bool",
        trt.DataType.FLOAT: "float32",
        trt.DataType.HALF: "float16",
        trt.DataType.INT8: "int8",
        trt.DataType.INT32: "int32",
        trt.DataType.INT64: "int64",
        trt.DataType.UINT8: "uint8",
    }
    if dtype not in known:
        raise EngineError(
            f"{name!r} has type {dtype}, which NumPy does not have",
            "Export the model with float32 inputs and outputs",
        )
    return known[dtype]
