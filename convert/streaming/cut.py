"""Where to cut: the tensors that each frame is computed once for."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from edgevid.convert.graph import reads
from edgevid.convert.streaming.axes import Analysis
from edgevid.convert.streaming.cost import multiplications
from edgevid.convert.streaming.layout import Layout
from edgevid.convert.streaming.probe import Probe

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

MIN_SHARE = 0.5
"""Of the multiplications, what must lie before the cut: less is not worth two engines."""

_SPARE = 0.01
"""Share of a frame's work that smaller features may cost."""


@dataclass(frozen=True)
class Cut:
    """A place to cut a graph at.

    Attributes:
        tensors: One that holds all frames, or one a frame.
        layouts: Of each.
        shape: Of one frame's features.
        share: Of the graph's multiplications, what lies before.
    """

    tensors: tuple[str, ...]
    layouts: tuple[Layout, ...]
    shape: tuple[int, ...]
    share: float


def feature_shape(layout: Layout) -> tuple[int, ...]:
    """What a layout holds for one frame of one clip: at least one axis."""
    return tuple(a.size for a in layout.atoms if not a.label and a.size > 1) or (1,)


def find_cut(model: ModelProto, analysis: Analysis, probe: Probe) -> Cut | None:
    """The place that leaves the least to compute anew; None where there is none.

    Among places as good, within `_SPARE`, the one with the smallest features.
    """
    work = {node.name: multiplications(node, probe) for node in model.graph.node}
    total = sum(work.values())
    cuts = []
    for tensors in analysis.families():
        if not _is_float(tensors, probe) or not _separates(model, tensors):
            continue
        layouts = tuple(analysis.facts[name].layout for name in tensors)
        before = sum(work[node.name] for node in ancestors(model, tensors))
        cuts.append(Cut(tensors, layouts, feature_shape(layouts[0]), before / max(total, 1)))
    if not cuts:
        return None
    enough = max(cut.share for cut in cuts) * (1 - _SPARE)
    # The last one in the graph's order of those that are equally small.
    return min(reversed([c for c in cuts if c.share >= enough]), key=lambda c: prod(c.shape))


def share_of(model: ModelProto, probe: Probe, tensors: Collection[str]) -> float:
    """Of the multiplications, what makes `tensors`."""
    work = {node.name: multiplications(node, probe) for node in model.graph.node}
    makers = [n.name for n in model.graph.node if not set(n.output).isdisjoint(tensors)]
    return sum(work[name] for name in makers) / max(sum(work.values()), 1)


def _is_float(tensors: Iterable[str], probe: Probe) -> bool:
    from onnx import TensorProto

    floats = (TensorProto.FLOAT, TensorProto.FLOAT16)
    return all(probe.types.get(name) in floats for name in tensors)


def _separates(model: ModelProto, tensors: Collection[str]) -> bool:
    """True where every way from the frames to the scores goes through `tensors`."""
    reached = {value.name for value in model.graph.input} - set(tensors)
    for node in model.graph.node:
        if node.op_type not in ("Shape", "Size") and reached & reads(node):
            reached.update(set(node.output) - set(tensors))
    return not reached.intersection(value.name for value in model.graph.output)


def ancestors(
    model: ModelProto, targets: Iterable[str], known: Collection[str] = ()
) -> list[NodeProto]:
    """The nodes that make `targets`, in order; not those behind the tensors `known`."""
    wanted = set(targets) - set(known)
    found = []
    for node in reversed(model.graph.node):
        if wanted.intersection(node.output):
            found.append(node)
            wanted.update(reads(node) - set(known))
    return found[::-1]
