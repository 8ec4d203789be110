"""An engine that answers what it is told: for tests, simulations and teaching."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edgevid.engines.feeds import check_feeds
from edgevid.errors import EngineError
from edgevid.types import Array, Float32Array, TensorInfo

Answer = Callable[[Mapping[str, Array]], Array]
"""Feeds by name, batch first, to scores `(N, C)`."""


class ScriptedEngine:
    """Gives scripted scores, and takes scripted time to do so.

    Args:
        inputs: What it takes; feeds are checked as a real engine checks them.
        outputs: What it gives: one output `(N, C)`.
        answer: A function of the feeds, or a list of scores `(C,)`: one row for each item of
            the batch, call after call, from the beginning again after the last.
        service_s: Seconds that one call takes, whatever its batch.
        sleep: How to spend them.

    Attributes:
        batches: The batch of every call so far.

    Raises:
        EngineError: The list is empty, or there is not exactly one output.
    """

    def __init__(
        self,
        inputs: Sequence[TensorInfo],
        outputs: Sequence[TensorInfo],
        answer: Answer | Sequence[Sequence[float] | Float32Array],
        *,
        service_s: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if len(outputs) != 1:
            raise EngineError(f"a scripted engine has one output; given were {len(outputs)}")
        self._inputs = tuple(inputs)
        self._outputs = tuple(outputs)
        self._answer = answer if callable(answer) else _rows(answer)
        self._service_s = service_s
        self._sleep = sleep
        self._closed = False
        self.batches: list[int] = []

    @property
    def name(self) -> str:
        return "scripted"

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        return self._inputs

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        return self._outputs

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The next scripted answer.

        Raises:
            EngineError: A feed does not fit, the answer does not fit the output, or the
                engine is closed.
        """
        if self._closed:
            raise EngineError("the engine is closed")
        batch = check_feeds(self._inputs, feeds)
        self.batches.append(batch)
        if self._service_s > 0:
            self._sleep(self._service_s)
        output = self._outputs[0]
        scores = np.array(self._answer(feeds), dtype=output.dtype)
        expected = (batch, *output.shape[1:])
        if scores.shape != expected:
            raise EngineError(f"the script answered shape {scores.shape}; expected {expected}")
        return {output.name: scores}

    def close(self) -> None:
        self._closed = True


def _rows(scores: Sequence[Sequence[float] | Float32Array]) -> Answer:
    if len(scores) == 0:
        raise EngineError("the list of scores is empty", "Give at least one row")
    given = 0

    def answer(feeds: Mapping[str, Array]) -> Array:
        nonlocal given
        batch = next(iter(feeds.values())).shape[0]
        rows = [scores[(given + i) % len(scores)] for i in range(batch)]
        given += batch
        return np.array(rows, dtype=np.float32)

    return answer
