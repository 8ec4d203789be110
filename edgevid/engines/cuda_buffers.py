"""Streams, events and buffers on the GPU. Each is given back once, by `close`."""

from __future__ import annotations

import math
from collections.abc import Callable

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

    def upload(self, array: Array, stream: Stream) -> None:
        """Put a C-contiguous array on the GPU: copied here at once, there in stream order."""
        used = self._host.bytes[: array.nbytes]
        used[:] = array.reshape(-1).view(np.uint8)
        if self._device is not None:
            self._cuda.copy_to_device(self.device_ptr, used, stream.handle)

    def download(self, nbytes: int, stream: Stream) -> None:
        """Fetch the first `nbytes`, in stream order; after a synchronize `read` gives them."""
        if self._device is not None:
            self._cuda.copy_to_host(self._host.bytes[:nbytes], self.device_ptr, stream.handle)

    def read(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """What the host side holds, as a new array."""
        nbytes = math.prod(shape) * np.dtype(dtype).itemsize
        values: Array = self._host.bytes[:nbytes].copy().view(dtype).reshape(shape)
        return values

    def close(self) -> None:
        """Give both sides back; a second call does nothing."""
        if self.device_ptr == 0:
            return
        self.device_ptr = 0
        self._cuda.free_host(self._host.handle)
        if self._device is not None:
            self._device.close()
