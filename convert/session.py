"""Run graphs that are still in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevid.convert.graph import carried_states
from edgevid.states import States
from edgevid.types import Array

if TYPE_CHECKING:
    from onnx import ModelProto

_FATAL = 4


class Session:
    """ONNX Runtime on the CPU, on a graph in memory, whose states it carries along.

    Args:
        model: The graph, smaller than 2 GB.
        in_order: Run the nodes in the order in which they stand.

    Raises:
        RuntimeError: ONNX Runtime cannot load the graph; its own message.
    """

    def __init__(self, model: ModelProto, in_order: bool = False) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = _FATAL
        # An arena keeps what it once took: graphs of long clips would hold a third more.
        options.enable_cpu_mem_arena = False
        if in_order:
            # Ties in priority, which all nodes have, go to the node that stands first.
            options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
        try:
            self._session = ort.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        # Its exceptions share no base below Exception.
        except Exception as exc:
            raise RuntimeError(_reason(exc)) from None
        self.states = carried_states(model)
        self.output_names: list[str] = [o.name for o in self._session.get_outputs()]

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Every output by name.

        Raises:
            RuntimeError: A feed does not fit, or a node failed; ONNX Runtime's message.
        """
        try:
            values: list[Any] = self._session.run(None, dict(feeds))
        except Exception as exc:
            raise RuntimeError(_reason(exc)) from None
        return dict(zip(self.output_names, values, strict=True))

    def run_steps(self, window: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
        """Every output by name, for each step of a window; one step without states.

        Args:
            window: Input name to array. Of a graph with states the first axis holds steps,
                which are fed one after the other, from zero states on.

        Raises:
            RuntimeError: As `run`; or a state is NaN or infinite.
        """
        if not self.states:
            yield self.run(window)
            return
        states = States(self.states)
        for i in range(len(next(iter(window.values())))):
            frames = {name: array[i : i + 1] for name, array in window.items()}
            outputs = self.run({**frames, **states.feeds})
            if not states.take(outputs):
                raise RuntimeError(f"a state is NaN or infinite after step {i + 1}")
            yield outputs

    def run_each(self, windows: Sequence[Mapping[str, Array]], output: str) -> Array:
        """`output` for every step of every window, joined along the first axis."""
        return np.concatenate([step[output] for w in windows for step in self.run_steps(w)])


def _reason(exc: Exception) -> str:
    """ONNX Runtime's message without its error number and the file's name."""
    text = " ".join(str(exc).split())
    if text.startswith("[ONNXRuntimeError]"):
        text = text.split(" : ", 3)[-1]
    return text.rstrip(". ")
