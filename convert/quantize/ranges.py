"""What each activation's values reach on real clips, in memory that does not grow with them.

One clip at a time runs through the graph, step by step where it has states; each tensor
leaves a histogram of fixed size and is let go. Where all tensors of one clip would be too
large together, they are put out in several passes over the clips.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgevid.convert.graph import PREFIX, carried_states
from edgevid.convert.quantize.histogram import Histogram
from edgevid.convert.quantize.thresholds import (
    DEFAULT_PERCENTILE,
    entropy_threshold,
    mse_threshold,
    percentile_threshold,
)
from edgevid.convert.session import Session
from edgevid.errors import ConversionError
from edgevid.types import Array

if TYPE_CHECKING:
    from onnx import ModelProto

Method = Literal["minmax", "percentile", "entropy", "mse"]
Feeds = Mapping[str, Array]
Progress = Callable[[int, int], None]
"""Called with the runs of the graph that are done, and with how many there will be."""

MAX_BYTES = 256 * 2**20
"""Activations of one clip that are put out at once."""


@dataclass(frozen=True)
class Range:
    """What one tensor's values reach.

    Attributes:
        low, high: Smallest and largest value seen, with their sign.
        amax: The magnitude that INT8's 127 shall stand for, by the method chosen; at most
            max(-low, high). 0.0 where degenerate.
        degenerate: Every value was zero: there is no scale that means anything.
    """

    low: float
    high: float
    amax: float
    degenerate: bool


def no_progress(done: int, total: int) -> None:
    """The `Progress` of those who do not watch."""


def collect_ranges(
    model: ModelProto,
    tensors: Sequence[str],
    feeds: Collection[Feeds],
    method: Method,
    *,
    percentile: float = DEFAULT_PERCENTILE,
    max_bytes: int = MAX_BYTES,
    progress: Progress = no_progress,
) -> dict[str, Range]:
    """Run `model` on every clip and say what each of `tensors` reaches.

    Args:
        model: A graph that ONNX Runtime runs; it is left as it is.
        tensors: Names of float tensors that its nodes make.
        feeds: One clip each, batch of 1 (with states: the steps from zero states on); gone
            through once or several times.
        method: How `Range.amax` is chosen; see `thresholds`. `minmax`: the largest magnitude.
        percentile: Share of the values, in %, that the method `percentile` keeps.
        max_bytes: Most bytes of `tensors` to put out at once; a single tensor may be larger.
        progress: Called after every run of the graph.

    Returns:
        A range for each of `tensors`.

    Raises:
        ConversionError: There are no clips, an activation is NaN or infinite, or the graph
            does not run.
        ValueError: No node of the graph makes one of `tensors`.
    """
    if not feeds:
        raise ConversionError("there are no clips to calibrate on", "Give videos with --calib")
    made = {name for node in model.graph.node for name in node.output}
    if unknown := [name for name in tensors if name not in made]:
        raise ValueError(f"no node makes {', '.join(map(repr, unknown))}")
    if not tensors:
        return {}
    chunks = list(_chunks(_sizes(model, tensors, next(iter(feeds))), max_bytes))
    histograms = {name: Histogram() for name in tensors}
    done, total = 0, len(chunks) * len(feeds)
    for chunk in chunks:
        session = _session(with_outputs(model, chunk))
        for number, clip in enumerate(feeds, 1):
            for values in _run(session, clip):
                for name in chunk:
                    _count(histograms[name], values[name], method, f"{name!r} on clip {number}")
            done += 1
            progress(done, total)
    return {name: _range(h, method, percentile) for name, h in histograms.items()}


def with_outputs(model: ModelProto, tensors: Sequence[str]) -> ModelProto:
    """A copy of `model` that puts out `tensors`, in this order, its states, and no more."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    states = [s.output for s in carried_states(model) if s.output not in tensors]
    del copy.graph.output[:]
    # ONNX Runtime finds out type and shape by itself.
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in (*tensors, *states))
    return copy


def _sizes(model: ModelProto, tensors: Sequence[str], clip: Feeds) -> dict[str, int]:
    """How many bytes each tensor takes for one clip, as float32.

    The graph itself counts the elements right behind the node that makes them, so that no
    tensor has to be held.
    """
    from onnx import NodeProto, ValueInfoProto, helper

    probe = with_outputs(model, [])
    counts = {name: f"{PREFIX}size_{i}" for i, name in enumerate(tensors)}
    nodes = []
    for node in probe.graph.node:
        nodes.append(node)
        nodes += [helper.make_node("Size", [o], [counts[o]]) for o in node.output if o in counts]
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del probe.graph.node[:]
    probe.graph.node.extend(copies)
    probe.graph.output.extend(ValueInfoProto(name=count) for count in counts.values())
    values = next(_run(_session(probe, in_order=True), clip))
    return {name: 4 * int(values[count]) for name, count in counts.items()}


def _chunks(sizes: Mapping[str, int], max_bytes: int) -> Iterator[list[str]]:
    """The names in order, cut where the next would exceed `max_bytes`."""
    chunk: list[str] = []
    used = 0
    for name, size in sizes.items():
        if chunk and used + size > max_bytes:
            yield chunk
            chunk, used = [], 0
        chunk.append(name)
        used += size
    if chunk:
        yield chunk


def _session(model: ModelProto, in_order: bool = False) -> Session:
    try:
        return Session(model, in_order)
    except RuntimeError as exc:
        raise ConversionError(f"the graph cannot be loaded for calibration: {exc}") from None


def _run(session: Session, clip: Feeds) -> Iterator[dict[str, Array]]:
    try:
        yield from session.run_steps(clip)
    except RuntimeError as exc:
        raise ConversionError(f"the graph fails on a calibration clip: {exc}") from None


def _count(histogram: Histogram, values: Array, method: Method, which: str) -> None:
    try:
        if method == "minmax":
            histogram.widen(np.asarray(values, np.float32))
        else:
            histogram.add(values)
    except ValueError:
        raise ConversionError(
            f"the activation {which} is NaN or infinite",
            "Check the model's weights, and scale, mean and std in the --spec file",
        ) from None


def _range(histogram: Histogram, method: Method, percentile: float) -> Range:
    if histogram.degenerate:
        return Range(histogram.low, histogram.high, 0.0, degenerate=True)
    if method == "percentile":
        amax = percentile_threshold(histogram, percentile)
    elif method == "entropy":
        amax = entropy_threshold(histogram)
    elif method == "mse":
        amax = mse_threshold(histogram)
    else:
        amax = histogram.amax
    return Range(histogram.low, histogram.high, amax, degenerate=False)
