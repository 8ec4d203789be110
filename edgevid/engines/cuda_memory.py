"""CUDA behind one seam, for `cuda-python` and for `pycuda`; see cuda_buffers.py for its objects.

Both use the device's primary context, which TensorRT uses too. The device is the first that
CUDA shows; `CUDA_VISIBLE_DEVICES` chooses another.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from edgevid.errors import EngineError, MissingDependencyError
from edgevid.types import UInt8Array

Layer = Literal["auto", "cuda-python", "pycuda"]

_HINTS = {
    "cudaErrorMemoryAllocation": "Free GPU memory, or take a smaller --max-batch",
    "cudaErrorInsufficientDriver": "Install an NVIDIA driver, or a cuda-python that fits it",
    "cudaErrorNoDevice": "Check nvidia-smi and CUDA_VISIBLE_DEVICES, or use --engine onnxruntime",
}


@dataclass(frozen=True)
class HostBlock:
    """Page-locked host memory.

    Attributes:
        handle: For `Cuda.free_host`.
        bytes: `(n,)` uint8 view; dangling once freed.
        device_ptr: Address of the same memory for the GPU; None where it is not mapped.
    """

    handle: int
    bytes: UInt8Array
    device_ptr: int | None


class Cuda(Protocol):
    """What edgevid asks of a CUDA package. Every method raises EngineError with CUDA's reason."""

    layer: str
    device_name: str
    compute_capability: str
    integrated: bool
    """The GPU shares the host's memory (Jetson): page-locked memory is mapped, not copied."""
    graphs: bool
    """Work can be captured into CUDA graphs; `pycuda` cannot."""

    def alloc(self, nbytes: int) -> int: ...
    def free(self, ptr: int) -> None: ...
    def alloc_host(self, nbytes: int) -> HostBlock: ...
    def free_host(self, handle: int) -> None: ...
    def copy_to_device(self, ptr: int, host: UInt8Array, stream: int) -> None: ...
    def copy_to_host(self, host: UInt8Array, ptr: int, stream: int) -> None: ...
    def create_stream(self) -> int: ...
    def sync_stream(self, stream: int) -> None: ...
    def destroy_stream(self, stream: int) -> None: ...
    def create_event(self) -> int: ...
    def record_event(self, event: int, stream: int) -> None: ...
    def elapsed_ms(self, start: int, end: int) -> float:
        """Milliseconds between two recorded events; waits for the second."""
        ...

    def destroy_event(self, event: int) -> None: ...
    def begin_capture(self, stream: int) -> None: ...
    def end_capture(self, stream: int) -> int:
        """The graph of what was queued in `stream` since `begin_capture`, ready to launch."""
        ...

    def launch_graph(self, graph: int, stream: int) -> None: ...
    def destroy_graph(self, graph: int) -> None: ...


def open_cuda(layer: Layer = "auto") -> Cuda:
    """The GPU, through `cuda-python` where installed, else `pycuda`.

    Raises:
        MissingDependencyError: The package asked for (auto: both) is not installed.
        EngineError: There is no usable GPU or driver.
    """
    if layer in ("auto", "cuda-python"):
        runtime = _import_cuda_python()
        if runtime is not None:
            return CudaPython(runtime)
        if layer == "cuda-python":
            raise MissingDependencyError("cuda-python", "cuda", "running on the GPU")
    driver = _import_pycuda()
    if driver is not None:
        return PyCuda(driver)
    package, extra = ("pycuda", "pycuda") if layer == "pycuda" else ("cuda-python", "cuda")
    raise MissingDependencyError(package, extra, "running on the GPU")


def _import_cuda_python() -> Any:
    """The runtime bindings; None where they are not installed."""
    try:
        from cuda.bindings import runtime
    except ImportError:
        try:
            from cuda import cudart as runtime  # releases before 12.8
        except ImportError:
            return None
    return runtime


def _import_pycuda() -> Any:
    try:
        import pycuda.driver as driver
    except ModuleNotFoundError:
        return None
    except ImportError as exc:
        raise EngineError(
            f"pycuda is installed but does not load: {exc}",
            "Install the NVIDIA driver, or a pycuda that fits this CUDA",
        ) from None
    return driver


