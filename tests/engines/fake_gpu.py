"""A GPU of NumPy: memory at real addresses, work that waits in its stream, and a TensorRT.

Copies and launches run only when their stream is synchronised, in order, so an engine that
reads too early, copies to the wrong place or forgets a step gets wrong numbers.
"""

from __future__ import annotations

import ctypes
import enum
import json
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from edgevid.engines.cuda_memory import HostBlock
from edgevid.errors import EngineError


def at(address: int, nbytes: int) -> np.ndarray:
    return np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(address))


class FakeCuda:
    layer = "fake"
    graphs = True
    device_name = "Fake Orin"

    def __init__(self, *, integrated: bool = False, capability: str = "8.7", room: int = 1 << 20):
        self.integrated = integrated
        self.compute_capability = capability
        self.room = room
        self.live: dict[int, np.ndarray] = {}
        self.queues: dict[int, list[Callable[[], None]]] = {}
        self.calls: list[str] = []
        self.captured: list[list[Callable[[], None]] | None] = []

    def _take(self, nbytes: int) -> np.ndarray:
        if nbytes + sum(a.nbytes for a in self.live.values()) > self.room:
            raise EngineError("CUDA: cudaMalloc failed with cudaErrorMemoryAllocation")
        block = np.full(nbytes, 0xAA, np.uint8)
        self.live[block.ctypes.data] = block
        return block

    def alloc(self, nbytes):
        self.calls.append("alloc")
        return self._take(nbytes).ctypes.data

    def free(self, ptr):
        del self.live[ptr]

    def alloc_host(self, nbytes):
        self.calls.append("alloc_host")
        block = self._take(nbytes)
        return HostBlock(block.ctypes.data, block, block.ctypes.data if self.integrated else None)

    def free_host(self, handle):
        del self.live[handle]

    def copy_to_device(self, ptr, host, stream):
        self.calls.append("copy_to_device")
        self.queues[stream].append(lambda: np.copyto(at(ptr, host.nbytes), host))

    def copy_to_host(self, host, ptr, stream):
        self.calls.append("copy_to_host")
        self.queues[stream].append(lambda: np.copyto(host, at(ptr, host.nbytes)))

    def create_stream(self):
        self.queues[len(self.queues) + 1] = []
        return len(self.queues)

    def sync_stream(self, stream):
        self.calls.append("sync_stream")
        queue, self.queues[stream] = self.queues[stream], []
        for work in queue:
            work()

    def destroy_stream(self, stream):
        del self.queues[stream]

    def begin_capture(self, stream):
        self.calls.append("begin_capture")
        assert not self.queues[stream], "the stream is not idle"

    def end_capture(self, stream):
        work, self.queues[stream] = self.queues[stream], []
        self.captured.append(work)
        return len(self.captured)

    def launch_graph(self, graph, stream):
        self.calls.append("launch_graph")
        self.queues[stream].extend(self.captured[graph - 1])

    def destroy_graph(self, graph):
        self.captured[graph - 1] = None


def plan_bytes(**changes: object) -> bytes:
    """What the fake runtime can load: JSON with the shapes of the engine."""
    plan = {"tag": "plan", "size": 8, "classes": 5, "batch": None, "max": 4, "out": None}
    return json.dumps({**plan, **changes}).encode()


def answer(pixels: np.ndarray) -> np.ndarray:
    """Five numbers that depend on every pixel and its place."""
    flat = pixels.reshape(len(pixels), -1).astype(np.float32)
    return np.stack([flat[:, i::5].sum(axis=1) for i in range(5)], axis=1)


class FakeContext:
    def __init__(self, engine):
        self.engine, self.shape, self.addresses = engine, None, {}
        self.profiler = None

    def set_input_shape(self, name, shape):
        self.engine.trt.calls.append(("set_input_shape", tuple(shape)))
        plan = self.engine.plan
        if name != "frames" or tuple(shape[1:]) != (plan["size"], plan["size"], 3):
            return False
        if not 1 <= shape[0] <= (plan["batch"] or plan["max"]):
            return False
        self.shape = tuple(shape)
        return True

    def infer_shapes(self):
        return [] if self.shape else ["frames"]

    def get_tensor_shape(self, _name):
        return self.engine.plan["out"] or (self.shape[0], self.engine.plan["classes"])

    def set_tensor_address(self, name, address):
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream):
        trt = self.engine.trt
        trt.calls.append(("execute", self.shape[0]))
        if trt.fail_launch:
            return False
        shape, addresses = self.shape, dict(self.addresses)

        def work():
            pixels = at(addresses["frames"], int(np.prod(shape))).reshape(shape)
            result = answer(pixels).view(np.uint8).reshape(-1)
            np.copyto(at(addresses["probs"], result.nbytes), result)
            if self.profiler is not None:
                self.profiler.report_layer_time("conv + relu", 0.75)
                self.profiler.report_layer_time("softmax", 0.25)

        trt.cuda.queues[stream].append(work)
        return True


class FakeEngine:
    num_io_tensors = 2

    def __init__(self, trt, plan):
        self.trt, self.plan = trt, plan

    def get_tensor_name(self, i):
        return ("probs", "frames")[i]

    def get_tensor_mode(self, name):
        return self.trt.TensorIOMode.INPUT if name == "frames" else self.trt.TensorIOMode.OUTPUT

    def get_tensor_shape(self, name):
        plan, batch = self.plan, self.plan["batch"] or -1
        inside = (plan["size"], plan["size"], 3) if name == "frames" else (plan["classes"],)
        return (batch, *inside)

    def get_tensor_dtype(self, name):
        return self.trt.DataType.UINT8 if name == "frames" else self.trt.DataType.FLOAT

    def get_tensor_profile_shape(self, name, _index):
        shape = self.get_tensor_shape(name)[1:]
        return [(1, *shape), (1, *shape), (self.plan["max"], *shape)]

    def create_engine_inspector(self):
        """Answers as TensorRT 10 does: objects, or bare names, and the bindings beside them."""
        told = {"Layers": self.plan.get("layers", []), "Bindings": ["frames", "probs"]}
        return SimpleNamespace(get_engine_information=lambda _format: json.dumps(told))

    def create_execution_context(self):
        return None if self.trt.fail_context else FakeContext(self)


class FakeTensorRT(SimpleNamespace):
    """Stands where the module `tensorrt` stands."""

    class TensorIOMode(enum.Enum):
        NONE, INPUT, OUTPUT = range(3)

    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

        def __init__(self):
            pass

    class IProfiler:
        def __init__(self):
            pass

    LayerInformationFormat = enum.Enum("LayerInformationFormat", "ONELINE JSON")
    DataType = enum.Enum("DataType", "FLOAT HALF BF16 INT8 INT32 INT64 BOOL UINT8")

    def __init__(self, cuda: FakeCuda, version: str = "10.3.0"):
        super().__init__()
        self.__version__ = version
        self.cuda = cuda
        self.calls: list[tuple[str, object]] = []
        self.deserialized: list[bytes] = []
        self.runtimes: list[SimpleNamespace] = []
        self.fail_launch = self.fail_context = False

    __hash__ = object.__hash__

    def Runtime(self, logger):
        def deserialize(data):
            self.deserialized.append(bytes(data))
            try:
                return FakeEngine(self, json.loads(data))
            except ValueError:
                logger.log(self.ILogger.ERROR, "magic tag does not match")
                return None

        self.runtimes.append(SimpleNamespace(deserialize_cuda_engine=deserialize, DLA_core=-1))
        return self.runtimes[-1]
