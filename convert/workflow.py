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
from edgevid.convert.build_trt import Target, add_plans, check_target
from edgevid.convert.bundle import Staging, check_out, staged
from edgevid.convert.frames import collect
from edgevid.convert.graph import bake
from edgevid.convert.journal import Journal, Listener, silent
from edgevid.convert.labels import class_labels
from edgevid.convert.load import Model, load
from edgevid.convert.parity import activate, compare, original_scores, require_parity
from edgevid.convert.precision import convert_to_fp16
from edgevid.convert.report import PlanReport, Report, describe, describe_contract
from edgevid.convert.session import Session
from edgevid.convert.simplify import simplify
from edgevid.convert.spec_file import UserSpec, read_spec
from edgevid.convert.spec_infer import check_inputs, infer_inputs
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
    """A graph that was checked, its contract, and the FP32 graph that it comes from."""

    graph: ModelProto
    reference: ModelProto
    spec: Spec
    parity: Parity
    fp32_nodes: dict[str, str]


def convert(
    model: Path,
    out: Path | None = None,
    *,
    spec: Path | Mapping[str, Any] | None = None,
    labels: Path | None = None,
    preset: str | None = None,
    precision: Precision = "fp32",
    target: Target = "auto",
    compute_capabilities: Sequence[str] = (),
    frames: Sequence[Path] = (),
    reference: bool = True,
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
        target: Which TensorRT engines to build: `onnx` none, `auto` what this machine can use.
        compute_capabilities: GPUs to build for, such as "8.6" (TensorRT-RTX only); default:
            the one here.
        frames: More videos to compare the graphs on, beside the clip that ships with edgevid.
        reference: Keep the FP32 graph beside an FP16 one, for later checks.
        force: Replace an existing bundle.
        progress: Called with each step, assumption and note as a sentence.

    Raises:
        ModelError: The model cannot be read, or its interface is not supported.
        SpecError: The spec is wrong, or says too little.
        ParityError: The converted graph does not answer like the model.
        BuildError: An engine that was asked for cannot be built.
        OutputError: `out` cannot be written; nothing is left behind.
        MissingDependencyError: The extra `convert`, or the target's package, is not installed.
    """
    require_packages()
    model = Path(model)
    out = Path(f"{model.stem}.edgevid") if out is None else Path(out)
    check_out(out, force)
    check_target(target, compute_capabilities)
    journal = Journal(progress)
    user = read_spec(spec, labels=labels, preset=preset)
    original = load(model, journal)
    converted = _convert_graph(original, user, precision, frames, journal)
    with staged(out, force) as staging:
        file = staging.add_model("model.onnx", converted.graph, "model")
        if reference and precision != "fp32":
            staging.add_model("reference.onnx", converted.reference, "reference")
        plans = add_plans(staging, file, target, compute_capabilities, precision, journal)
        report = _report(original, converted, precision, file, plans, journal)
        _finish(staging, original, converted, report)
    return ConversionResult(out, report)


def _convert_graph(
    original: Model,
    user: UserSpec,
    precision: Precision,
    frames: Sequence[Path],
    journal: Journal,
) -> _Converted:
    check_inputs(original)
    output_name = choose_output(original, user)
    pictures = infer_inputs(original, user, journal)
    windows, frames_from = collect(pictures, frames)
    raw = original_scores(original, pictures.inputs, output_name, windows)
    output = infer_kind(original, output_name, raw, user, journal)
    labels = class_labels(user, raw.shape[1], journal)
    spec = Spec(labels=labels, clip=pictures.clip, inputs=pictures.inputs, outputs=(output,))
    journal.step(f"{original.path.name} {describe_contract(spec)}")

    journal.step("Baking preprocessing into the graph")
    baked = bake(original.proto, spec)
    reference = settle_batch(simplify(baked, journal), windows, journal)
    journal.step("Comparing with the original")
    expected = activate(raw, output.kind)
    parity = compare(Session(reference), expected, windows, frames_from)
    require_parity(parity, "fp32")
    if precision == "fp32":
        return _Converted(reference, reference, spec, parity, {})

    journal.step("Converting to FP16")
    graph, fp32_nodes = convert_to_fp16(reference, windows)
    parity = compare(Session(graph), expected, windows, frames_from)
    require_parity(parity, precision)
    return _Converted(graph, reference, spec, parity, fp32_nodes)


def _report(
    original: Model,
    converted: _Converted,
    precision: Precision,
    file: Path,
    plans: tuple[PlanReport, ...],
    journal: Journal,
) -> Report:
    return Report(
        edgevid_version=__version__,
        model=original.path.name,
        precision=precision,
        dynamic_batch=has_dynamic_batch(converted.graph),
        assumptions=tuple(journal.assumptions),
        notes=tuple(journal.notes),
        parity=converted.parity,
        original=describe(original.proto, original.path),
        converted=describe(converted.graph, file),
        fp32_nodes=converted.fp32_nodes,
        plans=plans,
    )


def _finish(staging: Staging, original: Model, converted: _Converted, report: Report) -> None:
    """Write labels and report, and last the manifest, which lists every file."""
    spec = converted.spec
    staging.add("labels.txt", ("\n".join(spec.labels) + "\n").encode(), "labels")
    staging.add("report.json", (report.model_dump_json(indent=2) + "\n").encode(), "report")
    manifest = Manifest(
        edgevid_version=__version__,
        model=ModelInfo(
            name=original.path.stem,
            source_file=original.path.name,
            source_sha256=original.sha256,
        ),
        clip=spec.clip,
        inputs=spec.inputs,
        outputs=spec.outputs,
        precision=report.precision,
        assumptions=report.assumptions,
        parity=report.parity,
        artifacts=tuple(staging.artifacts),
    )
    staging.write(MANIFEST_NAME, dump(manifest))


def require_packages() -> None:
    for package in ("onnx", "onnxslim"):
        try:
            importlib.import_module(package)
        except ImportError:
            raise MissingDependencyError(package, "convert", "Converting a model") from None