class CudaPython:
    """`cuda.bindings.runtime`, whose calls return (error, values...)."""

    layer = "cuda-python"
    graphs = True

    def __init__(self, runtime: Any) -> None:
        self._rt = runtime
        self._call("cudaSetDevice", 0)
        attribute = runtime.cudaDeviceAttr
        major = self._call("cudaDeviceGetAttribute", attribute.cudaDevAttrComputeCapabilityMajor, 0)
        minor = self._call("cudaDeviceGetAttribute", attribute.cudaDevAttrComputeCapabilityMinor, 0)
        self.compute_capability = f"{major}.{minor}"
        self.integrated = bool(
            self._call("cudaDeviceGetAttribute", attribute.cudaDevAttrIntegrated, 0)
            and self._call("cudaDeviceGetAttribute", attribute.cudaDevAttrCanMapHostMemory, 0)
        )
        self.device_name = self._call("cudaGetDeviceProperties", 0).name.decode()

    def _call(self, name: str, *args: Any) -> Any:
        error, *values = getattr(self._rt, name)(*args)
        if int(error) != 0:
            _, label = self._rt.cudaGetErrorName(error)
            _, text = self._rt.cudaGetErrorString(error)
            raise _cuda_error(name, label.decode(), text.decode())
        return values[0] if values else None

    def alloc(self, nbytes: int) -> int:
        return int(self._call("cudaMalloc", nbytes))

    def free(self, ptr: int) -> None:
        self._call("cudaFree", ptr)

    def alloc_host(self, nbytes: int) -> HostBlock:
        mapped = self.integrated
        flags = self._rt.cudaHostAllocMapped if mapped else self._rt.cudaHostAllocDefault
        ptr = int(self._call("cudaHostAlloc", nbytes, flags))
        view = np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(ptr))
        device_ptr = int(self._call("cudaHostGetDevicePointer", ptr, 0)) if mapped else None
        return HostBlock(ptr, view, device_ptr)

    def free_host(self, handle: int) -> None:
        self._call("cudaFreeHost", handle)

    def copy_to_device(self, ptr: int, host: UInt8Array, stream: int) -> None:
        kind = self._rt.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", ptr, host.ctypes.data, host.nbytes, kind, stream)

    def copy_to_host(self, host: UInt8Array, ptr: int, stream: int) -> None:
        kind = self._rt.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", host.ctypes.data, ptr, host.nbytes, kind, stream)

    def create_stream(self) -> int:
        return int(self._call("cudaStreamCreateWithFlags", self._rt.cudaStreamNonBlocking))

    def sync_stream(self, stream: int) -> None:
        self._call("cudaStreamSynchronize", stream)

    def destroy_stream(self, stream: int) -> None:
        self._call("cudaStreamDestroy", stream)

    def create_event(self) -> int:
        return int(self._call("cudaEventCreate"))

    def record_event(self, event: int, stream: int) -> None:
        self._call("cudaEventRecord", event, stream)

    def elapsed_ms(self, start: int, end: int) -> float:
        self._call("cudaEventSynchronize", end)
        return float(self._call("cudaEventElapsedTime", start, end))

    def destroy_event(self, event: int) -> None:
        self._call("cudaEventDestroy", event)

    def begin_capture(self, stream: int) -> None:
        mode = self._rt.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", stream, mode)

    def end_capture(self, stream: int) -> int:
        graph = self._call("cudaStreamEndCapture", stream)
        try:
            return int(self._call("cudaGraphInstantiate", graph, 0))
        finally:
            self._call("cudaGraphDestroy", graph)

    def launch_graph(self, graph: int, stream: int) -> None:
        self._call("cudaGraphLaunch", graph, stream)

    def destroy_graph(self, graph: int) -> None:
        self._call("cudaGraphExecDestroy", graph)


