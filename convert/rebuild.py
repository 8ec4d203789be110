"""Engines for a bundle that is finished: built anew from its graph, on this machine."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevid.convert.build_trt import Target, check_target
from edgevid.engines.build_options import BuildOptions
from edgevid.engines.cuda_memory import open_cuda
from edgevid.engines.engine_layers import EngineLayer, read_back
from edgevid.engines.plan_store import keep_plan
from edgevid.engines.plan_summary import PlanSummary, plan_summary
from edgevid.engines.plans import FLAVOURS, Flavour, PlanKey
from edgevid.engines.split_engine import stage_options
from edgevid.engines.tensorrt_build import BuiltPlan, Progress, build_plan, capability_to_build
from edgevid.engines.tensorrt_module import load_tensorrt, why_unusable
from edgevid.errors import EdgevidError, EngineError, OutputError, SpecError
from edgevid.manifest import Bundle, Stage

_log = logging.getLogger(__name__).info


@dataclass(frozen=True)
class RebuiltPlan:
    """One engine that was built and kept.

    Attributes:
        key: What it is valid for.
        path: Where it lies: in the bundle, or in the user's cache where the bundle is
            read-only.
        summary: What its bytes show.
        layers: What the library says of its layers; None where no GPU here can load it.
        gpu_layers: Built for a DLA: the layers that fell back to the GPU.
        notes: What a user should know, one sentence each.
        seconds: Spent building.
    """

    key: PlanKey
    path: Path
    summary: PlanSummary
    layers: tuple[EngineLayer, ...] | None
    gpu_layers: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float


def rebuild(
    bundle_path: str | os.PathLike[str],
    target: Target = "auto",
    compute_capabilities: Sequence[str] = (),
    options: BuildOptions | None = None,
    progress: Progress | None = None,
    notify: Callable[[str], None] = _log,
) -> list[RebuiltPlan]:
    """Build engines from a bundle's graph, and keep them in the bundle.

    All are built, and loaded where that can be, before the first is kept: a build that fails
    or is stopped leaves the bundle as it was, to the byte.

    Args:
        bundle_path: The bundle.
        target: "tensorrt", "tensorrt-rtx", or "auto": the first of them that this machine can
            use.
        compute_capabilities: GPUs to build for (TensorRT-RTX); none: this machine's.
        options: How to build; the defaults of `BuildOptions` where None.
        progress: Told how far the builder is.
        notify: Told, in sentences, what is built and where it is kept.

    Raises:
        BundleError: There is no such bundle, or it was changed.
        SpecError: `target` asks for no engine.
        BuildError: An engine cannot be built.
        EngineError: This machine can use no TensorRT.
        MissingDependencyError: The target's package is not installed.
        OutputError: The engine can be kept neither in the bundle nor in the user's cache.
    """
    if target == "onnx":
        raise SpecError(
            "--target onnx builds no engine", "Say --target tensorrt or --target tensorrt-rtx"
        )
    check_target(target, compute_capabilities)
    bundle = Bundle.load(bundle_path)
    flavour = _first_usable(bool(compute_capabilities)) if target == "auto" else target
    capabilities = tuple(compute_capabilities) or (_capability(flavour),)
    built = [
        _build(bundle, model.stage, flavour, capability, options, progress, notify)
        for capability in capabilities
        for model in bundle.manifest.models
    ]
    return [_keep(bundle, plan, seconds, layers, notify) for plan, seconds, layers in built]


def _first_usable(asked: bool) -> Flavour:
    """The first flavour for this machine; where GPUs were named, one that builds for them."""
    reasons = []
    for flavour in FLAVOURS:
        reason = why_unusable(flavour, build_only=asked and flavour == "tensorrt-rtx")
        if not reason:
            return flavour
        reasons.append(f"{flavour}: {reason}")
    raise EngineError(
        f"no engine can be built on this machine ({'; '.join(reasons)})",
        "Run it on the device, or name a GPU: --target tensorrt-rtx --compute-capability 8.6",
    )


def _capability(flavour: Flavour) -> str | None:
    """What to build for where nothing was named: the GPU here, else any GPU."""
    try:
        here = open_cuda().compute_capability
    except EdgevidError:
        if flavour == "tensorrt":
            raise
        here = None
    return capability_to_build(load_tensorrt(flavour), flavour, here)


def _build(
    bundle: Bundle,
    stage: Stage | None,
    flavour: Flavour,
    capability: str | None,
    options: BuildOptions | None,
    progress: Progress | None,
    notify: Callable[[str], None],
) -> tuple[BuiltPlan, float, tuple[EngineLayer, ...] | None]:
    device = f" for compute capability {capability}" if capability else ""
    part = f" of the {stage}" if stage else ""
    notify(f"Building a {flavour} engine{part}{device}; this can take minutes")
    start = time.monotonic()
    plan = build_plan(
        bundle.file("model", stage),
        flavour,
        capability,
        precision=bundle.manifest.precision,
        options=stage_options(options or BuildOptions(), bundle.manifest, stage),
        progress=progress,
    )
    seconds = time.monotonic() - start
    return plan, seconds, read_back(plan.key, plan.data)


def _keep(
    bundle: Bundle,
    plan: BuiltPlan,
    seconds: float,
    layers: tuple[EngineLayer, ...] | None,
    notify: Callable[[str], None],
) -> RebuiltPlan:
    told: list[str] = []
    path = keep_plan(bundle, plan, told.append)
    if path is None:
        raise OutputError(told[-1], "Free some space, or make the bundle writable")
    for line in (*told, *plan.notes):
        notify(line)
    summary = plan_summary(plan.data)
    return RebuiltPlan(plan.key, path, summary, layers, plan.gpu_layers, plan.notes, seconds)
