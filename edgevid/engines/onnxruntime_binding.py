"""One call of ONNX Runtime at fixed shapes: bound once, no memory taken from call to call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from edgevid.engines.feeds import filled
from edgevid.types import Array, TensorInfo


def can_bind(outputs: Sequence[TensorInfo]) -> bool:
    """Whether the batch alone decides the shapes of the outputs."""
    return all(info.shape.count(None) <= 1 for info in outputs)


class BoundCall:
    """A graph's inputs and outputs for one batch (`IOBinding`).

    Inputs on the CPU are read where they lie. On a GPU each is copied into memory that the
    binding keeps, and the outputs come back into arrays that it keeps.

    Args:
        session: An `InferenceSession`.
        inputs, outputs: What the graph takes and gives; outputs as `can_bind` asks.
        feeds: A first call, whose shapes are kept.
        batch: Length of the open axes.
        device: "cpu" or "cuda": where the inputs are wanted.
    """

    def __init__(
        self,
        session: Any,
        inputs: Sequence[TensorInfo],
        outputs: Sequence[TensorInfo],
        feeds: Mapping[str, Array],
        batch: int,
        device: str,
    ) -> None:
        self._session = session
        self._binding = session.io_binding()
        self._bound: dict[str, Array] = {}
        self._on_device: dict[str, Any] = {}
        if device != "cpu":
            for info in inputs:
                value = ort.OrtValue.ortvalue_from_numpy(feeds[info.name], device, 0)
                self._binding.bind_ortvalue_input(info.name, value)
                self._on_device[info.name] = value
        self._outputs: dict[str, Array] = {}
        for info in outputs:
            shape = filled(info.shape, batch)
            array = np.empty(shape, info.dtype)
            self._outputs[info.name] = array
            self._binding.bind_output(
                info.name, "cpu", 0, array.dtype.type, shape, array.ctypes.data
            )

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name, as new arrays; `feeds` have the shapes of the first call."""
        self.execute(feeds)
        return {name: array.copy() for name, array in self._outputs.items()}

    def execute(self, feeds: Mapping[str, Array]) -> None:
        """Hand over the inputs and run; the outputs are in the arrays that are bound."""
        for name, array in feeds.items():
            if name in self._on_device:
                self._on_device[name].update_inplace(array)
            elif self._bound.get(name) is not array:
                self._binding.bind_cpu_input(name, array)
                self._bound[name] = array
        self._session.run_with_iobinding(self._binding)
