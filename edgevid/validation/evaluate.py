"""`edgevid.evaluate`: a bundle against a manifest of labelled videos."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

from edgevid._version import __version__
from edgevid.api import load
from edgevid.engines import open_engine
from edgevid.environment import environment
from edgevid.errors import SpecError
from edgevid.files import sha256_file
from edgevid.manifest import MANIFEST_NAME, Bundle
from edgevid.pipeline import SamplingOptions
from edgevid.protocols import Engine
from edgevid.validation.annotations import (
    Classes,
    Task,
    read_annotations,
)
from edgevid.validation.borrowed import borrowed
from edgevid.validation.protocol import settle
from edgevid.validation.require import judged, read_requirements
from edgevid.validation.results import (
    BundleInfo,
    Evaluation,
    ManifestInfo,
)
from edgevid.validation.tasks import Progress, run_clips, run_segments
from edgevid.validation.views import Views

DEFAULT_BACKGROUND = "background"
"""The label that means that nothing happens, where a model has it and nothing else is said."""

_PACKAGES = ("numpy", "onnxruntime", "opencv-python", "av")


def unwatched(done: float, total: int) -> None:
    """The `Progress` of those who do not watch."""


def evaluate(
    bundle: Bundle | str | os.PathLike[str],
    manifest: str | os.PathLike[str],
    *,
    task: Task | None = None,
    views: Views | None = None,
    smooth: str | None = None,
    options: SamplingOptions | None = None,
    background: str | None = None,
    skip_unknown: bool = False,
    root: str | os.PathLike[str] | None = None,
    video: str | None = None,
    require: Sequence[str] = (),
    engine: str | Engine = "auto",
    threads: int | None = None,
    batch: int = 1,
    progress: Progress = unwatched,
    notify: Callable[[str], None] = lambda _: None,
) -> Evaluation:
    """How good a bundle's answers are, on labelled clips or on videos with labels over time.

    Args:
        bundle: From `load`, or its path.
        manifest: CSV with the columns path, label, start_s, end_s; or JSON with the segments
            of one video (see `edgevid.validation.annotations`).
        task: "clips", "segments", or None: as the manifest looks.
        views: Clips only: the windows and crops that are averaged.
        smooth: Segments only: a smoother, such as "mean:8", whose figures come beside the raw
            ones; "none": no smoother; None: the bundle's own, where `tune` wrote one into it.
        options: Segments only: hop, window and frame interval.
        background: The label that means that nothing happens; None: "background", where the
            model has it.
        skip_unknown: Leave rows out whose label the model does not know.
        root: The folder that the manifest's paths are relative to; None: its own.
        video: For JSON: the video, where the file does not name it.
        require: What the figures must be, such as "top1>=0.9" (see `require`); whether they
            are is told in `requirements`.
        engine: One of `edgevid.engines.ENGINES`, or an open engine, which
            stays open.
        threads: Of the engine on the CPU; None: chosen from the cores at hand.
        batch: Clips only: views of one clip in one call of the graph, at most. For GPUs; on the
            CPU it does not pay.
        progress: Called as it goes.
        notify: Told, in one sentence each, what was chosen and why.

    Returns:
        The figures, and every answer. Videos that are missing or do not decode are listed in
        `problems`; the others are evaluated.

    Raises:
        SpecError: The manifest or an option cannot be right.
        SourceError: None of the videos could be evaluated.
        EdgevidError: The bundle or the engine cannot be used.
    """
    checked = bundle if isinstance(bundle, Bundle) else load(bundle)
    started, clock = datetime.now(timezone.utc).astimezone(), time.perf_counter()
    path = Path(manifest)
    if background is None and DEFAULT_BACKGROUND in checked.labels:
        background = DEFAULT_BACKGROUND
    annotations = read_annotations(
        path,
        Classes(checked.labels, skip_unknown, background),
        task=task,
        root=None if root is None else Path(root),
        video=video,
    )
    protocol = settle(checked.manifest, annotations, views, smooth, options, background)
    if batch < 1:
        raise SpecError(f"--batch {batch} must be at least 1")
    wanted = read_requirements(require, annotations.task)
    opened: Engine = (
        open_engine(checked, engine, threads=threads, max_batch=batch, notify=notify)
        if isinstance(engine, str)
        else borrowed(engine)
    )
    with closing(opened):
        if annotations.task == "clips":
            found = run_clips(checked, annotations, views or Views(), batch, opened, progress)
        else:
            found = run_segments(checked, annotations, protocol, smooth, opened, progress)
    return Evaluation(
        edgevid_version=__version__,
        bundle=_bundle_info(checked),
        manifest=ManifestInfo(
            name=path.name,
            sha256=sha256_file(path),
            rows=annotations.rows,
            unknown_labels=annotations.unknown,
        ),
        protocol=protocol,
        engine=opened.name,
        started=started,
        seconds=round(time.perf_counter() - clock, 3),
        environment=environment(_PACKAGES),
        problems=tuple(found.problems),
        notes=tuple(found.notes),
        requirements=judged(wanted, found.clips, found.segments),
        clips=found.clips,
        segments=found.segments,
    )


def _bundle_info(bundle: Bundle) -> BundleInfo:
    return BundleInfo(
        name=bundle.path.name,
        model=bundle.manifest.model.name,
        precision=bundle.manifest.precision,
        classes=len(bundle.labels),
        manifest_sha256=sha256_file(bundle.path / MANIFEST_NAME),
        graphs={model.path: model.sha256 for model in bundle.manifest.models},
    )
