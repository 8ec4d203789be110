"""The CUDA layers without a GPU: names, call order, and errors that say what CUDA said."""

from __future__ import annotations

import ast
import enum
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from fake_gpu import FakeCuda

from edgevid.engines import cuda_memory
from edgevid.engines.cuda_buffers import DeviceBuffer, Event, Graph, IoBuffer, Stream
from edgevid.engines.cuda_memory import CudaPython, PyCuda, open_cuda
from edgevid.errors import EngineError, MissingDependencyError

SOURCE = Path(cuda_memory.__file__).read_text()


def test_every_name_of_cuda_python_exists():
    """Functions called by name, constants and enum members, in the installed bindings."""
    runtime = pytest.importorskip("cuda.bindings.runtime", reason="pip install 'edgevid[cuda]'")
    (layer,) = (n for n in ast.parse(SOURCE).body if getattr(n, "name", "") == "CudaPython")
    names = {n.value for n in ast.walk(layer) if isinstance(n, ast.Constant)}
    names |= {n.attr for n in ast.walk(layer) if isinstance(n, ast.Attribute)}
    cuda = {n for n in names if isinstance(n, str) and n.startswith("cuda") and n.isalnum()}
    assert len(cuda) >= 25
    kinds = (runtime.cudaDeviceAttr, runtime.cudaMemcpyKind, runtime.cudaStreamCaptureMode)
    members = {name for kind in kinds for name in kind.__members__}
    assert {name for name in cuda if not hasattr(runtime, name)} - members == set()


class FakeRuntime(ModuleType):
    """`cuda.bindings.runtime` with one integrated GPU; every call is noted."""

    class cudaError_t(enum.IntEnum):
        cudaSuccess = 0
        cudaErrorMemoryAllocation = 2

    cudaHostAllocDefault, cudaHostAllocMapped, cudaStreamNonBlocking = 0, 2, 1
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
    cudaDeviceAttr = SimpleNamespace(
        cudaDevAttrComputeCapabilityMajor="major",
        cudaDevAttrComputeCapabilityMinor="minor",
        cudaDevAttrIntegrated="integrated",
        cudaDevAttrCanMapHostMemory="map",
    )

    def __init__(self, *, integrated: int, full: bool = False):
        super().__init__("runtime")
        self.answers = {"major": 8, "minor": 7, "integrated": integrated, "map": 1}
        self.full = full
        self.calls: list[tuple[object, ...]] = []
        self.host = np.zeros(64, np.uint8)

    def cudaDeviceGetAttribute(self, attribute, _device):
        return self.cudaError_t.cudaSuccess, self.answers[attribute]

    def cudaGetDeviceProperties(self, _device):
        return self.cudaError_t.cudaSuccess, SimpleNamespace(name=b"Orin")

    def cudaGetErrorName(self, error):
        return self.cudaError_t.cudaSuccess, error.name.encode()

    def cudaGetErrorString(self, _error):
        return self.cudaError_t.cudaSuccess, b"out of memory"

    def cudaMalloc(self, nbytes):
        if self.full:
            return self.cudaError_t.cudaErrorMemoryAllocation, None
        self.calls.append(("cudaMalloc", nbytes))
        return self.cudaError_t.cudaSuccess, 4096

    def cudaHostAlloc(self, nbytes, flags):
        self.calls.append(("cudaHostAlloc", nbytes, flags))
        return self.cudaError_t.cudaSuccess, self.host.ctypes.data

    def cudaHostGetDevicePointer(self, _ptr, _flags):
        return self.cudaError_t.cudaSuccess, 8192

    def __getattr__(self, name):
        if not name.startswith("cuda"):
            raise AttributeError(name)

        def call(*args):
            self.calls.append((name, *args))
            gives = ("Create", "EndCapture", "Instantiate")
            return (self.cudaError_t.cudaSuccess, 1) if any(g in name for g in gives) else (0,)

        return call


def test_cuda_python_on_a_discrete_gpu():
    runtime = FakeRuntime(integrated=0)
    cuda = CudaPython(runtime)
    assert (cuda.compute_capability, cuda.device_name, cuda.integrated) == ("8.7", "Orin", False)
    runtime.calls.clear()
    stream = Stream(cuda)
    buffer = IoBuffer(cuda, 64)
    buffer.upload(np.arange(8, dtype=np.int32), stream)
    buffer.download(32, stream)
    stream.synchronize()
    address = runtime.host.ctypes.data
    assert runtime.calls == [
        ("cudaStreamCreateWithFlags", 1),
        ("cudaHostAlloc", 64, 0),
        ("cudaMalloc", 64),
        ("cudaMemcpyAsync", 4096, address, 32, 1, 1),
        ("cudaMemcpyAsync", address, 4096, 32, 2, 1),
        ("cudaStreamSynchronize", 1),
    ]
    np.testing.assert_array_equal(buffer.read((2, 4), np.int32), np.arange(8).reshape(2, 4))
    runtime.calls.clear()
    for owned in (buffer, stream, buffer, stream):
        owned.close()
    assert runtime.calls == [
        ("cudaFreeHost", address),
        ("cudaFree", 4096),
        ("cudaStreamDestroy", 1),
    ]


