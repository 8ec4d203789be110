"""TensorRT engines for a bundle: what was asked for, or what this machine can use."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgevid.convert.bundle import Staging
from edgevid.convert.journal import Journal
from edgevid.convert.report import PlanReport
from edgevid.engines.build_options import BuildOptions
from edgevid.engines.cuda_memory import open_cuda
from edgevid.engines.plans import FLAVOURS, Flavour
from edgevid.engines.split_engine import stage_options
from edgevid.engines.tensorrt_build import build_plan, check_capability
from edgevid.engines.tensorrt_module import load_tensorrt
from edgevid.errors import EdgevidError, MissingDependencyError, SpecError
from edgevid.manifest import Precision, Stage
from edgevid.spec import Spec

Target = Literal["auto", "onnx", "tensorrt", "tensorrt-rtx"]


@dataclass(frozen=True)
class _Job:
    """One engine to build; or, with a `refusal`, why it cannot be."""

    flavour: Flavour
    compute_capability: str | None = None
    refusal: str = ""


@dataclass(frozen=True)
class Graph:
    """A graph of a bundle in the making, and how to build it.

    Attributes:
        file: Where it lies.
        stage: Of a split model, which part it is.
        options: With the batches that suit it.
    """

    file: Path
    stage: Stage | None
    options: BuildOptions


def graphs_to_build(staging: Staging, spec: Spec, options: BuildOptions) -> list[Graph]:
    """The graphs that a bundle in the making runs."""
    return [
        Graph(staging.folder / a.path, a.stage, stage_options(options, spec, a.stage))
        for a in staging.artifacts
        if a.kind == "model"
    ]


def check_target(target: Target, compute_capabilities: Sequence[str]) -> None:
    """Refuse before any work what cannot be built in the end.

    Raises:
        SpecError: Compute capabilities were given for a target that has none.
        MissingDependencyError: The target's package is not installed.
        EngineError: It is installed but does not load.
        BuildError: It cannot build for one of the compute capabilities.
    """
    if target == "onnx" and compute_capabilities:
        raise SpecError(
            "--compute-capability belongs to TensorRT, but --target is onnx",
            "Say --target tensorrt-rtx",
        )
    if target in FLAVOURS:
        trt = load_tensorrt(target)
        for capability in compute_capabilities if target == "tensorrt-rtx" else ():
            check_capability(trt, capability)


def add_plans(
    staging: Staging,
    graphs: Sequence[Graph],
    target: Target,
    compute_capabilities: Sequence[str],
    precision: Precision,
    journal: Journal,
) -> tuple[PlanReport, ...]:
    """Build engines into a bundle in the making: of each graph, for each GPU.

    Raises:
        BuildError: An engine that was asked for cannot be built. With `auto`, which asks for
            none, that is a note.
        EngineError: TensorRT itself was asked for, and there is no usable GPU.
    """
    reports = []
    for job in _jobs(target, compute_capabilities):
        if job.refusal:
            reports.append(PlanReport(flavour=job.flavour, note=job.refusal))
            journal.note(f"No {job.flavour} engine was built: {job.refusal}.")
            continue
        try:
            reports += [_build(staging, graph, job, precision, journal) for graph in graphs]
        except EdgevidError as exc:
            if target != "auto":
                raise
            reports.append(PlanReport(flavour=job.flavour, note=exc.message))
            journal.note(f"No {job.flavour} engine was built: {exc}.")
    return tuple(reports)


def _jobs(target: Target, compute_capabilities: Sequence[str]) -> Iterator[_Job]:
    if target == "onnx":
        return
    capabilities = tuple(compute_capabilities) or (None,)
    if target != "auto":
        yield from (_Job(target, capability) for capability in capabilities)
        return
    found = False
    for flavour in FLAVOURS:
        asked = bool(compute_capabilities) and flavour == "tensorrt-rtx"
        refusal = "there is a TensorRT engine already" if found else _refusal(flavour, asked)
        if refusal:
            yield _Job(flavour, refusal=refusal)
        else:
            found = True
            yield from (_Job(flavour, capability) for capability in capabilities)


def _refusal(flavour: Flavour, asked: bool) -> str:
    """Why this machine cannot use an engine of `flavour`; empty where it can.

    Args:
        flavour: Of TensorRT.
        asked: Named compute capabilities are to be built for, GPU or not.
    """
    try:
        load_tensorrt(flavour)
    except MissingDependencyError as exc:
        return f"the package {exc.package!r} is not installed"
    except EdgevidError as exc:
        return exc.message
    if asked:
        return ""
    try:
        open_cuda()
    except EdgevidError as exc:
        return f"there is no usable GPU ({exc.message})"
    return ""


def _build(
    staging: Staging,
    graph: Graph,
    job: _Job,
    precision: Precision,
    journal: Journal,
) -> PlanReport:
    capability = job.compute_capability
    device = f" for compute capability {capability}" if capability else ""
    part = f" of the {graph.stage}" if graph.stage else ""
    journal.step(f"Building a {job.flavour} engine{part}{device}; this can take minutes")
    start = time.monotonic()
    plan = build_plan(
        graph.file,
        job.flavour,
        capability,
        precision=precision,
        options=graph.options,
        progress=journal.progress,
    )
    seconds = time.monotonic() - start
    staging.add(f"engines/{plan.key}.plan", plan.data, "plan", str(plan.key), graph.stage)
    for note in plan.notes:
        journal.note(note)
    return PlanReport(
        flavour=job.flavour,
        compute_capability=plan.key.compute_capability,
        key=str(plan.key),
        megabytes=round(len(plan.data) / 1e6, 3),
        seconds=round(seconds, 2),
        note=" ".join(plan.notes),
        stage=graph.stage,
    )
