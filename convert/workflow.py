"""A model file goes in, a checked bundle comes out: the order of the steps."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevid._version import __version__
from edgevid.convert.answers import choose_output, infer_kind
from edgevid.convert.batch import has_dynamic_batch, settle_batch
from edgevid.convert.bundle import Staging, check_target, staged
from edgevid.convert.frames import collect
from edgevid.convert.graph import bake
from edgevid.convert.journal import Journal, Listener, silent
from edgevid.convert.labels import class_labels
from edgevid.convert.load import Model, load
from edgevid.convert.parity import activate, compare, original_scores, require_parity
from edgevid.convert.report import Report, describe
from edgevid.convert.session import Session
from edgevid.convert.simplify import simplify
from edgevid.convert.spec_file import UserSpec, read_spec
from edgevid.convert.spec_infer import infer_inputs
from edgevid.errors import MissingDependencyError
from edgevid.manifest import MANIFEST_NAME, Manifest, ModelInfo, Parity, Precision, dump
from edgevid.spec import Spec

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True)
class ConversionResult:
    """A finished conversion.

    Attributes:
        bundle: The folder that was written.
        report: What was done; the same as in its `report.json`.
    """

    bundle: Path
    report: Report


@dataclass(frozen=True)
class _Converted:
    """A graph that was checked, and its contract."""

    graph: ModelProto
    spec: Spec
    parity: Parity


def convert(
    model: Path,
    out: Path | None = None,
    *,
    spec: Path | Mapping[str, Any] | None = None,
    labels: Path | None = None,
    preset: str | None = None,
    precision: Precision = "fp32",
    frames: Sequence[Path] = (),
    force: bool = False,
    progress: Listener = silent,
) -> ConversionResult:
    """Turn an ONNX model into a bundle.

    Args:
        model: The `.onnx` file.
        out: The bundle to write; default: the model's name with `.edgevid`, in the current
            folder.
        spec: What the shapes do not say: a `spec.toml` or a mapping of the same words.
        labels: A file with one label a line.
        preset: Name of the preprocessing (`edgevid.presets.NAMES`).
        precision: Of the converted graph.
        frames: More videos to compare the graphs on, beside the clip that ships with edgevid.
        force: Replace an existing bundle.
        progress: Called with each step, assumption and note as a sentence.

    Raises:
        ModelError: The model cannot be read, or its interface is not supported.
        SpecError: The spec is wrong, or says too little.
        ParityError: The converted graph does not answer like the model.
        OutputError: `out` cannot be written; nothing is left behind.
        MissingDependencyError: The extra `convert` is not installed.
    """
    _require_packages()
    out = Path(f"{model.stem}.edgevid") if out is None else out
    check_target(out, force)
    journal = Journal(progress)
    user = read_spec(spec, labels=labels, preset=preset)
    journal.step(f"Reading {model}")
    original = load(model, journal)
    converted = _convert_graph(original, user, frames, journal)
    with staged(out, force) as staging:
        report = _fill(staging, original, converted, precision, journal)
    return ConversionResult(out, report)


def _convert_graph(
    original: Model, user: UserSpec, frames: Sequence[Path], journal: Journal
) -> _Converted:
    pictures = infer_inputs(original, user, journal)
    output_name = choose_output(original, user)
    windows, frames_from = collect(pictures, frames)
    journal.step(f"Running the original on {frames_from}")
    raw = original_scores(original, pictures.inputs, output_name, windows)
    output = infer_kind(original, output_name, raw, user, journal)
    labels = class_labels(user, raw.shape[1], journal)

    journal.step("Baking preprocessing into the graph")
    baked = bake(original.proto, pictures.clip, pictures.inputs, output, raw.shape[1])
    graph = settle_batch(simplify(baked, journal), windows, journal)

    journal.step("Comparing the new graph with the original")
    expected = activate(raw, output.kind)
    parity = compare(Session(graph), expected, windows, frames_from)
    require_parity(parity, "fp32")
    spec = Spec(labels=labels, clip=pictures.clip, inputs=pictures.inputs, outputs=(output,))
    return _Converted(graph, spec, parity)


def _fill(
    staging: Staging,
    original: Model,
    converted: _Converted,
    precision: Precision,
    journal: Journal,
) -> Report:
    """Write every file of the bundle, the manifest last."""
    file = staging.add_model("model.onnx", converted.graph, "model")
    staging.add("labels.txt", ("\n".join(converted.spec.labels) + "\n").encode(), "labels")
    report = Report(
        edgevid_version=__version__,
        model=original.path.name,
        precision=precision,
        dynamic_batch=has_dynamic_batch(converted.graph),
        assumptions=tuple(journal.assumptions),
        notes=tuple(journal.notes),
        parity=converted.parity,
        original=describe(original.proto, original.path),
        converted=describe(converted.graph, file),
    )
    staging.add("report.json", (report.model_dump_json(indent=2) + "\n").encode(), "report")
    manifest = Manifest(
        edgevid_version=__version__,
        model=ModelInfo(
            name=original.path.stem,
            source_file=original.path.name,
            source_sha256=original.sha256,
        ),
        clip=converted.spec.clip,
        inputs=converted.spec.inputs,
        outputs=converted.spec.outputs,
        precision=precision,
        assumptions=tuple(journal.assumptions),
        parity=converted.parity,
        artifacts=tuple(staging.artifacts),
    )
    staging.write(MANIFEST_NAME, dump(manifest))
    return report


def _require_packages() -> None:
    for package in ("onnx", "onnxslim"):
        try:
            importlib.import_module(package)
        except ImportError:
            raise MissingDependencyError(package, "convert", "Converting a model") from None