def test_cuda_python_on_an_integrated_gpu_copies_nothing():
    runtime = FakeRuntime(integrated=1)
    cuda = CudaPython(runtime)
    stream = Stream(cuda)
    runtime.calls.clear()
    buffer = IoBuffer(cuda, 64)
    buffer.upload(np.full(64, 7, np.uint8), stream)
    buffer.download(64, stream)
    assert runtime.calls == [("cudaHostAlloc", 64, 2)]
    assert buffer.device_ptr == 8192
    assert runtime.host.tolist() == [7] * 64


def test_cuda_python_captures_a_graph_and_launches_it():
    runtime = FakeRuntime(integrated=0)
    cuda = CudaPython(runtime)
    stream, buffer = Stream(cuda), IoBuffer(cuda, 64)
    runtime.calls.clear()
    graph = Graph(cuda, stream, lambda: buffer.send(8, stream))
    graph.launch(stream)
    graph.close()
    assert [call[0] for call in runtime.calls] == [
        "cudaStreamBeginCapture",
        "cudaMemcpyAsync",
        "cudaStreamEndCapture",
        "cudaGraphInstantiate",
        "cudaGraphDestroy",
        "cudaGraphLaunch",
        "cudaGraphExecDestroy",
    ]


def test_pycuda_says_that_it_has_no_graphs():
    cuda = PyCuda(FakeDriver())
    assert not cuda.graphs
    with pytest.raises(EngineError, match="pycuda has no CUDA graphs"):
        Graph(cuda, Stream(cuda), lambda: None)


def test_a_cuda_error_has_its_name_and_a_mend():
    cuda = CudaPython(FakeRuntime(integrated=0, full=True))
    with pytest.raises(EngineError) as caught:
        DeviceBuffer(cuda, 1 << 40)
    text = "CUDA: cudaMalloc failed with cudaErrorMemoryAllocation: out of memory"
    assert caught.value.message == text
    assert "--max-batch" in caught.value.hint


def test_host_memory_is_given_back_when_the_device_is_full():
    runtime = FakeRuntime(integrated=0, full=True)
    with pytest.raises(EngineError):
        IoBuffer(CudaPython(runtime), 64)
    assert runtime.calls[-1] == ("cudaFreeHost", runtime.host.ctypes.data)


class FakeDriver(ModuleType):
    """`pycuda.driver` whose every call needs the primary context to be current."""

    class Error(Exception):
        pass

    class LogicError(Error):
        pass

    host_alloc_flags = SimpleNamespace(DEVICEMAP=2)
    device_attribute = SimpleNamespace(INTEGRATED="integrated", CAN_MAP_HOST_MEMORY="map")

    def __init__(self):
        super().__init__("driver")
        self.depth = 0
        self.log: list[str] = []
        self.broken = False
        self.Context = SimpleNamespace(pop=self._pop)

    def init(self):
        if self.broken:
            raise self.LogicError("cuInit failed: no CUDA-capable device is detected")

    def _push(self):
        self.depth += 1

    def _pop(self):
        self.depth -= 1

    def note(self, what):
        assert self.depth == 1, f"{what} without the context"
        self.log.append(what)

    def Device(self, _number):
        context = SimpleNamespace(push=self._push)
        return SimpleNamespace(
            retain_primary_context=lambda: context,
            compute_capability=lambda: (8, 7),
            name=lambda: "Orin",
            get_attribute=lambda attribute: int(attribute == "map"),
        )

    def mem_alloc(self, nbytes):
        self.note(f"mem_alloc {nbytes}")
        if nbytes > 1 << 30:
            raise self.LogicError("cuMemAlloc failed: out of memory")
        driver = self

        class Allocation(int):
            def free(self):
                driver.note("free device")

        return Allocation(4096)

    def pagelocked_empty(self, nbytes, dtype, mem_flags):
        self.note(f"pagelocked_empty {nbytes} flags {mem_flags}")
        driver = self

        class Pinned(np.ndarray):
            base = SimpleNamespace(free=lambda: driver.note("free host"))

        return np.zeros(nbytes, dtype).view(Pinned)

    def Stream(self):
        self.note("Stream")
        return SimpleNamespace(handle=77, synchronize=lambda: self.note("synchronize"))

    def Event(self):
        self.note("Event")
        return SimpleNamespace(
            record=lambda _stream: self.note("record"),
            synchronize=lambda: self.note("wait"),
            time_since=lambda _start: 1.5,
        )

    def memcpy_htod_async(self, ptr, host, _stream):
        self.note(f"htod {ptr} {host.nbytes}")

    def memcpy_dtoh_async(self, host, ptr, _stream):
        self.note(f"dtoh {ptr} {host.nbytes}")


