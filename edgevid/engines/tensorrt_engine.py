"""TensorRT and TensorRT-RTX on the GPU."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevid.engines.build_options import BuildOptions
from edgevid.engines.cuda_memory import Cuda, open_cuda
from edgevid.engines.engine_layers import load_engine, new_profiler
from edgevid.engines.feeds import FeedCheck
from edgevid.engines.plan_store import bundle_keys, find_plans, keep_plan, model_sha256
from edgevid.engines.plans import Flavour, PlanKey, short_hash
from edgevid.engines.split_engine import stage_options
from edgevid.engines.tensorrt_build import BuiltPlan, build_plan, capability_to_build
from edgevid.engines.tensorrt_module import error_log, load_tensorrt
from edgevid.engines.tensorrt_slot import Slot
from edgevid.errors import EngineError
from edgevid.manifest import Bundle, Stage
from edgevid.types import Array, TensorInfo

if TYPE_CHECKING:
    import tensorrt

_REPORT_EVERY_S = 5.0
_SLOTS = 2
"""Execution contexts: one computes while the other's pixels are copied."""

_log = logging.getLogger(__name__)


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
            return TensorRTEngine(trt, cuda, loaded, plan.key, notify)
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
    return TensorRTEngine(trt, cuda, loaded, plan.key, notify)


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
    """Runs a deserialised engine; memory is taken once a slot, for the largest batch.

    Args:
        trt: The module `tensorrt` or `tensorrt_rtx`.
        cuda: The GPU.
        engine: What `deserialize_cuda_engine` gave.
        key: What the plan was built for.
        notify: Told, in sentences for people, what does not work as it should.

    Raises:
        EngineError: There is not enough memory, or a shape depends on data.
    """

    def __init__(
        self,
        trt: Any,
        cuda: Cuda,
        engine: tensorrt.ICudaEngine,
        key: PlanKey,
        notify: Callable[[str], None] = _log.info,
    ) -> None:
        self._trt = trt
        self._log = error_log(trt)
        self._name = f"{key.flavour} {key.version} ({key.precision}, {cuda.device_name})"
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        takes = trt.TensorIOMode.INPUT
        self._inputs = tuple(
            _info(trt, engine, name) for name in names if engine.get_tensor_mode(name) == takes
        )
        self._check_feeds = FeedCheck(self._inputs)
        self._outputs = tuple(
            _info(trt, engine, name) for name in names if engine.get_tensor_mode(name) != takes
        )
        self._largest = {info.name: _largest(engine, info) for info in self._inputs}
        self._varies = {i.name: i.batch_axis for i in self._inputs if i.batch_axis is not None}
        self._max_batch = min(
            (self._largest[name][axis] for name, axis in self._varies.items()), default=0
        )
        self._engine: tensorrt.ICudaEngine | None = engine
        self._cuda, self._notify = cuda, notify
        self.slots = [self._new_slot()]
        self._running: deque[Slot] = deque()

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
        """Run the graph; a batch beyond `max_batch` in several launches that overlap.

        Raises:
            EngineError: A feed does not fit, the engine is closed, the GPU failed, or what was
                submitted before is not collected yet.
        """
        batch = self._check(feeds)
        if self._running:
            raise EngineError("submitted work is not collected yet", "Call collect() first")
        if not self._varies or batch <= self._max_batch:
            self._start(feeds)
            return self.collect()
        pieces = []
        for start in range(0, batch, self._max_batch):
            if len(self._running) == _SLOTS:
                pieces.append(self.collect())
            self._start(self._cut(feeds, start))
        pieces += [self.collect() for _ in range(len(self._running))]
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
        self.slots[0].profile(collector)
        for _ in range(calls):
            self.infer(feeds)
        return {name: total_ms / calls for name, total_ms in collector.totals_ms.items()}

    def lend(self, batch: int) -> dict[str, Array]:
        """Page-locked arrays for the next `infer` or `submit` to be fed with, uncopied.

        They hold what was last written there, and belong to that call until it is collected.

        Args:
            batch: At most `max_batch`, where the graph's batch varies.

        Raises:
            EngineError: The batch is too large, or the engine is closed or busy.
        """
        if self._engine is None:
            raise EngineError("the engine is closed", "Open it again: open_engine(bundle)")
        if self._varies and not 1 <= batch <= self._max_batch:
            raise EngineError(
                f"cannot lend room for a batch of {batch}", f"Ask for 1 to {self._max_batch}"
            )
        shapes = {i.name: tuple(batch if d is None else d for d in i.shape) for i in self._inputs}
        return self._free_slot().lend(shapes)

    def submit(self, feeds: Mapping[str, Array]) -> None:
        """Start the graph and do not wait; twice in a row, copies and computing overlap.

        Raises:
            EngineError: A feed does not fit or is beyond `max_batch`, the engine is closed, the
                GPU failed, or two batches are running already.
        """
        batch = self._check(feeds)
        if self._varies and batch > self._max_batch:
            raise EngineError(
                f"a batch of {batch} is more than one launch takes",
                f"Submit {self._max_batch} at most, or call infer",
            )
        self._start(feeds)

    def collect(self) -> dict[str, Array]:
        """Wait for the oldest batch submitted; its outputs, as `infer` gives them.

        Raises:
            EngineError: Nothing was submitted, or the GPU failed.
        """
        if not self._running:
            raise EngineError("nothing was submitted", "Call submit(feeds) first")
        return self._running.popleft().collect()

    def close(self) -> None:
        """Give back the engine and its memory."""
        if self._engine is None:
            return
        self._engine = None
        for slot in self._running:
            slot.wait()
        self._running.clear()
        for slot in self.slots:
            slot.close()
        self.slots.clear()

    def _check(self, feeds: Mapping[str, Array]) -> int:
        if self._engine is None:
            raise EngineError("the engine is closed", "Open it again: open_engine(bundle)")
        return self._check_feeds(feeds)

    def _start(self, feeds: Mapping[str, Array]) -> None:
        slot = self._free_slot()
        slot.submit(feeds)
        self._running.append(slot)

    def _free_slot(self) -> Slot:
        """A slot that runs nothing; the second is made when it is first needed."""
        for slot in self.slots:
            if slot not in self._running:
                return slot
        if len(self.slots) == _SLOTS:
            raise EngineError(f"{_SLOTS} batches are running already", "Call collect() first")
        self.slots.append(self._new_slot())
        return self.slots[-1]

    def _new_slot(self) -> Slot:
        assert self._engine is not None
        return Slot(
            self._cuda,
            self._engine,
            self._inputs,
            self._outputs,
            self._largest,
            self._log.take,
            self._notify,
        )

    def _cut(self, feeds: Mapping[str, Array], start: int) -> dict[str, Array]:
        """The part of a large batch that one launch takes, from `start` on."""
        cut = slice(start, start + self._max_batch)
        return {
            name: np.ascontiguousarray(array[(slice(None),) * self._varies[name] + (cut,)])
            if name in self._varies
            else array
            for name, array in feeds.items()
        }


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
