"""Which frames of a window feed which input, as a drawing and as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from edgevid.cli._contract import seconds
from edgevid.spec import ClipSpec, InputSpec

_MIN_COLUMNS = 8
_CUT = "~"
"""Ends a name that is cut short."""


@dataclass(frozen=True)
class Take:
    """What an input takes of a window: a frame, or what lies between two.

    Attributes:
        frame: Number of the frame in the window, of the first of two.
        at: Its instant, in samples from the window's start.
        to: Instant of the second frame, of flow and of differences; None of a frame alone.
    """

    frame: int
    at: float
    to: float | None = None


@dataclass(frozen=True)
class Symbols:
    """Characters to draw with: a frame, its centre alone, a second frame, time between."""

    frame: str = "#"
    fovea: str = "+"
    second: str = ">"
    line: str = "-"


def takes(spec: InputSpec, clip: ClipSpec) -> list[Take]:
    """What one input takes of a window, in order."""
    at = list(spec.positions(clip.num_frames))
    if spec.starts_before:
        return [Take(i - 1, i - 1, i) for i in at]
    if spec.modality == "rgb_diff":
        return [Take(a, a, b) for a, b in pairwise(at)]
    if spec.flow_interval is None:
        return [Take(i, i) for i in at]
    # Of `uniform` and `segments` nobody knows how far apart the samples lie.
    step = spec.flow_interval / clip.frame_interval if clip.sampling == "interval" else 0.5
    return [Take(i, i, i + min(step, 1.0)) for i in at]


def to_json(clip: ClipSpec, inputs: Sequence[InputSpec]) -> dict[str, list[dict[str, Any]]]:
    """By input: number of each frame in the window, and instants in seconds where they are known.

    `to_s` is the instant of the second frame, of flow and of differences.
    """
    period = clip.period_s

    def at_s(instant: float | None) -> float | None:
        return None if instant is None or period is None else round(instant * period, 6)

    return {
        spec.name: [
            {"frame": t.frame, "at_s": at_s(t.at), "to_s": at_s(t.to)} for t in takes(spec, clip)
        ]
        for spec in inputs
    }


def is_plain(inputs: Sequence[InputSpec], clip: ClipSpec) -> bool:
    """True where the only input takes every frame as it is, so that there is nothing to draw."""
    (first, *more) = inputs
    all_frames = len(first.positions(clip.num_frames)) == clip.num_frames
    return not more and all_frames and first.modality == "rgb" and first.crop != "fovea"


def draw(
    clip: ClipSpec, inputs: Sequence[InputSpec], width: int, symbols: Symbols = Symbols()
) -> list[str]:
    """Draw one window, a row for each input, in lines of at most `width` characters.

    Args:
        clip: The contract.
        inputs: The model's inputs.
        width: Columns to draw in, at least 20; frames nearer than a column share one.
        symbols: What to draw with.

    Returns:
        For SlowFast with flow of 8 frames, 0.1 s apart, in 40 columns:

            fast  #---#---#---#---#---#---#---#
            slow  #---------------#------------
            flow  #--->--->--->--->--->--->--->
                  0 s                     0.7 s
                  # frame  > flow goes to
    """
    taken = {spec.name: takes(spec, clip) for spec in inputs}
    total = max(t.at if t.to is None else t.to for ts in taken.values() for t in ts)
    longest = max(map(len, taken))
    gutter = min(longest + 2, max(width - _MIN_COLUMNS, 4), max(width // 3, 8))
    columns = width - gutter
    step = (columns - 1) / total if total else 0.0
    if step >= 1:
        step = int(step)  # whole columns from sample to sample: even spacing
    length = round(total * step) + 1
    lines = []
    for spec in inputs:
        name = spec.name
        if len(name) > gutter - 2:
            name = name[: gutter - 3] + _CUT
        lines.append(name.ljust(gutter) + _row(taken[spec.name], spec, step, length, symbols))
    lines.append(" " * gutter + _axis(clip, total, length, columns))
    return lines + [" " * gutter + part for part in _legend(inputs, columns, symbols)]


def _row(taken: Sequence[Take], spec: InputSpec, step: float, length: int, symbols: Symbols) -> str:
    row = [symbols.line] * length
    for take in taken:
        if take.to is not None:
            # At least a column on, where there is one.
            row[min(max(round(take.to * step), round(take.at * step) + 1), length - 1)] = (
                symbols.second
            )
    ends = {round(t.to * step) for t in taken if t.to is not None and spec.flow_interval is None}
    for take in taken:
        if (at := round(take.at * step)) not in ends:
            row[at] = symbols.fovea if spec.crop == "fovea" else symbols.frame
    return "".join(row)


def _axis(clip: ClipSpec, total: float, length: int, columns: int) -> str:
    if clip.period_s is not None:
        start, end = "0 s", seconds(total * clip.period_s)
    else:
        start, end = "frame 0", f"{total * clip.frame_interval:g}"
    if not total:
        return start[:columns]
    axis = start + end.rjust(max(length - len(start), len(end) + 1))
    return axis if len(axis) <= columns else axis[:columns]


def _legend(inputs: Sequence[InputSpec], columns: int, symbols: Symbols) -> list[str]:
    """What the symbols mean, in lines that fit; the plain frame alone needs no word."""
    said = []
    if any(i.crop != "fovea" for i in inputs):
        said.append(f"{symbols.frame} frame")
    if any(i.crop == "fovea" for i in inputs):
        said.append(f"{symbols.fovea} its centre")
    if any(i.modality == "flow" for i in inputs):
        said.append(f"{symbols.second} flow goes to")
    if any(i.modality == "rgb_diff" for i in inputs):
        said.append(f"{symbols.second} difference to")
    if len(said) < 2:
        return []
    whole = "  ".join(said)
    return [whole] if len(whole) <= columns else [part[:columns] for part in said]