def test_pycuda_works_inside_the_primary_context_only():
    driver = FakeDriver()
    cuda = PyCuda(driver)
    assert (cuda.compute_capability, cuda.device_name, cuda.integrated) == ("8.7", "Orin", False)
    stream, start, end = Stream(cuda), Event(cuda), Event(cuda)
    buffer = IoBuffer(cuda, 64)
    start.record(stream)
    buffer.upload(np.arange(4, dtype=np.float32), stream)
    buffer.download(16, stream)
    end.record(stream)
    assert end.elapsed_ms(start) == 1.5
    stream.synchronize()
    np.testing.assert_array_equal(buffer.read((4,), np.float32), [0, 1, 2, 3])
    for owned in (buffer, start, end, stream):
        owned.close()
    assert stream.handle == 77
    assert driver.depth == 0
    assert driver.log == [
        *("Stream", "Event", "Event", "pagelocked_empty 64 flags 0", "mem_alloc 64", "record"),
        *("htod 4096 16", "dtoh 4096 16", "record", "wait", "synchronize"),
        *("free host", "free device"),
    ]


def test_pycuda_errors_become_ours_and_leave_the_context():
    driver = FakeDriver()
    cuda = PyCuda(driver)
    with pytest.raises(EngineError, match=r"LogicError: cuMemAlloc failed: out of memory"):
        DeviceBuffer(cuda, 1 << 40)
    assert driver.depth == 0
    driver.broken = True
    with pytest.raises(EngineError, match="no CUDA-capable device"):
        PyCuda(driver)


@pytest.fixture
def packages(monkeypatch):
    """Make the CUDA packages be what a test says; None: not installed."""

    def install(*, bindings=None, cudart=None, pycuda=None):
        cuda = ModuleType("cuda")
        if cudart is not None:
            cuda.cudart = cudart
        monkeypatch.setitem(sys.modules, "cuda", cuda)
        monkeypatch.delitem(sys.modules, "cuda.cudart", raising=False)
        parent = None
        if bindings is not None:
            parent = ModuleType("cuda.bindings")
            parent.runtime = bindings
        monkeypatch.setitem(sys.modules, "cuda.bindings", parent)
        package = None
        if pycuda is not None:
            package = ModuleType("pycuda")
            package.driver = pycuda
        monkeypatch.setitem(sys.modules, "pycuda", package)
        monkeypatch.setitem(sys.modules, "pycuda.driver", pycuda)

    return install


def test_cuda_python_is_taken_first_then_pycuda(packages):
    new, old = FakeRuntime(integrated=0), FakeRuntime(integrated=0)
    packages(bindings=new, cudart=old, pycuda=FakeDriver())
    assert open_cuda().layer == "cuda-python"
    assert open_cuda("pycuda").layer == "pycuda"
    packages(cudart=old)
    old.calls.clear()
    assert open_cuda().layer == "cuda-python"
    assert old.calls[0] == ("cudaSetDevice", 0)
    packages(pycuda=FakeDriver())
    assert open_cuda().layer == "pycuda"


def test_a_missing_package_names_its_extra(packages):
    packages()
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgevid\[cuda\]'"):
        open_cuda()
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgevid\[cuda\]'"):
        open_cuda("cuda-python")
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgevid\[pycuda\]'"):
        open_cuda("pycuda")


def test_the_fake_gpu_is_as_strict_as_a_real_one():
    """The other tests lean on it: nothing arrives before the stream is synchronised."""
    cuda = FakeCuda()
    stream, buffer = Stream(cuda), IoBuffer(cuda, 4)
    buffer.upload(np.array([1, 2, 3, 4], np.uint8), stream)
    assert cuda.live[buffer.device_ptr].tolist() == [0xAA] * 4
    stream.synchronize()
    assert cuda.live[buffer.device_ptr].tolist() == [1, 2, 3, 4]
