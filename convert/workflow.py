"""A model file goes in, a checked bundle comes out: the order of the steps."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgevid._version import __version__
from edgevid.convert.answers import choose_output, infer_kind
from edgevid.convert.batch import has_dynamic_batch, settle_batch
from edgevid.convert.build_trt import Target, add_plans, check_target, graphs_to_build
from edgevid.convert.bundle import Staging, check_out, staged
from edgevid.convert.checked import Checked
from edgevid.convert.frames import collect
from edgevid.convert.graph import bake, carried_states
from edgevid.convert.journal import Journal, Listener, Progress, silent, unwatched
from edgevid.convert.labels import class_labels
from edgevid.convert.load import Model, load
from edgevid.convert.merge import source_models
from edgevid.convert.parity import activate, compare, original_scores, require_parity
from edgevid.convert.picture_shapes import check_inputs
from edgevid.convert.quantize.procedure import QuantizeSettings
from edgevid.convert.quantize.report import Run
from edgevid.convert.report import PlanReport, Report, describe, describe_contract
from edgevid.convert.report_html import render
from edgevid.convert.session import Session
from edgevid.convert.settle import (
    Asked,
    Final,
    asked_precision,
    check_existing,
    settle,
)
from edgevid.convert.simplify import simplify
from edgevid.convert.source_model import SourceModel, model_name
from edgevid.convert.spec_file import UserSpec, read_spec
from edgevid.convert.spec_infer import Pictures, infer_inputs
from edgevid.convert.states import infer_states, without_states
from edgevid.convert.streaming.fold import fold_frames
from edgevid.convert.streaming.procedure import (
    Streaming,
    add_graphs,
    describe_features,
    split_for_streams,
)
from edgevid.convert.streaming.split import Pair
from edgevid.convert.streaming.stateful import make_stateful, step_where_cheaper
from edgevid.engines.build_options import BuildOptions
from edgevid.environment import environment
from edgevid.errors import MissingDependencyError
from edgevid.manifest import (
    MANIFEST_NAME,
    Manifest,
    ModelInfo,
    Quantised,
    dump,
)
from edgevid.spec import OutputSpec, Spec, StateSpec, parse

PARITY_STEPS = 16
"""Frames in a row, from zero states, that graphs with states are compared on."""


_PACKAGES = ("onnxruntime", "onnx", "onnxslim", "numpy")


@dataclass(frozen=True)
class ConversionResult:
    """A finished conversion.

    Attributes:
        bundle: The folder that was written.
        report: What was done; the same as in its `report.json`.
    """

    bundle: Path
    report: Report


def convert(
    model: Path | str,
    out: Path | None = None,
    *,
    spec: Path | Mapping[str, Any] | None = None,
    labels: Path | None = None,
    preset: str | None = None,
    precision: Asked | None = None,
    quantize: QuantizeSettings | None = None,
    target: Target = "auto",
    compute_capabilities: Sequence[str] = (),
    build: BuildOptions | None = None,
    frames: Sequence[Path] = (),
    example_shape: Sequence[int] | None = None,
    streaming: Streaming = "auto",
    stateful: bool = False,
    reference: bool = True,
    force: bool = False,
    command: str = "edgevid.convert.convert(...)",
    progress: Listener = silent,
    watch: Progress = unwatched,
) -> ConversionResult:
    """Turn a model into a bundle.

    Args:
        model: An `.onnx` file; with PyTorch a `.pt2`, `.pt` or `.pth` file, or
            `module:factory`.
        out: The bundle to write; default: the model's name with `.edgevid`, in the current
            folder.
        spec: What the shapes do not say: a `spec.toml` or a mapping of the same words.
        labels: A file with one label a line.
        preset: Name of the preprocessing (`edgevid.presets.NAMES`).
        precision: Of the converted graph; default: `auto` with `quantize`, else `fp32`.
        quantize: Videos to find INT8 ranges on, and how; needed for `int8`.
        target: Which TensorRT engines to build: `onnx` none, `auto` what this machine can use.
        compute_capabilities: GPUs to build for, such as "8.6" (TensorRT-RTX only); default:
            the one here.
        build: How TensorRT builds.
        frames: More videos to compare the graphs on, beside the clip that ships with edgevid.
        example_shape: PyTorch: of the input, batch first, where spec and file do not say.
        streaming: `auto`: split a clip model into a backbone for each frame and a head for each
            window, where its scores stay the same; take causal convolutions frame by frame,
            where that is cheaper at the contract's hop; `off`: keep it whole.
        stateful: Make a model over windows one that takes frame by frame and remembers; its
            answers differ from the windows' once it remembers more than they hold.
        reference: Keep the FP32 graph beside another one, for later checks.
        force: Replace an existing bundle.
        command: How this was called, for the report.
        progress: Called with each step, assumption and note as a sentence.
        watch: Called during long steps with how far they are.

    Raises:
        ModelError: The model cannot be read, or its interface is not supported.
        SpecError: The spec or a setting is wrong, or says too little.
        SourceError: The videos to calibrate or judge on cannot be used.
        ParityError: The converted graph does not answer like the model.
        ConversionError: A graph fails on a clip.
        BuildError: An engine that was asked for cannot be built.
        OutputError: `out` cannot be written; nothing is left behind.
        MissingDependencyError: The extra `convert` or `torch`, or the target's package, is not
            installed.
    """
    require_packages()
    started = datetime.now(timezone.utc)
    clock = time.monotonic()
    asked = asked_precision(precision, quantize)
    out = Path(f"{model_name(str(model))}.edgevid") if out is None else Path(out)
    check_out(out, force)
    check_target(target, compute_capabilities)
    journal = Journal(progress, watch)
    user = read_spec(spec, labels=labels, preset=preset)
    with source_models(str(model), user, example_shape, journal) as (source, user):
        original = load(source.onnx, journal)
        quantised = check_existing(original, asked, target, journal)
        checked = _convert_graph(original, user, frames, not quantised, journal)
        if not quantised and (stateful or streaming == "auto"):
            checked = fold_frames(checked, journal)
        if stateful:
            checked = make_stateful(checked, frames, journal)
        elif streaming == "auto":
            checked = step_where_cheaper(checked, frames, journal)
        final = settle(checked, "as it is" if quantised else asked, quantize, journal)
        pair = (
            split_for_streams(final, checked.spec, checked.windows, journal)
            if streaming == "auto"
            else None
        )
        with staged(out, force) as staging:
            files = add_graphs(staging, final.graph, pair)
            if reference and final.precision != "fp32" and not quantised:
                staging.add_model("reference.onnx", checked.graph, "reference")
            graphs = graphs_to_build(staging, checked.spec, build or BuildOptions())
            plans = add_plans(
                staging, graphs, target, compute_capabilities, final.precision, journal
            )
            run = Run(
                started=started,
                seconds=round(time.monotonic() - clock, 2),
                command=command,
                environment=environment(_PACKAGES),
            )
            report = _report(source, original, final, files, plans, run, journal)
            _finish(staging, source, checked, final, pair, report)
    return ConversionResult(out, report)


def _convert_graph(
    original: Model,
    user: UserSpec,
    frames: Sequence[Path],
    may_simplify: bool,
    journal: Journal,
) -> Checked:
    states = infer_states(original, user)
    original = without_states(original, states)
    check_inputs(original)
    output_name = choose_output(original, user)
    pictures = infer_inputs(original, user, journal, carries=bool(states))
    windows, frames_from = collect(pictures, frames, steps=PARITY_STEPS if states else 1)
    raw = original_scores(original, pictures.inputs, output_name, windows, states)
    output = infer_kind(original, output_name, raw, user, journal)
    labels = class_labels(user, raw.shape[1], journal)
    spec = _contract(labels, pictures, output, states, user)
    journal.step(f"{original.path.name} {describe_contract(spec)}")

    journal.step("Baking preprocessing into the graph")
    graph = bake(original.proto, spec)
    if may_simplify:
        graph = simplify(graph, journal)
    graph = settle_batch(graph, windows, journal)
    spec = spec.model_copy(update={"states": carried_states(graph)})
    journal.step("Comparing with the original")
    expected = activate(raw, output.kind)
    parity = compare(Session(graph), expected, windows, frames_from)
    require_parity(parity, "fp32")
    return Checked(graph, spec, parity, windows, frames_from, expected)


def _contract(
    labels: tuple[str, ...],
    pictures: Pictures,
    output: OutputSpec,
    states: tuple[StateSpec, ...],
    user: UserSpec,
) -> Spec:
    """The whole contract; raises SpecError where its parts do not go together."""
    parts = {"clip": pictures.clip, "inputs": pictures.inputs, "outputs": (output,)}
    spec: Spec = parse(Spec, {"labels": labels, "states": states, **parts}, user.where)
    return spec


def _report(
    source: SourceModel,
    original: Model,
    final: Final,
    files: Sequence[Path],
    plans: tuple[PlanReport, ...],
    run: Run,
    journal: Journal,
) -> Report:
    return Report(
        edgevid_version=__version__,
        model=source.file,
        precision=final.precision,
        dynamic_batch=has_dynamic_batch(final.graph),
        assumptions=tuple(journal.assumptions),
        notes=tuple(journal.notes),
        parity=final.parity,
        original=describe(original.proto, original.path),
        converted=describe(final.graph, *files),
        fp32_nodes=final.fp32_nodes,
        plans=plans,
        run=run,
        quantisation=final.quantisation,
    )


def _finish(
    staging: Staging,
    source: SourceModel,
    checked: Checked,
    final: Final,
    pair: Pair | None,
    report: Report,
) -> None:
    """Write labels and reports, and last the manifest, which lists every file."""
    spec = checked.spec
    staging.add("labels.txt", ("\n".join(spec.labels) + "\n").encode(), "labels")
    staging.add("report.json", (report.model_dump_json(indent=2) + "\n").encode(), "report")
    page = render(report, report.run, report.quantisation)
    staging.add("report.html", page.encode(), "report")
    manifest = Manifest(
        edgevid_version=__version__,
        model=ModelInfo(name=source.name, source_file=source.file, source_sha256=source.sha256),
        clip=spec.clip,
        inputs=spec.inputs,
        outputs=spec.outputs,
        states=spec.states,
        stepped=checked.stepped,
        features=describe_features(pair),
        precision=report.precision,
        assumptions=report.assumptions,
        parity=report.parity,
        quantised=_describe_quantised(final),
        artifacts=tuple(staging.artifacts),
    )
    staging.write(MANIFEST_NAME, dump(manifest))


def _describe_quantised(final: Final) -> Quantised | None:
    report = final.quantisation
    if report is None or report.winner.comparison is None:
        return None
    return Quantised(
        method=report.method,
        calibration_clips=report.calibration.clips,
        calibration_sha256=report.calibration.sha256,
        seed=report.calibration.seed,
        kept_in_float=final.kept_in_float,
        evaluation_clips=report.evaluation.clips,
        top1_agreement=report.winner.comparison.top1_agreement,
        verdict=report.reason,
    )


def require_packages() -> None:
    """Raise MissingDependencyError where a package that every conversion needs is missing."""
    for package in ("onnx", "onnxslim"):
        try:
            importlib.import_module(package)
        except ImportError:
            raise MissingDependencyError(package, "convert", "Converting a model") from None
