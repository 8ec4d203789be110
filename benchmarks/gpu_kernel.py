"""A kernel with a known answer and a length to choose, for tests and benchmarks of the GPU."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from edgevid.engines.cuda_buffers import Stream
from edgevid.engines.cuda_memory import Cuda
from edgevid.errors import EngineError, MissingDependencyError
from edgevid.types import UInt8Array

_SOURCE = b"""
extern "C" __global__ void steps(unsigned char *out, const unsigned char *in,
                                 unsigned long long n, int rounds) {
    unsigned long long i = blockIdx.x * (unsigned long long)blockDim.x + threadIdx.x;
    if (i >= n) return;
    unsigned int x = in[i];
    for (int r = 0; r < rounds; ++r) x = (x * 5 + 7) & 255;
    out[i] = x;
}
"""
_BLOCK = 256


def expected(values: UInt8Array, rounds: int) -> UInt8Array:
    """What the kernel writes for `values` of any shape."""
    table = np.arange(256)
    for _ in range(rounds):
        table = (table * 5 + 7) % 256
    return table.astype(np.uint8)[values]


def compile_kernel(compute_capability: str) -> bytes:
    """Machine code for a GPU, such as "8.7"; needs no GPU.

    Raises:
        MissingDependencyError: `cuda-python` is not installed.
        EngineError: NVRTC refuses the target.
    """
    try:
        from cuda.bindings import nvrtc
    except ImportError:
        raise MissingDependencyError("cuda-python", "cuda", "compiling a kernel") from None
    try:
        program = _checked(nvrtc.nvrtcCreateProgram(_SOURCE, b"steps.cu", 0, [], []))
    except RuntimeError as exc:  # cuda-pathfinder's own error
        reason = str(exc).partition("\n")[0]
        raise EngineError(
            f"NVRTC does not load: {reason}", "pip install nvidia-cuda-nvrtc"
        ) from None
    target = b"--gpu-architecture=sm_" + compute_capability.replace(".", "").encode()
    _checked(nvrtc.nvrtcCompileProgram(program, 1, [target]))
    code = bytes(_checked(nvrtc.nvrtcGetCUBINSize(program)))
    _checked(nvrtc.nvrtcGetCUBIN(program, code))
    return code


class Kernel:
    """The kernel on the GPU of `cuda`, whose context must be current (`cuda-python`)."""

    def __init__(self, cuda: Cuda) -> None:
        from cuda.bindings import driver

        self._driver: Any = driver
        self._code = compile_kernel(cuda.compute_capability)
        self._module = _checked(driver.cuModuleLoadData(self._code))
        self._function = _checked(driver.cuModuleGetFunction(self._module, b"steps"))

    def launch(self, out: int, values: int, nbytes: int, rounds: int, stream: Stream) -> None:
        """Queue `expected` over `nbytes` at device address `values`, to address `out`."""
        arguments = (
            (out, values, nbytes, rounds),
            (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ulonglong, ctypes.c_int),
        )
        blocks = -(-nbytes // _BLOCK)
        _checked(
            self._driver.cuLaunchKernel(
                self._function, blocks, 1, 1, _BLOCK, 1, 1, 0, stream.handle, arguments, 0
            )
        )


def _checked(answer: tuple[Any, ...]) -> Any:
    error, *values = answer
    if int(error) != 0:
        raise EngineError(f"CUDA failed with {error.name}", "Check the GPU with nvidia-smi")
    return values[0] if values else None
