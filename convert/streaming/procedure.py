"""What a conversion does so that a stream's frames are not computed twice: decide, prove, tell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgevid.convert.bundle import Staging
from edgevid.convert.frames import Window
from edgevid.convert.journal import Journal
from edgevid.convert.settle import Final
from edgevid.convert.streaming.nodes import FEATURES
from edgevid.convert.streaming.split import MAX_DIFFERENCE, NotSplit, Pair, difference, split
from edgevid.manifest import FeatureSpec
from edgevid.spec import Spec

if TYPE_CHECKING:
    from onnx import ModelProto

Streaming = Literal["auto", "off"]
"""What may be asked for. `auto`: split where the scores stay the same."""

MAX_ROUNDED_DIFFERENCE = 1e-3
"""The same in FP16 and INT8, where a last bit may round the other way."""


def split_for_streams(
    final: Final, spec: Spec, windows: Sequence[Window], journal: Journal
) -> Pair | None:
    """The two graphs to ship instead of one; None, with a note, where it is left whole.

    Args:
        final: The graph in the precision that ships.
        spec: Its contract.
        windows: Real frames to compare on.
        journal: Told what was found.
    """
    frames = max(len(i.positions(spec.clip.num_frames)) for i in spec.inputs)
    if frames == 1 or spec.states:
        return None
    journal.step("Looking for a part that sees each frame alone")
    try:
        _check_contract(spec)
        pair = split(final.graph, windows)
        judged = pair if final.judged is final.graph else split(final.judged, windows)
        apart = _difference(judged, final.judged, windows)
        limit = MAX_DIFFERENCE if final.precision == "fp32" else MAX_ROUNDED_DIFFERENCE
        if not apart <= limit:
            raise NotSplit(
                f"a split graph's scores differ by {apart:.2g} of the best one (allowed: {limit:g})"
            )
    except NotSplit as why:
        journal.note(f"Not split for streams: {why}. Overlapping windows compute frames anew.")
        return None
    same = "equal to" if apart == 0 else f"within {apart:.1g} of the best one of"
    journal.note(
        f"Split for streams: the backbone runs once a frame and does {pair.share:.1%} of the work, "
        f"the head takes {frames} x {list(pair.shape)} {pair.dtype} features a window; scores are "
        f"{same} the whole graph's."
    )
    return pair


def add_graphs(staging: Staging, graph: ModelProto, pair: Pair | None) -> list[Path]:
    """Write the graph, or the two that it was split into, and list them as artifacts."""
    if pair is None:
        return [staging.add_model("model.onnx", graph, "model")]
    return [
        staging.add_model("backbone.onnx", pair.backbone, "model", "backbone"),
        staging.add_model("head.onnx", pair.head, "model", "head"),
    ]


def describe_features(pair: Pair | None) -> FeatureSpec | None:
    """For the manifest."""
    if pair is None:
        return None
    return FeatureSpec.model_validate({"name": FEATURES, "shape": pair.shape, "dtype": pair.dtype})


def _check_contract(spec: Spec) -> None:
    if len(spec.inputs) > 1:
        raise NotSplit(f"it has {len(spec.inputs)} inputs, which take different frames")
    if spec.inputs[0].modality == "flow":
        raise NotSplit("optical flow belongs to two frames, not to one")


def _difference(pair: Pair, whole: ModelProto, windows: Sequence[Window]) -> float:
    try:
        return difference(pair, whole, windows)
    except RuntimeError as exc:
        raise NotSplit(f"a split graph does not run ({exc})") from None
