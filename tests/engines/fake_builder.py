"""A TensorRT whose builder only notes what it is told: for what TensorRT-RTX does not have."""

from __future__ import annotations

import enum
from types import SimpleNamespace

LAYERS = {"scale_pixels": False, "nchw": False, "conv": True, "mean": True, "softmax": False}
"""The network's layers, and whether the DLA takes them."""


class FakeTiming:
    def __init__(self, data: bytes):
        self.data = data

    def serialize(self):
        return self.data + b"measured;"


class FakeConfig:
    def __init__(self, trt):
        self.trt = trt
        self.pools: dict[object, int] = {}
        self.flags: set[object] = set()
        self.profiles: list[object] = []
        self.timing: FakeTiming | None = None
        self.DLA_core = -1
        self.default_device_type = trt.DeviceType.GPU
        self.profiling_verbosity = trt.ProfilingVerbosity.LAYER_NAMES_ONLY
        self.builder_optimization_level = 3
        self.progress_monitor = None

    def set_memory_pool_limit(self, pool, size):
        self.pools[pool] = size

    def set_flag(self, flag):
        self.flags.add(flag)

    def add_optimization_profile(self, profile):
        self.profiles.append(profile.shapes)

    def can_run_on_DLA(self, layer):
        return self.trt.layers[layer.name]

    def create_timing_cache(self, data):
        return FakeTiming(bytes(data))

    def set_timing_cache(self, cache, ignore_mismatch):
        assert ignore_mismatch is False
        self.timing = cache
        return True


class FakeNetwork:
    num_inputs = 1

    def __init__(self, trt):
        self.layers = [SimpleNamespace(name=name) for name in trt.layers]
        self.num_layers = len(self.layers)
        self.input = SimpleNamespace(name="frames", shape=trt.input_shape)

    def get_layer(self, i):
        return self.layers[i]

    def get_input(self, _i):
        return self.input


class FakeProfile:
    def __init__(self):
        self.shapes: dict[str, tuple[tuple[int, ...], ...]] = {}

    def set_shape(self, name, low, usual, high):
        self.shapes[name] = (low, usual, high)


class FakeBuilderTensorRT(SimpleNamespace):
    """Stands where the module `tensorrt` stands, on a device with `cores` DLA cores."""

    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    class IProgressMonitor:
        pass

    NetworkDefinitionCreationFlag = enum.IntEnum("Flag", "STRONGLY_TYPED")
    MemoryPoolType = enum.Enum("MemoryPoolType", "WORKSPACE")
    ProfilingVerbosity = enum.Enum("ProfilingVerbosity", "LAYER_NAMES_ONLY DETAILED")
    DeviceType = enum.Enum("DeviceType", "GPU DLA")
    BuilderFlag = enum.Enum("BuilderFlag", "GPU_FALLBACK")

    def __init__(self, cores: int = 2, *, adjusts: bool = False, layers=None, batch: int = -1):
        super().__init__()
        self.__version__ = "10.3.0"
        self.cores = cores
        self.layers = LAYERS if layers is None else layers
        self.input_shape = (batch, 8, 8, 3)
        self.configs: list[FakeConfig] = []
        self.parser_flags: list[object] = []
        names = "NATIVE_INSTANCENORM ADJUST_FOR_DLA" if adjusts else "NATIVE_INSTANCENORM"
        self.OnnxParserFlag = enum.Enum("OnnxParserFlag", names)

    __hash__ = object.__hash__

    def Builder(self, _logger):
        def create_config():
            self.configs.append(FakeConfig(self))
            return self.configs[-1]

        return SimpleNamespace(
            num_DLA_cores=self.cores,
            create_network=lambda _flags: FakeNetwork(self),
            create_builder_config=create_config,
            create_optimization_profile=FakeProfile,
            build_serialized_network=lambda _network, _config: b"a plan",
        )

    def OnnxParser(self, _network, _logger):
        return SimpleNamespace(
            parse_from_file=lambda _path: True, set_flag=self.parser_flags.append
        )
