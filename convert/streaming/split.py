"""Split a clip model into a backbone for each frame and a head for each window, and prove it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgevid.convert.frames import Window
from edgevid.convert.graph import SCORES
from edgevid.convert.half import name_nodes
from edgevid.convert.session import Session
from edgevid.convert.streaming.axes import Analysis, analyse
from edgevid.convert.streaming.build import backbone_of, head_of
from edgevid.convert.streaming.cut import MIN_SHARE, Cut, find_cut, share_alone
from edgevid.convert.streaming.nodes import FEATURES
from edgevid.convert.streaming.probe import probe
from edgevid.types import Array

if TYPE_CHECKING:
    from onnx import ModelProto


class NotSplit(Exception):
    """Why a model is left whole, as the end of a sentence."""


@dataclass(frozen=True)
class Pair:
    """The two graphs of a split model.

    Attributes:
        backbone: From `(N, H, W, 3)` uint8 frames to `features`, one row a frame.
        head: From `(N, T, ...)` features to `scores`.
        shape: Of one frame's features.
        dtype: Of the features, NumPy's name.
        share: Of the multiplications of a window, what the backbone does.
    """

    backbone: ModelProto
    head: ModelProto
    shape: tuple[int, ...]
    dtype: str
    share: float


def split(model: ModelProto, windows: Sequence[Window]) -> Pair:
    """Cut `model` where its frames first meet.

    Args:
        model: From uint8 `(N, T, H, W, 3)` to scores, in any precision.
        windows: Real frames.

    Raises:
        NotSplit: There is no part that sees each frame alone, or it is too small a part.
    """
    from onnx import helper

    named = name_nodes(model)
    is_open = not model.graph.input[0].type.tensor_type.shape.dim[0].HasField("dim_value")
    chosen = [windows[i % len(windows)] for i in range(2 if is_open else 1)]
    try:
        figures = probe(named, {n: np.concatenate([w[n] for w in chosen]) for n in chosen[0]})
    except RuntimeError as exc:
        raise NotSplit(f"its shapes cannot be measured ({exc})") from None
    analysis = analyse(named, figures)
    cut = find_cut(named, analysis, figures)
    if cut is None or cut.share < MIN_SHARE:
        raise NotSplit(_why_not(analysis, cut, share_alone(named, analysis, figures)))
    kind = helper.tensor_dtype_to_np_dtype(figures.types[cut.tensors[0]])
    return Pair(
        backbone=backbone_of(named, analysis, figures, cut),
        head=head_of(named, analysis, figures, cut),
        shape=cut.shape,
        dtype=kind.name,
        share=cut.share,
    )


def _why_not(analysis: Analysis, cut: Cut | None, alone: float) -> str:
    where = analysis.first_merge or "no node joins frames"
    if alone >= MIN_SHARE:
        return (
            f"{alone:.0%} of its work sees each frame alone, but what comes of a frame is read in "
            f"several places: {where} is the first"
        )
    if cut is None or cut.share == 0:
        return f"no layer sees each frame alone: {where}"
    return f"only {cut.share:.0%} of its work is done before frames meet: {where}"


def run_pair(
    backbone: Session, head: Session, window: Mapping[str, Array], *, together: bool
) -> Array:
    """Scores `(1, C)` of one window through the two graphs.

    Args:
        backbone, head: Sessions of the pair.
        window: One input, `(1, T, H, W, 3)`.
        together: All frames in one call of the backbone, else one call a frame.
    """
    [(name, frames)] = window.items()
    step = frames.shape[1] if together else 1
    rows = [
        backbone.run({name: frames[0, i : i + step]})[FEATURES]
        for i in range(0, frames.shape[1], step)
    ]
    return head.run({FEATURES: np.concatenate(rows)[np.newaxis]})[SCORES]


def difference(pair: Pair, whole: ModelProto, windows: Sequence[Window]) -> float:
    """How far the pair's scores are from the whole graph's, relative to a window's best score.

    The largest over all windows and scores; of the first window also with one call of the
    backbone a frame.

    Raises:
        RuntimeError: A graph of the pair fails.
    """
    backbone, head, expected = Session(pair.backbone), Session(pair.head), Session(whole)
    worst = 0.0
    for i, window in enumerate(windows):
        want = expected.run(window)[SCORES]
        for together in (True, False) if i == 0 else (True,):
            got = run_pair(backbone, head, window, together=together)
            apart = float(np.abs(got - want).max() / np.abs(want).max())
            # Written so that NaN is as far as can be.
            worst = max(worst, apart if apart >= 0 else float("inf"))
    return worst
