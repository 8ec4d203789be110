"""Several models of one video, such as two streams, as one graph with averaged scores.

Each model's output becomes scores in [0, 1], and the merged graph gives their weighted mean
(late fusion of two-stream networks: Simonyan & Zisserman 2014, arXiv:1406.2199):

    rgb.onnx   ──► softmax ──► * 1.0 / 2.5 ──┐
                                             + ──► average
    flow.onnx  ──► softmax ──► * 1.5 / 2.5 ──┘
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from edgevid.convert.answers import as_scores, choose_output, kind_of
from edgevid.convert.graph import all_names
from edgevid.convert.journal import Journal
from edgevid.convert.load import MAX_BYTES, Model, load
from edgevid.convert.picture_shapes import check_inputs
from edgevid.convert.source_model import SourceModel, source_model
from edgevid.convert.spec_file import UserSpec
from edgevid.errors import ModelError, SpecError
from edgevid.files import sha256_file
from edgevid.manifest import read_labels
from edgevid.spec import OutputKind, OutputSpec, Strict, parse
from edgevid.types import Array

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_AVERAGE = "average"
_MIN_OPSET = 13
"""The first whose Softmax takes one axis."""


class ModelTable(Strict):
    """One of a spec's `models`: its scores are averaged with those of the model converted."""

    file: str = Field(min_length=1, description="Beside the spec.")
    weight: float = Field(1.0, gt=0, description="Of its scores; the model converted has 1.")
    kind: OutputKind | None = None
    labels: str | tuple[str, ...] | None = Field(None, description="Must be the same classes.")


class _Tables(Strict):
    """As in a spec: for messages that name the field."""

    models: tuple[ModelTable, ...]


@dataclass(frozen=True)
class _Part:
    """A model, the output that holds its scores, and what these mean."""

    model: Model
    output: str
    kind: OutputKind
    classes: int
    weight: float


@contextmanager
def source_models(
    model: str, user: UserSpec, example_shape: Sequence[int] | None, journal: Journal
) -> Iterator[tuple[SourceModel, UserSpec]]:
    """The model as `source_model` gives it, merged with the spec's `models`.

    Yields:
        The model, whose file may be gone when the block ends, and what the spec says of it.

    Raises:
        SpecError: The models differ in their classes, or a table is wrong.
        ModelError: One of them cannot be read, or carries states.
        EdgevidError: As `source_model` raises.
    """
    with ExitStack() as stack:
        first = stack.enter_context(source_model(model, user, example_shape, journal))
        tables: _Tables = parse(_Tables, {"models": user.models}, user.where)
        if not tables.models:
            yield first, user
            return
        sources = [first]
        for table in tables.models:
            path = str(user.folder / table.file)
            sources.append(stack.enter_context(source_model(path, UserSpec(), None, journal)))
            _check_labels(table, user)
        parts = [_part(first.onnx, user, 1.0, None, journal)]
        for source, table in zip(sources[1:], tables.models, strict=True):
            parts.append(_part(source.onnx, UserSpec(), table.weight, table.kind, journal))
        _check_classes(parts)
        folder = stack.enter_context(TemporaryDirectory(prefix="edgevid-merge-"))
        file = " + ".join(source.file for source in sources)
        merged = Path(folder) / file
        merged.write_bytes(_merged(parts, journal).SerializeToString())
        journal.step(f"Averaging the scores of {file}")
        output = {"name": _AVERAGE, "kind": "probabilities"}
        yield (
            SourceModel(merged, first.name, file, sha256_file(merged)),
            replace(user, outputs=(output,)),
        )


def _check_labels(table: ModelTable, user: UserSpec) -> None:
    """Raise SpecError where the classes of a table are called something else."""
    if table.labels is None or user.labels is None:
        return
    named = table.labels
    names = read_labels(user.folder / named) if isinstance(named, str) else named
    if len(names) != len(user.labels):
        raise SpecError(
            f"{user.where}: models: {table.file} has {len(names)} labels, and the model that it "
            f"is averaged with has {len(user.labels)}",
            "Both must have the same classes, in the same order",
        )
    for i, (one, other) in enumerate(zip(names, user.labels, strict=True)):
        if one != other:
            raise SpecError(
                f"{user.where}: models: class {i} is {one!r} in {table.file}, and {other!r} in "
                "the model that it is averaged with",
                "Both must have the same classes, in the same order",
            )


def _part(
    path: Path, user: UserSpec, weight: float, kind: OutputKind | None, journal: Journal
) -> _Part:
    model = load(path, journal)
    try:
        check_inputs(model)
    except ModelError as exc:
        raise ModelError(
            f"{path.name} cannot be averaged with another model: {exc.message}", exc.hint
        ) from None
    output = choose_output(model, user)
    tried = _tried(model, output)
    if tried is None:
        tensor = next(t for t in model.outputs if t.name == output)
        tried = np.full((1, tensor.shape[-1] or 0), np.nan)
    table = user.output_table(output, [t.name for t in model.outputs])
    fields = {"kind": kind or kind_of(model, output, tried), **table}
    spec: OutputSpec = parse(OutputSpec, fields, f"{user.where}: outputs")
    return _Part(model, output, spec.kind, tried.shape[1], weight)


