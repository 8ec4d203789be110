"""Q/DQ by NVIDIA's Model Optimizer (`nvidia-modelopt`), in place of edgevid's own.

https://nvidia.github.io/Model-Optimizer/guides/_onnx_quantization.html
"""

from __future__ import annotations

import io
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgevid.convert.graph import PREFIX, carried_states
from edgevid.convert.quantize.existing import find_existing_qdq
from edgevid.convert.quantize.graph_view import GraphView
from edgevid.convert.quantize.groups import Group, Placement
from edgevid.convert.quantize.weighted import WEIGHTED
from edgevid.errors import ConversionError, MissingDependencyError, OutputError
from edgevid.types import Array

if TYPE_CHECKING:
    from onnx import ModelProto

    from edgevid.convert.quantize.clipset import ClipSet

ModelOptMethod = Literal["minmax", "entropy"]

_METHODS = {"minmax": "max", "entropy": "entropy"}
_OWN = "Leave --quantizer out: edgevid quantises by itself"


def quantize_with_modelopt(
    reference: ModelProto, calibration: ClipSet, method: ModelOptMethod = "entropy"
) -> ModelProto:
    """A copy of `reference` with the Q/DQ that Model Optimizer places, scales in FP32.

    Activations are per tensor, weights per channel and stored in INT8, all symmetric. Its
    placement is its own; only preprocessing is kept out of it. The opset is raised to 19.

    Args:
        reference: From `prepare`, from uint8 frames to scores, below 2 GB.
        calibration: Clips that it finds the ranges on, read one at a time.
        method: How; its "max" is called `minmax` here.

    Raises:
        MissingDependencyError: Model Optimizer, or what it needs, is not installed.
        ConversionError: It fails, quantises nothing, or gives Q/DQ that TensorRT refuses; or
            the graph carries states from call to call, and cannot be calibrated by one call.
        OutputError: There is no room for temporary files.
    """
    import onnx

    if carried_states(reference):
        raise ConversionError("Model Optimizer cannot calibrate a model that carries states", _OWN)
    with _hushed(), tempfile.TemporaryDirectory(prefix="edgevid-") as folder:
        quantize = _load()
        source, target = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        _write(source, reference.SerializeToString())
        try:
            quantize(
                str(source),
                quantize_mode="int8",
                calibration_method=_METHODS[method],
                calibration_data_reader=_Reader(calibration.feeds),
                calibration_eps=["cpu"],
                nodes_to_exclude=[f"{re.escape(PREFIX)}.*"],
                high_precision_dtype="fp32",
                # Weights in INT8 behind a DequantizeLinear alone, as edgevid keeps them too.
                dq_only=True,
                output_path=str(target),
                log_level="ERROR",
            )
            quantised = onnx.load(str(target))
        # What it raises is not documented.
        except Exception as exc:
            raise ConversionError(
                f"Model Optimizer cannot quantise the graph: {_reason(exc)}", _OWN
            ) from exc
    found = find_existing_qdq(quantised)
    if found.kind in ("none", "weights"):
        raise ConversionError("Model Optimizer found nothing to quantise in the graph", _OWN)
    if found.kind == "unsupported":
        raise ConversionError(f"TensorRT cannot take Model Optimizer's graph: {found.reason}", _OWN)
    return quantised


def describe_qdq(model: ModelProto) -> Placement:
    """Which weighted layers of a graph read INT8, and which do not; for the report."""
    view = GraphView(model)
    groups: list[Group] = []
    left_alone: dict[str, str] = {}
    for node in view.nodes:
        if node.op_type not in (*WEIGHTED, "LSTM", "GRU", "RNN"):
            continue
        makers = [view.producers.get(name) for name in node.input[:2]]
        if all(maker is not None and maker.op_type == "DequantizeLinear" for maker in makers):
            groups.append(Group(view.title(node), node.op_type, edges=(), weight=None))
        else:
            left_alone[view.title(node)] = f"{node.op_type} that Model Optimizer leaves in float"
    return Placement(tuple(groups), (), {}, frozenset(), left_alone)


class _Reader:
    """Calibration data as ONNX Runtime's `CalibrationDataReader`, which it need not inherit."""

    def __init__(self, feeds: Sequence[Mapping[str, Array]]) -> None:
        self._feeds = feeds
        self.rewind()

    def get_first(self) -> Mapping[str, Array]:
        return self._feeds[0]

    def get_next(self) -> Mapping[str, Array] | None:
        return next(self._left, None)

    def rewind(self) -> None:
        self._left = iter(self._feeds)


def _load() -> Callable[..., Any]:
    try:
        from modelopt.onnx.quantization import quantize
    except ImportError as exc:
        # Model Optimizer wraps the error of a package that it misses itself.
        missing = re.search(r"No module named '(\w+)", str(exc))
        raise MissingDependencyError(
            missing[1] if missing else "modelopt", "modelopt", "--quantizer modelopt"
        ) from exc
    function: Callable[..., Any] = quantize
    return function


@contextmanager
def _hushed() -> Iterator[None]:
    """Without what Model Optimizer prints, logs, warns of and shows as progress."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as exc:
        raise OutputError(
            f"the graph cannot be kept in the folder for temporary files: {exc.strerror}",
            "Free some space, or set TMPDIR to a folder that has it",
        ) from None


def _reason(exc: Exception) -> str:
    """The first line of what it says, with the error's kind."""
    lines = str(exc).strip().splitlines()
    return f"{type(exc).__name__}: {lines[0]}" if lines else type(exc).__name__
