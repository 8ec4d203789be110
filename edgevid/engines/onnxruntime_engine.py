"""ONNX Runtime on the CPU: the engine that is always there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort

from edgevid.engines.feeds import check_feeds
from edgevid.errors import EngineError
from edgevid.types import Array, TensorInfo

_DTYPES = {
    "tensor(bool)": "bool",
    "tensor(double)": "float64",
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
}

_FATAL = 4


def default_threads() -> int:
    """Threads for the graph: one fewer than the cores this process may use, at least one.

    A decoder needs a core of its own: on two cores, one thread for the graph gave more frames
    a second than two, for 5.2 instead of 8.4 CPU-milliseconds a frame, because two threads
    spin and fight the decoder.
    """
    return max(1, len(os.sched_getaffinity(0)) - 1)


class OnnxRuntimeEngine:
    """Runs an ONNX graph on the CPU.

    Args:
        model: Path of an `.onnx` file, or its bytes.
        threads: Threads for one call; None: `default_threads()`.

    Raises:
        EngineError: The graph does not load, or `threads` is below 1.
    """

    def __init__(self, model: Path | bytes, threads: int | None = None) -> None:
        self._threads = default_threads() if threads is None else threads
        if self._threads < 1:
            raise EngineError(f"threads is {threads}", "Give 1 or more, or leave it out")
        what = str(model) if isinstance(model, Path) else "the graph"
        if isinstance(model, Path) and not model.is_file():
            raise EngineError(f"no such file: {what}", "Give the path of an .onnx file")
        try:
            self._session: Any = ort.InferenceSession(
                model if isinstance(model, bytes) else str(model),
                sess_options=_options(self._threads),
                providers=["CPUExecutionProvider"],
            )
        except Exception as exc:  # ONNX Runtime's errors share no base of their own
            raise EngineError(
                f"ONNX Runtime {ort.__version__} cannot load {what}: {exc}",
                "Convert the model again, or upgrade: pip install -U onnxruntime",
            ) from None
        self._inputs = tuple(_info(arg) for arg in self._session.get_inputs())
        self._outputs = tuple(_info(arg) for arg in self._session.get_outputs())
        self._output_names = [info.name for info in self._outputs]

    @property
    def name(self) -> str:
        threads = f"{self._threads} thread" + ("s" if self._threads > 1 else "")
        return f"onnxruntime {ort.__version__} (CPU, {threads})"

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        return self._inputs

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        return self._outputs

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph once.

        Args:
            feeds: Every input by name, batch first, C-contiguous, of the input's dtype.

        Returns:
            Every output by name; the arrays are the caller's.

        Raises:
            EngineError: A feed does not fit, the engine is closed, or the graph failed.
        """
        if self._session is None:
            raise EngineError("the engine is closed", "Open it again: open_engine(bundle)")
        check_feeds(self._inputs, feeds)
        try:
            arrays = self._session.run(self._output_names, dict(feeds))
        except Exception as exc:  # ONNX Runtime's errors share no base of their own
            raise EngineError(
                f"ONNX Runtime failed in the graph: {exc}",
                "Check that the graph takes this batch, or convert the model again",
            ) from None
        return dict(zip(self._output_names, arrays, strict=True))

    def close(self) -> None:
        self._session = None


def _options(threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # What goes wrong is raised; the log would say it a second time on stderr.
    options.log_severity_level = _FATAL
    if threads > 1:
        # Waiting threads would spin on the cores that the decoder needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _info(arg: Any) -> TensorInfo:
    if arg.type not in _DTYPES:
        raise EngineError(
            f"{arg.name!r} has type {arg.type}; edgevid takes plain tensors",
            f"Export the graph with one of: {', '.join(_DTYPES)}",
        )
    shape = tuple(d if isinstance(d, int) else None for d in arg.shape)
    return TensorInfo(arg.name, shape, _DTYPES[arg.type])