def _tried(model: Model, output: str) -> Array | None:
    """`(1, C)`: what the model says of noise; None where its shapes are open."""
    rng = np.random.default_rng(0)
    feeds: dict[str, Array] = {}
    for tensor in model.inputs:
        if None in tensor.shape[1:]:
            return None
        largest = 255 if tensor.dtype == "uint8" else 1
        noise = rng.random((1, *(n or 1 for n in tensor.shape[1:]))) * largest
        feeds[tensor.name] = noise.astype(tensor.dtype)
    try:
        return as_scores(model.session.run(feeds)[output], output)
    except RuntimeError as exc:
        raise ModelError(f"{model.path} fails on a picture of noise: {exc}") from None


def _check_classes(parts: Sequence[_Part]) -> None:
    first = parts[0]
    for part in parts[1:]:
        if part.classes != first.classes:
            raise SpecError(
                f"{part.model.path.name} gives {part.classes} scores, and "
                f"{first.model.path.name} gives {first.classes}: they cannot be averaged",
                "Both must have the same classes, in the same order",
            )


def _merged(parts: Sequence[_Part], journal: Journal) -> ModelProto:
    """One graph: all inputs, and the weighted mean of the scores as its output."""
    from onnx import TensorProto, helper, numpy_helper, version_converter

    if sum(part.model.proto.ByteSize() for part in parts) > MAX_BYTES:
        raise ModelError("the models have more than 2 GB of weights together", "Convert one alone")
    opset = max(_opset(part.model.proto) for part in parts)
    protos = [
        p.model.proto
        if _opset(p.model.proto) == opset
        else version_converter.convert_version(p.model.proto, opset)
        for p in parts
    ]
    result = type(protos[0])()
    result.CopyFrom(protos[0])
    result.ir_version = max(proto.ir_version for proto in protos)
    graph = result.graph
    graph.ClearField("value_info")
    for field in (graph.node, graph.initializer, graph.input, graph.output, result.functions):
        del field[:]
    terms = []
    for i, (part, proto) in enumerate(zip(parts, protos, strict=True)):
        prefix = f"{part.model.path.stem}_"
        if prefix in (f"{p.model.path.stem}_" for p in parts[:i]):
            prefix = f"{prefix}{i + 1}_"
        terms.append(_add(result, part, proto, prefix, journal))
    weights = np.array([part.weight for part in parts])
    for term, weight in zip(terms, weights / weights.sum(), strict=True):
        share = numpy_helper.from_array(np.array(weight, np.float32), f"{term}/weight")
        graph.initializer.append(share)
        graph.node.append(helper.make_node("Mul", [term, share.name], [f"{term}/weighted"]))
    graph.node.append(helper.make_node("Sum", [f"{term}/weighted" for term in terms], [_AVERAGE]))
    shape = ["batch", parts[0].classes]
    graph.output.append(helper.make_tensor_value_info(_AVERAGE, TensorProto.FLOAT, shape))
    return result


def _add(result: ModelProto, part: _Part, proto: ModelProto, prefix: str, journal: Journal) -> str:
    """Put one model into the merged one; the name of its scores."""
    from onnx import numpy_helper

    apart, output = _apart(proto, part.output, prefix, set(all_names(result.graph)), journal)
    graph = result.graph
    graph.node.extend(apart.graph.node)
    graph.initializer.extend(apart.graph.initializer)
    graph.input.extend(apart.graph.input)
    result.functions.extend(apart.functions)
    domains = {"", "ai.onnx", *(opset.domain for opset in result.opset_import)}
    result.opset_import.extend(o for o in apart.opset_import if o.domain not in domains)
    end = f"{prefix}scores"
    graph.node.extend(_scores(part, output, end))
    shape = np.array([-1, part.classes], np.int64)
    graph.initializer.append(numpy_helper.from_array(shape, f"{end}/shape"))
    return end


def _opset(proto: ModelProto) -> int:
    versions = [o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")]
    return max(_MIN_OPSET, *map(int, versions))


def _apart(
    proto: ModelProto, output: str, prefix: str, taken: set[str], journal: Journal
) -> tuple[ModelProto, str]:
    """The graph under names of its own; its inputs keep theirs where they are free."""
    from onnx import compose

    apart = compose.add_prefix(proto, prefix, rename_inputs=False)
    names = [value.name for value in apart.graph.input]
    if taken.intersection(names):
        apart = compose.add_prefix(proto, prefix)
        told = ", ".join(f"{name!r} is called {prefix + name!r}" for name in names)
        journal.note(f"Of {prefix[:-1]}, input {told}: another model has one of that name.")
    return apart, prefix + output


def _scores(part: _Part, output: str, end: str) -> list[NodeProto]:
    """From a model's output to `(N, C)` scores in [0, 1]."""
    from onnx import TensorProto, helper

    activation = {"logits": "Softmax", "sigmoid": "Sigmoid", "probabilities": "Identity"}[part.kind]
    attributes: dict[str, Any] = {"axis": 1} if activation == "Softmax" else {}
    return [
        helper.make_node("Cast", [output], [f"{end}/float"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", [f"{end}/float", f"{end}/shape"], [f"{end}/row"]),
        helper.make_node(activation, [f"{end}/row"], [end], **attributes),
    ]
