"""One execution context on a stream of its own, with memory that is taken once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevid.engines.cuda_buffers import Graph, IoBuffer, Stream
from edgevid.engines.cuda_memory import Cuda
from edgevid.engines.feeds import show_shape
from edgevid.errors import EngineError
from edgevid.types import Array, TensorInfo

if TYPE_CHECKING:
    import tensorrt

Shapes = Mapping[str, tuple[int, ...]]
_Key = tuple[tuple[int, ...], ...]

_GRAPHS = 2
"""Graphs a slot keeps: each needs a context, and a context holds memory for activations."""


class Slot:
    """Takes feeds, runs them, gives outputs; several slots overlap copies and computing.

    From the second call in a row at the same shapes on, copies and kernels are one CUDA graph.
    Where that cannot be captured, they are launched one by one, and `notify` is told once.

    Args:
        cuda: The GPU.
        engine: A deserialised engine.
        inputs, outputs: Its tensors.
        largest: Largest shape of every input.
        take_errors: Gives TensorRT's errors since the last call.
        notify: Told, in a sentence for people, when there will be no graphs.

    Raises:
        EngineError: There is not enough memory, or a shape depends on data.
    """

    def __init__(
        self,
        cuda: Cuda,
        engine: tensorrt.ICudaEngine,
        inputs: Sequence[TensorInfo],
        outputs: Sequence[TensorInfo],
        largest: Shapes,
        take_errors: Callable[[], str],
        notify: Callable[[str], None],
    ) -> None:
        self._cuda = cuda
        self._engine: tensorrt.ICudaEngine = engine
        self._inputs, self._outputs = inputs, outputs
        self._take_errors, self._notify = take_errors, notify
        self._buffers: dict[str, IoBuffer] = {}
        self._graphs: dict[_Key, tuple[Graph, _Launch]] = {}
        self._captures = cuda.graphs
        self._last: _Key | None = None
        self._again = False
        self._stream = Stream(cuda)
        try:
            self._plain = self._new_launch()
            self._plain.set_shapes(largest)
            self._running = self._plain
            for info in (*inputs, *outputs):
                shape = self._plain.shapes[info.name]
                size = math.prod(shape) * np.dtype(info.dtype).itemsize
                self._buffers[info.name] = IoBuffer(cuda, size)
            self._plain.set_addresses(self._buffers)
        except EngineError:
            self.close()
            raise

    def lend(self, shapes: Shapes) -> dict[str, Array]:
        """The page-locked memory of the inputs; what `submit` is given from it is not copied."""
        return {i.name: self._buffers[i.name].view(shapes[i.name], i.dtype) for i in self._inputs}

    def submit(self, feeds: Mapping[str, Array]) -> None:
        """Queue copies and kernels; `feeds` can be changed when this returns, lent ones not."""
        for name, array in feeds.items():
            self._buffers[name].write(array)
        key = tuple(feeds[i.name].shape for i in self._inputs)
        captured = self._graphs.get(key)
        if captured is not None:
            graph, self._running = captured
            graph.launch(self._stream)
            return
        self._plain.set_shapes({name: array.shape for name, array in feeds.items()})
        self._again, self._last = key == self._last, key
        self._running = self._plain
        self.queue()

    def collect(self) -> dict[str, Array]:
        """Wait, and give the outputs as new arrays."""
        self._stream.synchronize()
        shapes = self._running.shapes
        outputs = {
            o.name: self._buffers[o.name].read(shapes[o.name], o.dtype) for o in self._outputs
        }
        if self._captures and self._again and self._running is self._plain:
            self._capture()
        return outputs

    def queue(self) -> None:
        """Queue the copies in, the kernels and the copies out, at the shapes that are set."""
        self._running.queue(self._stream, self._buffers)

    def wait(self) -> None:
        self._stream.synchronize()

    def profile(self, profiler: Any) -> None:
        """Tell an `IProfiler` the times of every layer from now on; graphs would hide them."""
        self._drop_graphs()
        self._captures = False
        self._plain.profile(profiler)

    def close(self) -> None:
        self._drop_graphs()
        for buffer in self._buffers.values():
            buffer.close()
        self._stream.close()

    def _drop_graphs(self) -> None:
        for graph, _launch in self._graphs.values():
            graph.close()
        self._graphs.clear()

    def _capture(self) -> None:
        """Make a graph of what just ran, in a context that never sees other shapes."""
        if len(self._graphs) >= _GRAPHS:
            return
        shapes = {i.name: self._plain.shapes[i.name] for i in self._inputs}
        try:
            launch = self._new_launch()
            launch.set_shapes(shapes)
            launch.set_addresses(self._buffers)
            # TensorRT settles what is left to settle in a first launch, outside the capture.
            launch.queue(self._stream, self._buffers)
            self._stream.synchronize()
            graph = Graph(
                self._cuda, self._stream, lambda: launch.queue(self._stream, self._buffers)
            )
        except EngineError as exc:
            self._captures = False
            self._notify(f"Launches are not captured in CUDA graphs: {exc.message}")
            return
        self._graphs[tuple(shapes[i.name] for i in self._inputs)] = (graph, launch)

    def _new_launch(self) -> _Launch:
        context = self._engine.create_execution_context()
        if context is None:
            raise EngineError(
                f"TensorRT cannot make an execution context: {self._take_errors()}",
                "Free GPU memory, or take a smaller --max-batch",
            )
        return _Launch(context, self._inputs, self._outputs, self._take_errors)


class _Launch:
    """A context with its shapes and addresses."""

    def __init__(
        self,
        context: tensorrt.IExecutionContext,
        inputs: Sequence[TensorInfo],
        outputs: Sequence[TensorInfo],
        take_errors: Callable[[], str],
    ) -> None:
        self._context: tensorrt.IExecutionContext = context
        self._inputs, self._outputs = inputs, outputs
        self._take_errors = take_errors
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._sizes: dict[str, int] = {}

    def set_shapes(self, shapes: Shapes) -> None:
        """Tell the context the inputs' shapes where they changed; note the outputs'."""
        if all(self.shapes.get(name) == shape for name, shape in shapes.items()):
            return
        self.shapes.clear()
        for name, shape in shapes.items():
            if not self._context.set_input_shape(name, shape):
                raise EngineError(
                    f"the plan does not take shape {show_shape(shape)} for input {name!r}: "
                    f"{self._take_errors()}",
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
        self.shapes = {**shapes, **found}
        self._sizes = {
            info.name: math.prod(self.shapes[info.name]) * np.dtype(info.dtype).itemsize
            for info in (*self._inputs, *self._outputs)
        }

    def set_addresses(self, buffers: Mapping[str, IoBuffer]) -> None:
        for name, buffer in buffers.items():
            self._context.set_tensor_address(name, buffer.device_ptr)

    def profile(self, profiler: Any) -> None:
        self._context.profiler = profiler

    def queue(self, stream: Stream, buffers: Mapping[str, IoBuffer]) -> None:
        for info in self._inputs:
            buffers[info.name].send(self._sizes[info.name], stream)
        if not self._context.execute_async_v3(stream.handle):
            raise EngineError(
                f"TensorRT failed in the graph: {self._take_errors()}",
                "Free GPU memory, or use --engine onnxruntime",
            )
        for info in self._outputs:
            buffers[info.name].download(self._sizes[info.name], stream)
