"""Split a clip model into a backbone for each frame and a head for each window, and prove it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgevid.convert.frames import Window
from edgevid.convert.graph import PREFIX, SCORES, rename
from edgevid.convert.half import name_nodes
from edgevid.convert.session import Session
from edgevid.convert.streaming.axes import Analysis, analyse
from edgevid.convert.streaming.build import backbone_of, head_of
from edgevid.convert.streaming.cut import MIN_SHARE, Cut, find_cut, share_of
from edgevid.convert.streaming.nodes import FEATURES, Nodes
from edgevid.convert.streaming.probe import Probe, probe
from edgevid.types import Array

if TYPE_CHECKING:
    from onnx import ModelProto


MAX_DIFFERENCE = 1e-5
"""Between a rewritten FP32 graph's scores and the first one's, relative to a window's best one."""


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


@dataclass(frozen=True)
class Found:
    """A place to cut a graph at, and what it was found by.

    Attributes:
        model: Its nodes have names, its constants are initializers.
    """

    model: ModelProto
    analysis: Analysis
    figures: Probe
    cut: Cut


def split(model: ModelProto, windows: Sequence[Window]) -> Pair:
    """Cut `model` where its frames first meet.

    Args:
        model: From uint8 `(N, T, H, W, 3)` to scores, in any precision.
        windows: Real frames.

    Raises:
        NotSplit: There is no part that sees each frame alone, or it is too small a part.
    """
    from onnx import helper

    found = find(name_nodes(model), example(model, windows))
    parts = found.model, found.analysis, found.figures, found.cut
    kind = helper.tensor_dtype_to_np_dtype(found.figures.types[found.cut.tensors[0]])
    return Pair(
        backbone=backbone_of(*parts),
        head=head_of(*parts),
        shape=found.cut.shape,
        dtype=kind.name,
        share=found.cut.share,
    )


def example(model: ModelProto, windows: Sequence[Window]) -> dict[str, Array]:
    """Real windows in one batch, of another size than a window has frames where it is open."""
    first = next(iter(windows[0].values()))
    is_open = not model.graph.input[0].type.tensor_type.shape.dim[0].HasField("dim_value")
    count = (3 if first.shape[1] == 2 else 2) if is_open else 1
    chosen = [windows[i % len(windows)] for i in range(count)]
    return {name: np.concatenate([w[name] for w in chosen]) for name in chosen[0]}


def find(model: ModelProto, feeds: Mapping[str, Array]) -> Found:
    """Where frames first meet in `model`.

    Args:
        model: Its nodes have names, its constants are initializers; a tensor of it that is
            called as a backbone's output gets another name.
        feeds: Real frames.

    Raises:
        NotSplit: As `split`.
    """
    if FEATURES not in (value.name for value in model.graph.input):
        rename(model.graph, {FEATURES: Nodes(model).unique(f"{PREFIX}{FEATURES}")})
    try:
        figures = probe(model, feeds)
    except RuntimeError as exc:
        raise NotSplit(f"its shapes cannot be measured ({exc})") from None
    analysis = analyse(model, figures)
    cut = find_cut(model, analysis, figures)
    if cut is None or cut.share < MIN_SHARE:
        raise NotSplit(_why_not(model, analysis, figures, cut))
    return Found(model, analysis, figures, cut)


def _why_not(model: ModelProto, analysis: Analysis, figures: Probe, cut: Cut | None) -> str:
    where = analysis.first_merge or "no node joins frames"
    alone = share_of(model, figures, analysis.facts)
    own = analysis.facts.keys() - {name for family in analysis.families() for name in family}
    if share_of(model, figures, own) >= MIN_SHARE:
        node = next(n for n in model.graph.node if own.intersection(n.output))
        return (
            f"frames go through layers of their own: what {node.op_type} {node.name!r} does for "
            "one, none does for every other"
        )
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
            worst = max(worst, apart(got, want))
    return worst


def apart(got: Array, want: Array) -> float:
    """The largest difference of a window's scores, relative to its best one."""
    result = float(np.abs(got - want).max() / np.abs(want).max())
    # Written so that NaN is as far as can be.
    return result if result >= 0 else float("inf")
