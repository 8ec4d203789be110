"""ONNX Runtime: on the CPU the engine that is always there; on a GPU where its provider is."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort

from edgevid.engines.feeds import FeedCheck, filled
from edgevid.engines.onnxruntime_binding import BoundCall, can_bind
from edgevid.engines.threads import default_threads
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
_KEPT_SHAPES = 8

PROVIDERS = {
    "onnxruntime": "CPUExecutionProvider",
    "onnxruntime-cuda": "CUDAExecutionProvider",
    "onnxruntime-tensorrt": "TensorrtExecutionProvider",
}
"""Engines by name, and what ONNX Runtime calls them; later ones leave nodes to earlier ones."""

_PROVIDER_OPTIONS = {
    # Trying every algorithm takes a second of the first calls, and found none that is faster.
    "CUDAExecutionProvider": {"cudnn_conv_algo_search": "HEURISTIC"},
}


def has_provider(engine: str) -> bool:
    """Whether this build of ONNX Runtime holds the provider of `engine`, a key of PROVIDERS."""
    return PROVIDERS[engine] in ort.get_available_providers()


class OnnxRuntimeEngine:
    """Runs an ONNX graph on the CPU, or on an NVIDIA GPU.

    Args:
        model: Path of an `.onnx` file, or its bytes.
        threads: CPU threads for one call; None: `default_threads()`.
        engine: A key of `PROVIDERS`.

    Raises:
        EngineError: The graph does not load, `threads` is below 1, or this ONNX Runtime has
            no such provider or cannot use it.

    Attributes:
        calls: What is bound, by batch.
    """

    def __init__(
        self, model: Path | bytes, threads: int | None = None, engine: str = "onnxruntime"
    ) -> None:
        self._threads = default_threads() if threads is None else threads
        if self._threads < 1:
            raise EngineError(f"threads is {threads}", "Give 1 or more, or leave it out")
        what = str(model) if isinstance(model, Path) else "the graph"
        if isinstance(model, Path) and not model.is_file():
            raise EngineError(f"no such file: {what}", "Give the path of an .onnx file")
        providers = _providers(engine)
        try:
            self._session: Any = ort.InferenceSession(
                model if isinstance(model, bytes) else str(model),
                sess_options=_options(self._threads),
                providers=[(name, _PROVIDER_OPTIONS.get(name, {})) for name in providers],
            )
        except Exception as exc:  # ONNX Runtime's errors share no base of their own
            raise EngineError(
                f"ONNX Runtime {ort.__version__} cannot load {what}: {exc}",
                "Convert the model again, or upgrade: pip install -U onnxruntime",
            ) from None
        self._provider = providers[0]
        if self._provider not in self._session.get_providers():
            raise EngineError(
                f"ONNX Runtime {ort.__version__} cannot use its {self._provider}",
                "Check that its CUDA and cuDNN fit (edgevid doctor), or use --engine onnxruntime",
            )
        self._inputs = tuple(_info(arg) for arg in self._session.get_inputs())
        self._check_feeds = FeedCheck(self._inputs)
        self._outputs = tuple(_info(arg) for arg in self._session.get_outputs())
        self._output_names = [info.name for info in self._outputs]
        self._binds = can_bind(self._outputs)
        self.calls: dict[int, BoundCall] = {}

    @property
    def name(self) -> str:
        if self._provider != PROVIDERS["onnxruntime"]:
            provider = self._provider.removesuffix("ExecutionProvider")
            return f"onnxruntime {ort.__version__} ({provider})"
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
        batch = self._check_feeds(feeds)
        try:
            if self._binds:
                return self._run_bound(feeds, batch)
            return self._run_plain(feeds)
        except Exception as exc:  # ONNX Runtime's errors share no base of their own
            raise EngineError(
                f"ONNX Runtime failed in the graph: {exc}",
                "Check that the graph takes this batch, or convert the model again",
            ) from None

    def close(self) -> None:
        self.calls.clear()
        self._session = None

    def _run_plain(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        arrays = self._session.run(self._output_names, dict(feeds))
        return dict(zip(self._output_names, arrays, strict=True))

    def _run_bound(self, feeds: Mapping[str, Array], batch: int) -> dict[str, Array]:
        """Run with what is bound for this batch; the first call of a batch binds it.

        The first call also shows whether the outputs have the shapes that the graph declares.
        """
        call = self.calls.get(batch)
        if call is not None:
            return call.run(feeds)
        outputs = self._run_plain(feeds)
        shapes = {name: array.shape for name, array in outputs.items()}
        if shapes != {i.name: filled(i.shape, batch) for i in self._outputs}:
            self._binds = False
            return outputs
        if len(self.calls) >= _KEPT_SHAPES:
            del self.calls[next(iter(self.calls))]
        device = "cpu" if self._provider == PROVIDERS["onnxruntime"] else "cuda"
        self.calls[batch] = BoundCall(
            self._session, self._inputs, self._outputs, feeds, batch, device
        )
        return outputs


def _providers(engine: str) -> list[str]:
    """What to ask for, first choice first.

    Raises:
        EngineError: This build does not have it.
    """
    names = list(PROVIDERS)
    wanted = [PROVIDERS[name] for name in reversed(names[: names.index(engine) + 1])]
    if not has_provider(engine):
        raise EngineError(
            f"ONNX Runtime {ort.__version__} has no {wanted[0]} here",
            "pip install onnxruntime-gpu in the place of onnxruntime, or use --engine onnxruntime",
        )
    if engine != "onnxruntime" and hasattr(ort, "preload_dlls"):
        # CUDA and cuDNN may have come as Python packages, which the loader does not search.
        with contextlib.redirect_stdout(sys.stderr):
            ort.preload_dlls()
    return [name for name in wanted if name in ort.get_available_providers()]


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
