"""PyTorch models to ONNX, checked against PyTorch itself.

There are two exporters. `torch.export` captures what a model computes, notices where that
depends on values, and gives small graphs: it comes first. Tracing also takes TorchScript
and Python that cannot be captured, but keeps decisions as they fell for the example. What
one cannot do, the other may; each result counts only if ONNX Runtime answers like PyTorch,
for a batch of 1 and of 3.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgevid.convert.data_shapes import data_dependent, refuse_data_dependent_shapes
from edgevid.convert.session import Session
from edgevid.convert.torch_factory import build, is_factory
from edgevid.convert.torch_files import SUFFIXES, read_file
from edgevid.convert.torch_model import TorchModel, quiet, reason, require_torch, with_example
from edgevid.errors import ConversionError, ModelError, ParityError
from edgevid.files import write_atomic
from edgevid.types import Array

if TYPE_CHECKING:
    from onnx import ModelProto

BATCH = "batch"
MAX_DIFFERENCE = 1e-3
"""Of an output, relative to its largest magnitude."""

_CAPTURE_OPSET = 18  # the exporter's own; older ones go through a version converter
_TRACE_OPSET = 17
_EXAMPLE_BATCH = 2  # torch.export takes a 1 for a constant
_CHECK_BATCHES = (1, 3)


@dataclass(frozen=True)
class ExportedModel:
    """A model in ONNX.

    Attributes:
        path: The `.onnx` file. Its batch axis is called "batch", or is fixed where the
            model itself fixes it.
        notes: How it was exported, and how well it agrees with PyTorch: one sentence each.
    """

    path: Path
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Attempt:
    """One way to export.

    Attributes:
        exporter: Which of the two.
        batch: The batch to fix; None leaves it open.
    """

    exporter: Literal["torch.export", "tracing"]
    batch: int | None

    @property
    def example_batch(self) -> int:
        return self.batch or _EXAMPLE_BATCH


def is_torch_source(source: str) -> bool:
    """True for a `.pt2`, `.pt` or `.pth` file and for `module:factory`."""
    return Path(source).suffix in SUFFIXES or (is_factory(source) and not Path(source).exists())


def export_torch(
    source: str,
    out_dir: Path,
    *,
    example_shape: Sequence[int] | None = None,
    dtype: str = "float32",
    notify: Callable[[str], None],
) -> ExportedModel:
    """Export a PyTorch model to ONNX.

    Args:
        source: A `torch.export` program (`.pt2`), a TorchScript archive (`.pt`, `.pth`), or
            `module:factory`, Python importable from the current folder that gives a
            `torch.nn.Module`.
        out_dir: Folder to write the file into; it is named after the source.
        example_shape: Shape of the one input, batch first (the batch is not looked at).
            Not needed where the file keeps its example: programs do, traced scripts mostly.
        dtype: Of that input, where the file does not say: "float32", "float16", "float64"
            or "uint8".
        notify: Called with each step as a sentence.

    Raises:
        ModelError: The source cannot be read, or what it computes depends on values.
        SpecError: The shape of an input is missing or cannot be.
        ConversionError: Neither exporter can export it.
        ParityError: ONNX Runtime does not answer like PyTorch.
        OutputError: The file cannot be written.
        MissingDependencyError: The extra `torch` is not installed.
    """
    require_torch()
    with quiet():
        notify(f"Reading {source}")
        model = build(source) if is_factory(source) else read_file(Path(source))
        model = with_example(model, example_shape, dtype)
        notify(f"Exporting {source} to ONNX; this can take minutes")
        proto, notes = _first_that_works(model, _attempts(model, _batches(model)))
    path = out_dir / f"{model.name}.onnx"
    write_atomic(path, proto.SerializeToString())
    return ExportedModel(path, notes)


def _batches(model: TorchModel) -> tuple[int | None, ...]:
    """Which batches to export with, best first; None is an open one.

    Raises:
        ModelError: The model fails on its inputs.
    """
    own = model.inputs[0].shape[0] if model.form == "program" else None
    for batch in (_EXAMPLE_BATCH, 1) if own is None else (own,):
        try:
            outputs = model.run(model.random(batch, seed=0))
        # The model's own code runs here, which may raise anything.
        except Exception as exc:
            problem = reason(exc)
            continue
        if own is not None or batch == 1:
            return (batch,)
        if any(out.shape[:1] != (batch,) for out in outputs.values()):
            continue
        return (None,) if model.form == "program" else (None, 1)
    shapes = ", ".join(f"{t.name} {[batch, *t.shape[1:]]} ({t.dtype})" for t in model.inputs)
    raise ModelError(
        f"{model.source} fails on random input of the shape {shapes}: {problem}",
        "Check the shape and type of the example against what the model was trained on",
    )


def _attempts(model: TorchModel, batches: Sequence[int | None]) -> Iterator[_Attempt]:
    for batch in batches:
        if model.form != "script":
            yield _Attempt("torch.export", batch)
        yield _Attempt("tracing", batch)


def _first_that_works(
    model: TorchModel, attempts: Iterable[_Attempt]
) -> tuple[ModelProto, tuple[str, ...]]:
    failures: dict[str, ConversionError] = {}
    for attempt in attempts:
        try:
            proto, frozen = _export(model, attempt)
            difference = _difference(model, proto, attempt)
        except ConversionError as exc:
            # A fixed batch is the last resort: what is wrong, the open one has shown.
            failures.setdefault(attempt.exporter, exc)
            continue
        return proto, tuple(_notes(model, attempt, failures, frozen, difference))
    kinds = {type(exc) for exc in failures.values()}
    error = kinds.pop() if len(kinds) == 1 else ConversionError
    raise error(
        f"{model.source} cannot be exported to ONNX: "
        + "; ".join(f"by {exporter}: {exc.message}" for exporter, exc in failures.items()),
        next(iter(failures.values())).hint,
    )


def _export(model: TorchModel, attempt: _Attempt) -> tuple[ModelProto, int]:
    """The graph, and how many decisions of the model's Python the exporter has frozen.

    Raises:
        ConversionError: The exporter fails.
        ModelError: The shape of some result depends on the values of the inputs.
    """
    example = model.random(attempt.example_batch, seed=1)
    try:
        if attempt.exporter == "torch.export":
            proto, frozen = _capture(model, example, attempt), 0
        else:
            proto, frozen = _trace(model, example, attempt)
    # Both exporters run the model's code and raise much of their own.
    except Exception as exc:
        if "data-dependent" in str(exc):
            raise data_dependent(
                model.source, "an if, a loop or a size in its Python reads a tensor"
            ) from None
        raise ConversionError(
            f"{type(exc).__name__}: {reason(exc)}",
            "Replace the operation that it names, or export the model to .onnx by other means",
        ) from None
    refuse_data_dependent_shapes(proto, model.source)
    _refuse_training_mode(proto, model.source)
    _tidy(proto, attempt)
    return proto, frozen


def _refuse_training_mode(proto: ModelProto, source: str) -> None:
    for node in proto.graph.node:
        if any(a.name == "training_mode" and a.i for a in node.attribute):
            raise ModelError(
                f"{source} normalises by each batch's own mean, as a model in training mode does",
                "Call model.eval() before exporting",
            )


def _capture(model: TorchModel, example: list[Array], attempt: _Attempt) -> ModelProto:
    import torch

    program = model.code
    if model.form != "program":
        batch = None if attempt.batch else torch.export.Dim(BATCH)
        # Where it fails, it prints all that it has captured so far to stderr.
        with contextlib.redirect_stderr(io.StringIO()):
            program = torch.export.export(
                model.code,
                model.arguments(example)[0],
                dynamic_shapes=None if batch is None else tuple({0: batch} for _ in example),
            )
    exported = torch.onnx.export(
        program,
        dynamo=True,
        opset_version=_CAPTURE_OPSET,
        output_names=list(model.run(example)),
        verbose=False,
    )
    proto: ModelProto = exported.model_proto
    return proto


def _trace(model: TorchModel, example: list[Array], attempt: _Attempt) -> tuple[ModelProto, int]:
    import onnx
    import torch

    args, kwargs = model.arguments(example)
    inputs, outputs = [t.name for t in model.inputs], list(model.run(example))
    file = io.BytesIO()
    with warnings.catch_warnings(record=True) as raised, torch.no_grad():
        warnings.simplefilter("always", torch.jit.TracerWarning)
        torch.onnx.export(
            model.module,
            args,
            file,
            kwargs=kwargs,
            dynamo=False,
            opset_version=_TRACE_OPSET,
            input_names=inputs,
            output_names=outputs,
            dynamic_axes=None if attempt.batch else {n: {0: BATCH} for n in (*inputs, *outputs)},
        )
    frozen = sum(issubclass(w.category, torch.jit.TracerWarning) for w in raised)
    return onnx.load_from_string(file.getvalue()), frozen


def _tidy(proto: ModelProto, attempt: _Attempt) -> None:
    """Name the batch axis; drop stack traces with the paths of this machine, and shapes."""
    graph = proto.graph
    if attempt.batch is None:
        for value in (*graph.input, *graph.output):
            dims = value.type.tensor_type.shape.dim
            if dims and not dims[0].HasField("dim_value"):
                dims[0].dim_param = BATCH
    for part in (proto, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]
    del graph.value_info[:]


def _difference(model: TorchModel, proto: ModelProto, attempt: _Attempt) -> float:
    """How far ONNX Runtime's answers are from PyTorch's, relative to each output's largest.

    Raises:
        ConversionError: The graph does not load or run, or the answers have other shapes.
        ParityError: They differ by more than `MAX_DIFFERENCE`.
        ModelError: PyTorch's own are no numbers.
    """
    largest = 0.0
    try:
        session = Session(proto)
        for batch in _CHECK_BATCHES if attempt.batch is None else (attempt.batch,):
            arrays = model.random(batch, seed=batch + 1)
            expected = model.run(arrays)
            _require_numbers(expected, model.source)
            names = (value.name for value in proto.graph.input)
            actual = session.run(dict(zip(names, arrays, strict=True)))
            # Unlike max(), this hands NaN on.
            largest = float(np.max([largest, *(_apart(actual[n], expected[n]) for n in expected)]))
    # A batch that the exporter has frozen fails here in either framework.
    except (RuntimeError, ValueError, KeyError) as exc:
        raise ConversionError(f"the graph fails on random input: {reason(exc)}") from None
    # Written so that NaN is refused too.
    if not largest <= MAX_DIFFERENCE:
        raise _parity_error(model, arrays, largest)
    return largest


def _require_numbers(outputs: dict[str, Array], source: str) -> None:
    for name, values in outputs.items():
        if not np.isfinite(values).all():
            raise ModelError(
                f"output {name!r} of {source} is NaN or infinite on random input",
                "Check its weights: a file may be damaged, or the training have diverged",
            )


def _apart(actual: Array, expected: Array) -> float:
    if actual.shape != expected.shape:
        raise ValueError(
            f"an output has shape {list(actual.shape)} instead of {list(expected.shape)}"
        )
    scale = max(float(np.abs(expected).max(initial=0.0)), 1e-6)
    apart = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    return float(apart.max(initial=0.0)) / scale


def _parity_error(model: TorchModel, arrays: list[Array], largest: float) -> ParityError:
    first, second = model.run(arrays), model.run(arrays)
    if any(not np.array_equal(first[name], second[name]) for name in first):
        return ParityError(
            "the model gives the same input different answers, as one in training mode does",
            "Call model.eval() before exporting, and leave nothing to chance",
        )
    return ParityError(
        f"ONNX Runtime's answers differ from PyTorch's by up to {largest:.2g} of the largest "
        f"value (allowed: {MAX_DIFFERENCE:g})",
        "Replace what the model takes from outside its weights and inputs (NumPy, random "
        "numbers, global variables)",
    )


def _notes(
    model: TorchModel,
    attempt: _Attempt,
    failures: dict[str, ConversionError],
    frozen: int,
    difference: float,
) -> Iterator[str]:
    opset = _CAPTURE_OPSET if attempt.exporter == "torch.export" else _TRACE_OPSET
    yield f"{model.source} was exported to ONNX (opset {opset}) by {attempt.exporter}."
    for exporter, exc in failures.items():
        which = "with an open batch" if attempt.batch else "at all"
        yield f"Exporting it by {exporter} {which} failed: {exc.message}."
    if frozen:
        yield (
            f"Tracing kept {frozen} decisions of its Python as they fell for the example: right "
            "if they depend on sizes alone."
        )
    if attempt.batch and not failures:
        yield (
            f"The model itself fixes its batch at {attempt.batch}; for an open one, export it "
            "with dynamic_shapes."
        )
    batches = "a batch of " + (str(attempt.batch) if attempt.batch else "1 and of 3")
    yield (
        f"ONNX Runtime answers like PyTorch: on random input, in {batches}, outputs differ by at "
        f"most {difference:.1e} of their largest value."
    )
