"""OpenVINO on the CPU: runs the same graph, often faster than ONNX Runtime on x86."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgevid.engines.feeds import FeedCheck
from edgevid.engines.threads import default_threads
from edgevid.errors import EngineError, MissingDependencyError
from edgevid.types import Array, TensorInfo


class OpenVinoEngine:
    """Runs an ONNX graph on the CPU with OpenVINO.

    What the graph has in FP32 is computed in FP32: left to itself, OpenVINO takes bfloat16 on
    CPUs that have it. What is INT8 in the graph stays INT8.

    Args:
        model: Path of an `.onnx` file, or its bytes.
        threads: CPU threads for one call; None: `default_threads()`.
        counters: Count the time of every layer, for `layer_times`; costs a little.

    Raises:
        MissingDependencyError: OpenVINO is not installed.
        EngineError: The graph does not load, or `threads` is below 1.
    """

    def __init__(
        self, model: Path | bytes, threads: int | None = None, *, counters: bool = False
    ) -> None:
        try:
            import openvino
        except ModuleNotFoundError:
            raise MissingDependencyError("openvino", "openvino", "the engine openvino") from None
        self._threads = default_threads() if threads is None else threads
        if self._threads < 1:
            raise EngineError(f"threads is {threads}", "Give 1 or more, or leave it out")
        self._version = openvino.__version__.partition("-")[0]
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": self._threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "PERF_COUNT": counters,
        }
        core = openvino.Core()
        try:
            graph = core.read_model(model if isinstance(model, bytes) else str(model))
            compiled = core.compile_model(graph, "CPU", settings)
        except RuntimeError as exc:
            what = "the graph" if isinstance(model, bytes) else model
            raise EngineError(
                f"OpenVINO {self._version} cannot load {what}: {_first_line(exc)}",
                "Use --engine onnxruntime",
            ) from None
        self._inputs = tuple(_info(port) for port in compiled.inputs)
        self._check_feeds = FeedCheck(self._inputs)
        self._outputs = tuple(_info(port) for port in compiled.outputs)
        self._request: Any = compiled.create_infer_request()

    @property
    def name(self) -> str:
        threads = f"{self._threads} thread" + ("s" if self._threads > 1 else "")
        return f"openvino {self._version} (CPU, {threads})"

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
        if self._request is None:
            raise EngineError("the engine is closed", "Open it again: open_engine(bundle)")
        self._check_feeds(feeds)
        try:
            answers = self._request.infer(
                [feeds[info.name] for info in self._inputs], share_inputs=True
            )
        except RuntimeError as exc:
            raise EngineError(
                f"OpenVINO failed in the graph: {_first_line(exc)}",
                "Check that the graph takes this batch, or use --engine onnxruntime",
            ) from None
        return {info.name: answers[i].copy() for i, info in enumerate(self._outputs)}

    def layer_times(self, feeds: Mapping[str, Array]) -> list[tuple[str, str, float]]:
        """Name, operator and milliseconds of each layer that one call ran, by OpenVINO's counters.

        The engine was opened with `counters`. The first call also warms up: call it twice.

        Args:
            feeds: As `infer` takes them.

        Raises:
            EngineError: As `infer`.
        """
        self.infer(feeds)
        return [
            (node.node_name, node.node_type, node.real_time.total_seconds() * 1e3)
            for node in self._request.profiling_info
            if node.real_time
        ]

    def close(self) -> None:
        self._request = None


def _info(port: Any) -> TensorInfo:
    shape = tuple(d.get_length() if d.is_static else None for d in port.partial_shape)
    # A tensor that several names reach has them all; its node has the graph's own.
    name = port.node.friendly_name.partition("/sink_port_")[0]
    if name not in port.get_names():
        name = port.any_name
    return TensorInfo(name, shape, str(port.element_type.to_dtype()))


def _first_line(exc: Exception) -> str:
    """What went wrong, without where in the library."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return lines[-1] if lines else type(exc).__name__
