"""How good models are, as far as their conversions found out."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from edgevid.benchmarks.harness.sweep import Accuracy
from edgevid.convert.report import Report
from edgevid.manifest import Bundle


def known_accuracies(bundles: Sequence[Bundle]) -> list[Accuracy | None]:
    """Of each model its accuracy, of a kind that all of them have, so that they compare.

    The share of labelled clips that are right, where every conversion judged labelled clips;
    else the share of clips on which a model answers like its original. None where one of them
    has neither.
    """
    kinds = ([_labelled(bundle) for bundle in bundles], [_agreement(bundle) for bundle in bundles])
    return next((found for found in kinds if None not in found), [None] * len(bundles))


def _labelled(bundle: Bundle) -> Accuracy | None:
    try:
        report = Report.model_validate_json((bundle.path / "report.json").read_bytes())
    except (OSError, ValidationError):
        return None
    done = report.quantisation
    if done is None:
        return None
    kept = next((c.comparison for c in done.candidates if c.name == done.kept), None)
    reference = next((c.comparison for c in done.candidates if c.comparison is not None), None)
    if kept is not None:
        value, labelled = kept.candidate_top1, kept.labelled
    elif reference is not None:  # FP32 itself was kept
        value, labelled = reference.reference_top1, reference.labelled
    else:
        return None
    if value is None:
        return None
    return Accuracy(value=value, of=f"top-1 on {labelled} labelled clips")


def _agreement(bundle: Bundle) -> Accuracy | None:
    manifest = bundle.manifest
    if manifest.quantised is not None:
        return Accuracy(
            value=manifest.quantised.top1_agreement,
            of=f"same answer as FP32 on {manifest.quantised.evaluation_clips} clips",
        )
    if manifest.parity is not None:
        return Accuracy(
            value=manifest.parity.top1_agreement,
            of=f"same answer as the original on {manifest.parity.clips} clips",
        )
    return None
