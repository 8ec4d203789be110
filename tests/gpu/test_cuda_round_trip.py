"""Memory, streams and events of both CUDA packages on a real GPU, against NumPy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from edgevid.engines.cuda_buffers import DeviceBuffer, Event, IoBuffer, Stream
from edgevid.engines.cuda_memory import open_cuda
from edgevid.errors import EngineError

pytestmark = pytest.mark.gpu


@pytest.fixture(params=["cuda-python", "pycuda"])
def cuda(request, or_skip):
    return or_skip(lambda: open_cuda(request.param))


def random(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(dtype)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((1,), "uint8"), ((3, 7, 5), "uint8"), ((2, 1001), "float32"), ((4 << 20,), "uint8")],
)
def test_what_goes_up_comes_down(cuda, shape, dtype):
    """Through a second buffer that is written in between, so stale bytes cannot pass."""
    values = random(shape, dtype)
    stream = Stream(cuda)
    buffer, other = IoBuffer(cuda, values.nbytes), IoBuffer(cuda, values.nbytes)
    buffer.upload(values, stream)
    other.upload(np.zeros_like(values), stream)
    stream.synchronize()
    buffer.download(values.nbytes, stream)
    stream.synchronize()
    np.testing.assert_array_equal(buffer.read(shape, dtype), values)
    assert not other.read(shape, dtype).any()
    for owned in (buffer, other, stream):
        owned.close()


def test_device_memory_is_separate_from_the_host(cuda):
    """Raw copies into device memory, the host side overwritten before they come back."""
    values = random((1 << 16,), "uint8")
    host = cuda.alloc_host(values.nbytes)
    device, stream = DeviceBuffer(cuda, values.nbytes), Stream(cuda)
    host.bytes[:] = values
    cuda.copy_to_device(device.handle, host.bytes, stream.handle)
    stream.synchronize()
    host.bytes[:] = 0
    cuda.copy_to_host(host.bytes, device.handle, stream.handle)
    stream.synchronize()
    np.testing.assert_array_equal(host.bytes, values)
    cuda.free_host(host.handle)
    device.close()
    stream.close()


def test_another_thread_may_use_it(cuda):
    """Engines are opened in one thread and run in another."""
    values = random((1000,), "uint8")
    stream, buffer = Stream(cuda), IoBuffer(cuda, values.nbytes)

    def there_and_back() -> np.ndarray:
        buffer.upload(values, stream)
        buffer.download(values.nbytes, stream)
        stream.synchronize()
        return buffer.read(values.shape, values.dtype)

    with ThreadPoolExecutor(1) as pool:
        np.testing.assert_array_equal(pool.submit(there_and_back).result(), values)
    buffer.close()
    stream.close()


def test_events_are_in_stream_order(cuda):
    """The time between two marks is positive, and not that of the reverse."""
    stream, start, end = Stream(cuda), Event(cuda), Event(cuda)
    host = cuda.alloc_host(16 << 20)
    device = DeviceBuffer(cuda, 16 << 20)
    start.record(stream)
    for _ in range(8):
        cuda.copy_to_device(device.handle, host.bytes, stream.handle)
    end.record(stream)
    assert end.elapsed_ms(start) > 0
    cuda.free_host(host.handle)
    for owned in (device, start, end, stream):
        owned.close()


def test_too_much_memory_is_an_error_with_a_reason(cuda):
    with pytest.raises(EngineError, match=r"CUDA: .*(cudaErrorMemoryAllocation|out of memory)"):
        DeviceBuffer(cuda, 1 << 50)


def test_the_gpu_says_what_it_is(cuda):
    major, minor = cuda.compute_capability.split(".")
    assert 5 <= int(major) < 30
    assert 0 <= int(minor) <= 9
    assert cuda.device_name
