"""Streams, events and buffers on the GPU. Each is given back once, by `close`."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from edgevid.engines.cuda_memory import Cuda
from edgevid.errors import EngineError
from edgevid.types import Array


class _Owned:
    def __init__(self, handle: int, release: Callable[[int], None]) -> None:
        self.handle = handle
        self._release: Callable[[int], None] | None = release

    def close(self) -> None:
        """Give it back; a second call does nothing."""
        release, self._release = self._release, None
        if release is not None:
            release(self.handle)


class Stream(_Owned):
    """A queue of work on the GPU; `handle` is what TensorRT takes."""

    def __init__(self, cuda: Cuda) -> None:
        super().__init__(cuda.create_stream(), cuda.destroy_stream)
        self._cuda = cuda

    def synchronize(self) -> None:
        """Wait until everything queued so far is done."""
        self._cuda.sync_stream(self.handle)


class Event(_Owned):
    """A mark in a stream."""

    def __init__(self, cuda: Cuda) -> None:
        super().__init__(cuda.create_event(), cuda.destroy_event)
        self._cuda = cuda

    def record(self, stream: Stream) -> None:
        self._cuda.record_event(self.handle, stream.handle)

    def elapsed_ms(self, start: Event) -> float:
        """Milliseconds from `start` to this event; waits for this one."""
        return self._cuda.elapsed_ms(start.handle, self.handle)


class Graph(_Owned):
    """Work of one stream, captured once and launched again as a whole.

    Args:
        cuda: The GPU.
        stream: Where to capture; it must be idle.
        work: Queues the work in `stream`; nothing of it runs before `launch`.

    Raises:
        EngineError: Something in `work` cannot be captured; the stream can be used again.
    """

    def __init__(self, cuda: Cuda, stream: Stream, work: Callable[[], None]) -> None:
        cuda.begin_capture(stream.handle)
        try:
            work()
        except EngineError:
            with suppress(EngineError):  # a broken capture ends with an error of its own
                cuda.destroy_graph(cuda.end_capture(stream.handle))
            raise
        super().__init__(cuda.end_capture(stream.handle), cuda.destroy_graph)
        self._cuda = cuda

    def launch(self, stream: Stream) -> None:
        """Queue the captured work."""
        self._cuda.launch_graph(self.handle, stream.handle)


class DeviceBuffer(_Owned):
    """`nbytes` of GPU memory; `handle` is its address."""

    def __init__(self, cuda: Cuda, nbytes: int) -> None:
        super().__init__(cuda.alloc(nbytes), cuda.free)
        self.nbytes = nbytes


class IoBuffer:
    """Room for one tensor on the host (page-locked) and on the GPU, allocated once.

    On an integrated GPU (Jetson) both are the same memory and nothing is copied between them.

    Args:
        cuda: The GPU.
        nbytes: Room, in bytes.

    Raises:
        EngineError: There is not enough memory.
    """

    def __init__(self, cuda: Cuda, nbytes: int) -> None:
        self._cuda = cuda
        self._host = cuda.alloc_host(nbytes)
        self._device: DeviceBuffer | None = None
        if self._host.device_ptr is not None:
            self.device_ptr = self._host.device_ptr
            return
        try:
            self._device = DeviceBuffer(cuda, nbytes)
        except EngineError:
            cuda.free_host(self._host.handle)
            raise
        self.device_ptr = self._device.handle

    def view(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """The host side itself, page-locked; dangling once closed."""
        nbytes = math.prod(shape) * np.dtype(dtype).itemsize
        values: Array = self._host.bytes[:nbytes].view(dtype).reshape(shape)
        return values

    def write(self, array: Array) -> None:
        """Put a C-contiguous array on the host side; nothing where it is the host side."""
        if array.ctypes.data != self._host.bytes.ctypes.data:
            self._host.bytes[: array.nbytes] = array.reshape(-1).view(np.uint8)

    def send(self, nbytes: int, stream: Stream) -> None:
        """Copy the first `nbytes` to the GPU, in stream order."""
        if self._device is not None:
            self._cuda.copy_to_device(self.device_ptr, self._host.bytes[:nbytes], stream.handle)

    def upload(self, array: Array, stream: Stream) -> None:
        """`write`, then `send`."""
        self.write(array)
        self.send(array.nbytes, stream)

    def download(self, nbytes: int, stream: Stream) -> None:
        """Fetch the first `nbytes`, in stream order; after a synchronize `read` gives them."""
        if self._device is not None:
            self._cuda.copy_to_host(self._host.bytes[:nbytes], self.device_ptr, stream.handle)

    def read(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """What the host side holds, as a new array."""
        values: Array = self.view(shape, dtype).copy()
        return values

    def close(self) -> None:
        """Give both sides back; a second call does nothing."""
        if self.device_ptr == 0:
            return
        self.device_ptr = 0
        self._cuda.free_host(self._host.handle)
        if self._device is not None:
            self._device.close()
