"""Kernels between copies: in order on one stream, side by side on two, and as a graph."""

from __future__ import annotations

import numpy as np
import pytest

from edgevid.benchmarks.gpu_kernel import Kernel, expected
from edgevid.engines.cuda_buffers import Graph, IoBuffer, Stream
from edgevid.engines.cuda_memory import open_cuda

pytestmark = pytest.mark.gpu

ROUNDS = 3


@pytest.fixture
def cuda(or_skip):
    return or_skip(lambda: open_cuda("cuda-python"))


@pytest.fixture
def kernel(cuda, or_skip):
    return or_skip(lambda: Kernel(cuda))


def pixels(nbytes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, nbytes, dtype=np.uint8)


@pytest.mark.parametrize("batch", [1, 2, 4, 8, 16, 32, 64, 128, 256])
def test_every_batch_of_pictures_comes_back_computed(cuda, kernel, batch):
    nbytes = batch * 64 * 64 * 3 - 1  # the last block of threads is not full
    stream, source, result = Stream(cuda), IoBuffer(cuda, nbytes), IoBuffer(cuda, nbytes)
    values = pixels(nbytes, batch)
    source.upload(values, stream)
    kernel.launch(result.device_ptr, source.device_ptr, nbytes, ROUNDS, stream)
    result.download(nbytes, stream)
    stream.synchronize()
    np.testing.assert_array_equal(result.read((nbytes,), np.uint8), expected(values, ROUNDS))
    for owned in (source, result, stream):
        owned.close()


def test_two_streams_that_take_turns_do_not_mix(cuda, kernel):
    nbytes, lanes = 1 << 20, 2
    streams = [Stream(cuda) for _ in range(lanes)]
    sides = [(IoBuffer(cuda, nbytes), IoBuffer(cuda, nbytes)) for _ in range(lanes)]
    sent: list[np.ndarray | None] = [None] * lanes
    for part in range(8):
        lane = part % lanes
        source, result = sides[lane]
        previous = sent[lane]
        if previous is not None:
            streams[lane].synchronize()
            got = result.read((nbytes,), np.uint8)
            np.testing.assert_array_equal(got, expected(previous, ROUNDS + lane))
        sent[lane] = values = pixels(nbytes, part)
        source.upload(values, streams[lane])
        kernel.launch(result.device_ptr, source.device_ptr, nbytes, ROUNDS + lane, streams[lane])
        result.download(nbytes, streams[lane])
    for owned in (*streams, *(side for pair in sides for side in pair)):
        owned.close()


def test_a_graph_computes_what_the_host_side_holds_at_each_launch(cuda, kernel):
    nbytes = 1 << 16
    stream, source, result = Stream(cuda), IoBuffer(cuda, nbytes), IoBuffer(cuda, nbytes)

    def work() -> None:
        source.send(nbytes, stream)
        kernel.launch(result.device_ptr, source.device_ptr, nbytes, ROUNDS, stream)
        result.download(nbytes, stream)

    graph = Graph(cuda, stream, work)
    for seed in range(4):
        values = pixels(nbytes, seed)
        source.write(values)
        graph.launch(stream)
        stream.synchronize()
        np.testing.assert_array_equal(result.read((nbytes,), np.uint8), expected(values, ROUNDS))
    for owned in (graph, source, result, stream):
        owned.close()


def test_a_capture_that_fails_leaves_a_stream_that_works(cuda):
    stream, buffer = Stream(cuda), IoBuffer(cuda, 64)
    with pytest.raises(Exception, match="CUDA"):
        Graph(cuda, stream, stream.synchronize)  # waiting is forbidden inside a capture
    values = pixels(64)
    buffer.upload(values, stream)
    buffer.download(64, stream)
    stream.synchronize()
    np.testing.assert_array_equal(buffer.read((64,), np.uint8), values)
    for owned in (buffer, stream):
        owned.close()
