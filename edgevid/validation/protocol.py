"""Which options go with which task and which contract."""

from __future__ import annotations

from edgevid.errors import SpecError
from edgevid.manifest import Decision, Manifest
from edgevid.pipeline import SamplingOptions
from edgevid.validation.annotations import Annotations
from edgevid.validation.results import Protocol
from edgevid.validation.streams import stream_options
from edgevid.validation.views import Views


def settle(
    contract: Manifest,
    annotations: Annotations,
    views: Views | None,
    smooth: str | None,
    options: SamplingOptions | None,
    background: str | None,
) -> Protocol:
    """The protocol in force.

    Raises:
        SpecError: An option cannot be right, or does not belong to the task or the contract.
    """
    if annotations.task == "clips":
        if smooth not in (None, "none") or options not in (None, SamplingOptions()):
            raise SpecError(
                "--smooth, --window, --hop and --stride belong to segments; the manifest lists "
                "clips with one answer each",
                "Leave them out, or say --task segments",
            )
        return _for_clips(contract, annotations, views or Views())
    if views not in (None, Views()):
        raise SpecError(
            "--clips, --overlap and --crops belong to clips; the manifest lists segments, over "
            "which windows slide",
            "Leave them out, or say --task clips",
        )
    return _for_segments(contract, smooth, options or SamplingOptions(), background)


def _for_clips(contract: Manifest, annotations: Annotations, views: Views) -> Protocol:
    if contract.states and views != Views():
        raise SpecError(
            "--clips, --overlap and --crops do not apply: a model with states sees a clip frame "
            "by frame, and its last answer counts",
            "Leave them out",
        )
    views.check(contract.clip, contract.inputs)
    if contract.outputs[0].kind != "sigmoid":
        _require_one_label(annotations)
    return Protocol(task="clips", clips=views.clips, overlap=views.overlap, crops=views.crops)


def _for_segments(
    contract: Manifest, smooth: str | None, options: SamplingOptions, background: str | None
) -> Protocol:
    if contract.outputs[0].kind == "sigmoid":
        raise SpecError(
            "labels over time of a multi-label (sigmoid) model cannot be evaluated: every moment "
            "is taken to have one label",
            "Evaluate clips: --task clips gives the average precision of each label",
        )
    said = stream_options(contract.clip, options)
    said.applied_to(contract.clip)
    return Protocol(
        task="segments",
        smooth=(contract.decision or Decision()).smooth if smooth is None else smooth,
        window_s=said.window_s,
        hop_s=said.hop_s,
        frame_interval=said.frame_interval,
        background=background,
    )


def _require_one_label(annotations: Annotations) -> None:
    for clip in annotations.clips:
        if len(clip.classes) != 1:
            raise SpecError(
                f"row {clip.listed.row} has {len(clip.classes)} labels, but the model gives each "
                "clip one",
                "Leave one label in each row: only a multi-label (sigmoid) model takes several",
            )
