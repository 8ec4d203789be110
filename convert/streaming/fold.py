"""Put all frames into one batch, where each has a copy of the layers of its own, or a loop's turn.

    clip (N, T, ...) ─► Loop of T turns: CNN ─► Concat ─► head
    clip (N, T, ...) ─► (N * T, ...) ─► CNN ─► (N, T, ...) ─► head

The layers stand in the graph once then: engines compute all frames in one call, INT8 has one
range for each tensor, and a stream can be split as any other one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from edgevid.convert.batch import has_dynamic_batch, settle_batch
from edgevid.convert.checked import Checked
from edgevid.convert.graph import SCORES
from edgevid.convert.half import name_nodes
from edgevid.convert.journal import Journal
from edgevid.convert.session import Session
from edgevid.convert.simplify import simplify
from edgevid.convert.streaming.build import folded_of
from edgevid.convert.streaming.lists import without_lists
from edgevid.convert.streaming.loops import NotUnrolled, frame_loops, unroll
from edgevid.convert.streaming.split import MAX_DIFFERENCE, NotSplit, apart, example, find

if TYPE_CHECKING:
    from onnx import ModelProto


def fold_frames(checked: Checked, journal: Journal) -> Checked:
    """The same model with its frames in the batch; as it is where that does not apply.

    Args:
        checked: Over windows.
        journal: Told what was done, and why a loop stays one.
    """
    spec = checked.spec
    if len(spec.inputs) > 1 or spec.states or spec.inputs[0].modality == "flow":
        return checked
    frames = len(spec.inputs[0].positions(spec.clip.num_frames))
    model = name_nodes(checked.graph)
    loops = frame_loops(model)
    if frames == 1 or not (loops or _has_copies(model, frames)):
        return checked
    journal.step("Putting the frames that are computed one by one into a batch")
    what = f"{loops[0].op_type} {loops[0].name!r}" if loops else ""
    try:
        graph = _folded(model, checked, frames, journal)
    except (NotSplit, NotUnrolled) as why:
        if loops:
            journal.note(f"{what} stays a loop: {why}.")
        return checked
    if graph is None:
        return checked
    where = f"in turns of {what}" if loops else f"in {frames} copies"
    journal.note(
        f"The layers of one frame, which stood {where}, take all {frames} frames in one batch now."
    )
    return replace(checked, graph=graph, parity=checked.compare(graph))


def _has_copies(model: ModelProto, count: int) -> bool:
    """True where as many nodes read the same weights."""
    weights = {t.name for t in model.graph.initializer if len(t.dims) > 1 and prod(t.dims) > 1}
    readers = Counter(name for n in model.graph.node for name in weights.intersection(n.input))
    return any(number >= count for number in readers.values())


def _folded(
    model: ModelProto, checked: Checked, num_frames: int, journal: Journal
) -> ModelProto | None:
    """The folded graph; None where its frames are in a batch already.

    Raises:
        NotSplit: No layers see each frame alone.
        NotUnrolled: A loop cannot be written out.
    """
    feeds = example(model, checked.windows)
    if frame_loops(model):
        try:
            model = without_lists(unroll(model, feeds, num_frames))
        except RuntimeError as exc:
            raise NotUnrolled(f"it does not run ({exc})") from None
    found = find(model, feeds)
    if len(found.cut.tensors) == 1:
        return None
    graph = folded_of(found.model, found.analysis, found.figures, found.cut)
    graph = simplify(graph, journal)
    if has_dynamic_batch(checked.graph):
        graph = settle_batch(graph, checked.windows, journal)
    off = _difference(graph, checked)
    if not off <= MAX_DIFFERENCE:
        raise NotSplit(f"scores of all frames in one batch differ by {off:.2g} of the best one")
    return graph


def _difference(graph: ModelProto, checked: Checked) -> float:
    """How far its scores are from the present graph's, relative to a window's best one."""
    try:
        one, other = Session(graph), Session(checked.graph)
        return max(apart(one.run(w)[SCORES], other.run(w)[SCORES]) for w in checked.windows)
    except RuntimeError as exc:
        raise NotSplit(f"with all frames in one batch it does not run ({exc})") from None
