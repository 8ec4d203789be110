"""Any batch on engines that must always be given the same one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edgevid.engines.feeds import check_feeds, filled
from edgevid.errors import EngineError
from edgevid.protocols import Engine
from edgevid.types import Array, TensorInfo


def batch_sizes(max_batch: int) -> list[int]:
    """Powers of two below `max_batch`, and `max_batch`: at most half of a batch is filled up."""
    powers = [1 << n for n in range(max_batch.bit_length())]
    return [*(size for size in powers if size < max_batch), max_batch]


def sized(open_one: Callable[[], Engine], max_batch: int) -> Engine:
    """A `SizedEngine` of a graph that takes any batch; else the graph, opened once.

    Args:
        open_one: Opens the graph.
        max_batch: See `SizedEngine`.
    """
    first = open_one()
    try:
        is_any = is_open(first)
    except BaseException:
        first.close()
        raise
    return SizedEngine(first, open_one, max_batch) if is_any else first


def is_open(engine: Engine) -> bool:
    """Whether every axis that the graph leaves open is the batch, as far as one call shows."""
    if any(i.shape.count(None) > 1 for i in (*engine.inputs, *engine.outputs)):
        return False
    if all(i.batch_axis is None for i in engine.inputs):
        return False
    try:
        outputs = engine.infer(zeros(engine.inputs, 2))
    except EngineError:
        return False
    return all(outputs[i.name].shape == filled(i.shape, 2) for i in engine.outputs)


def zeros(inputs: Sequence[TensorInfo], batch: int) -> dict[str, Array]:
    """Feeds of that batch."""
    return {i.name: np.zeros(filled(i.shape, batch), i.dtype) for i in inputs}


class SizedEngine:
    """One engine for each of a few batch sizes; other batches are filled up to the next.

    For ONNX Runtime on a GPU: its convolutions are planned anew in every call whose shapes differ
    from those of the call before (microsoft/onnxruntime#6978), which takes 1.5 ms each on an H100
    where the whole graph takes 0.3. Windows of many cameras make a batch of another size with
    nearly every call.

    Args:
        first: The graph, opened; its open axes are the batch (`is_open`).
        open_one: Opens it once more.
        max_batch: The most windows that are fed at once. For larger batches, which work as well,
            engines are opened when they come.

    Raises:
        EngineError: The graph does not open, or does not run.
    """

    def __init__(self, first: Engine, open_one: Callable[[], Engine], max_batch: int) -> None:
        self._open_one = open_one
        self._sizes = batch_sizes(max_batch)
        self._engines: dict[int, Engine] = {1: first}
        self._inputs, self._outputs, self._name = first.inputs, first.outputs, first.name
        self._rooms: dict[int, dict[str, Array]] = {}
        try:
            for size in self._sizes:
                # What is planned in the first call is planned before anything waits for it.
                self._engine(size).infer(self._room(size))
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        return self._name

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        return self._inputs

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        return self._outputs

    @property
    def max_batch(self) -> int:
        return self._sizes[-1]

    def of_size(self, batch: int) -> Engine:
        """The engine that takes this batch as it is, or filled up.

        Raises:
            EngineError: As when it is opened, or this is closed.
        """
        self._require_open()
        return self._engine(self._size(batch))

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph once; see `Engine`.

        Raises:
            EngineError: A feed does not fit, the engine is closed, or the graph failed.
        """
        self._require_open()
        batch = check_feeds(self._inputs, feeds)
        size = self._size(batch)
        engine = self._engine(size)
        if batch == size:
            return engine.infer(feeds)
        outputs = engine.infer(self._filled_up(feeds, batch, size))
        return {
            i.name: outputs[i.name] if i.batch_axis is None
            else outputs[i.name][_first(batch, i.batch_axis)]
            for i in self._outputs
        }  # fmt: skip

    def close(self) -> None:
        for engine in self._engines.values():
            engine.close()
        self._engines.clear()
        self._rooms.clear()

    def _require_open(self) -> None:
        if not self._engines:
            raise EngineError("the engine is closed", "Open it again: open_engine(bundle)")

    def _size(self, batch: int) -> int:
        if batch > self._sizes[-1]:
            return 1 << (batch - 1).bit_length()
        return self._sizes[bisect_left(self._sizes, batch)]

    def _engine(self, size: int) -> Engine:
        if size not in self._engines:
            self._engines[size] = self._open_one()
        return self._engines[size]

    def _room(self, size: int) -> dict[str, Array]:
        """Inputs of that batch; what they hold beside what was written there is of no account."""
        if size not in self._rooms:
            self._rooms[size] = zeros(self._inputs, size)
        return self._rooms[size]

    def _filled_up(self, feeds: Mapping[str, Array], batch: int, size: int) -> dict[str, Array]:
        room = self._room(size)
        fed: dict[str, Array] = {}
        for info in self._inputs:
            if info.batch_axis is None:
                fed[info.name] = feeds[info.name]
            else:
                fed[info.name] = room[info.name]
                fed[info.name][_first(batch, info.batch_axis)] = feeds[info.name]
        return fed


def _first(count: int, axis: int) -> tuple[slice, ...]:
    return (*(slice(None),) * axis, slice(count))
