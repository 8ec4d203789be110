"""Run graphs that are still in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevid.types import Array

if TYPE_CHECKING:
    from onnx import ModelProto

_FATAL = 4


class Session:
    """ONNX Runtime on the CPU, on a graph in memory.

    Args:
        model: The graph, smaller than 2 GB.

    Raises:
        RuntimeError: ONNX Runtime cannot load the graph; its own message.
    """

    def __init__(self, model: ModelProto) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = _FATAL
        try:
            self._session = ort.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        # Its exceptions share no base below Exception.
        except Exception as exc:
            raise RuntimeError(_reason(exc)) from None
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

    def run_each(self, windows: Sequence[Mapping[str, Array]], output: str) -> Array:
        """`output` for every window, one call each, joined along the first axis."""
        return np.concatenate([self.run(window)[output] for window in windows])


def _reason(exc: Exception) -> str:
    """ONNX Runtime's message without its error number and the file's name."""
    text = " ".join(str(exc).split())
    if text.startswith("[ONNXRuntimeError]"):
        text = text.split(" : ", 3)[-1]
    return text.rstrip(". ")