class PyCuda:
    """`pycuda.driver`, whose objects are kept here by number so that both layers look alike."""

    layer = "pycuda"
    graphs = False

    def __init__(self, driver: Any) -> None:
        self._drv = driver
        self._live: dict[int, Any] = {}
        try:
            driver.init()
            device = driver.Device(0)
            self._context = device.retain_primary_context()
            self.compute_capability = "{}.{}".format(*device.compute_capability())
            self.device_name = str(device.name())
            attribute = driver.device_attribute
            self.integrated = bool(
                device.get_attribute(attribute.INTEGRATED)
                and device.get_attribute(attribute.CAN_MAP_HOST_MEMORY)
            )
        except driver.Error as exc:
            raise _cuda_error("opening the GPU", type(exc).__name__, str(exc)) from None

    @contextmanager
    def _current(self, what: str) -> Iterator[None]:
        """The primary context, current for one call: CUDA keeps one stack for each thread."""
        try:
            self._context.push()
            try:
                yield
            finally:
                self._drv.Context.pop()
        except self._drv.Error as exc:
            raise _cuda_error(what, type(exc).__name__, str(exc)) from None

    def alloc(self, nbytes: int) -> int:
        with self._current("mem_alloc"):
            block = self._drv.mem_alloc(nbytes)
        self._live[int(block)] = block
        return int(block)

    def free(self, ptr: int) -> None:
        with self._current("free"):
            self._live.pop(ptr).free()

    def alloc_host(self, nbytes: int) -> HostBlock:
        flags = self._drv.host_alloc_flags.DEVICEMAP if self.integrated else 0
        with self._current("pagelocked_empty"):
            view = self._drv.pagelocked_empty(nbytes, np.uint8, mem_flags=flags)
            device_ptr = int(view.base.get_device_pointer()) if self.integrated else None
        self._live[id(view)] = view
        return HostBlock(id(view), view, device_ptr)

    def free_host(self, handle: int) -> None:
        with self._current("free"):
            self._live.pop(handle).base.free()

    def copy_to_device(self, ptr: int, host: UInt8Array, stream: int) -> None:
        with self._current("memcpy_htod_async"):
            self._drv.memcpy_htod_async(ptr, host, self._live[stream])

    def copy_to_host(self, host: UInt8Array, ptr: int, stream: int) -> None:
        with self._current("memcpy_dtoh_async"):
            self._drv.memcpy_dtoh_async(host, ptr, self._live[stream])

    def create_stream(self) -> int:
        with self._current("Stream"):
            stream = self._drv.Stream()
        self._live[int(stream.handle)] = stream
        return int(stream.handle)

    def sync_stream(self, stream: int) -> None:
        with self._current("Stream.synchronize"):
            self._live[stream].synchronize()

    def destroy_stream(self, stream: int) -> None:
        with self._current("Stream"):
            del self._live[stream]

    def create_event(self) -> int:
        with self._current("Event"):
            event = self._drv.Event()
        self._live[id(event)] = event
        return id(event)

    def record_event(self, event: int, stream: int) -> None:
        with self._current("Event.record"):
            self._live[event].record(self._live[stream])

    def elapsed_ms(self, start: int, end: int) -> float:
        with self._current("Event.time_since"):
            self._live[end].synchronize()
            return float(self._live[end].time_since(self._live[start]))

    def destroy_event(self, event: int) -> None:
        with self._current("Event"):
            del self._live[event]

    def begin_capture(self, stream: int) -> None:  # noqa: ARG002 - the shape of Cuda
        raise _no_graphs()

    def end_capture(self, stream: int) -> int:  # noqa: ARG002
        raise _no_graphs()

    def launch_graph(self, graph: int, stream: int) -> None:  # noqa: ARG002
        raise _no_graphs()

    def destroy_graph(self, graph: int) -> None:  # noqa: ARG002
        raise _no_graphs()


def _no_graphs() -> EngineError:
    return EngineError("pycuda has no CUDA graphs", "pip install 'edgevid[cuda]'")


def _cuda_error(call: str, name: str, text: str) -> EngineError:
    hint = _HINTS.get(name, "Check the GPU with nvidia-smi, or use --engine onnxruntime")
    return EngineError(f"CUDA: {call} failed with {name}: {text}", hint)
