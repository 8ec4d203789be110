"""Charts as inline SVG: bars, points, a histogram, a heat map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from xml.etree.ElementTree import Element

from edgevid.pages.drawing import (
    BOTTOM,
    CHARACTER,
    LEFT,
    RIGHT,
    ROW,
    TOP,
    WIDTH,
    Axis,
    drawing,
    grid,
    line,
    shorten,
    text,
    ticks,
    titled,
    whole_ticks,
)
from edgevid.pages.markup import tag

_LOWEST = -5
"""Power of ten that a histogram begins with."""

_BINS = 4
"""Bars for each power of ten."""

_DARK_FROM = 0.75
"""Share of its row from which a cell of a heat map is dark enough for light text."""


@dataclass(frozen=True)
class Bar:
    """One row of a bar chart.

    Attributes:
        label: Left of it.
        value: Its length.
        text: Right of it.
        hollow: Drawn as an outline: the row differs in kind from the others.
    """

    label: str
    value: float
    text: str
    hollow: bool = False


@dataclass(frozen=True)
class Point:
    """One mark of a scatter chart.

    Attributes:
        label: Beside it.
        x, y: Where it is.
        low, high: Ends of the interval of x.
        hollow: Drawn as an outline.
    """

    label: str
    x: float
    y: float
    low: float
    high: float
    hollow: bool = False


def without_folder(names: Sequence[str]) -> list[str]:
    """Names without the folders that all of them begin with."""
    paths = [name.split("/") for name in names]
    levels = zip(*(path[:-1] for path in paths), strict=False)
    common = sum(1 for _ in takewhile(lambda parts: len(set(parts)) == 1, levels))
    return ["/".join(path[common:]) for path in paths]


def bars(title: str, rows: Sequence[Bar], longest: float | None = None) -> Element:
    """Horizontal bars, one below the other.

    Args:
        title: What is shown.
        rows: Values of at least 0.
        longest: The value of a bar of full length; longer ones are cut. Default: the largest.
    """
    labels = without_folder([row.label for row in rows]) if len(rows) > 1 else [rows[0].label]
    label_width = min(max(len(label) for label in labels) * CHARACTER + 18, WIDTH * 0.45)
    text_width = max(len(row.text) for row in rows) * CHARACTER + 10
    room = WIDTH - label_width - text_width
    full = longest or max(row.value for row in rows) or 1.0
    marks = []
    for i, (row, label) in enumerate(zip(rows, labels, strict=True)):
        y = i * ROW
        length = max(min(row.value / full, 1.0) * room, 1.5)
        marks += [
            text(
                label_width - 8,
                y + 15,
                shorten(label, round((label_width - 18) / CHARACTER)),
                "end",
            ),
            tag(
                "rect",
                titled(f"{row.label}: {row.text}"),
                class_="hollow" if row.hollow else "mark",
                x=label_width,
                y=y + 4,
                width=length,
                height=ROW - 8,
                rx=2.0,
            ),
            text(label_width + length + 6, y + 15, row.text, "start", "figure"),
        ]
    return drawing(title, len(rows) * ROW, marks)


def scatter(
    title: str,
    points: Sequence[Point],
    x_label: str,
    y_label: str,
    limit: float | None = None,
    *,
    share: bool = True,
) -> Element:
    """Points with labels and the interval of x.

    Args:
        title: What is shown.
        points: At least one.
        x_label, y_label: What the axes show.
        limit: A y at which a dashed line runs.
        share: y is a share, shown in percent; else any positive figure, from 0 on.
    """
    height = 270.0
    ys = [p.y for p in points] + ([limit] if limit is not None else [])
    right = max(len(p.label) for p in points) * CHARACTER + 14
    x_axis = Axis(x_label, ticks(0.0, max(p.high for p in points)), LEFT, WIDTH - max(right, RIGHT))
    y_ticks = ticks(min(ys), 1.0) if min(ys) < 1 else ticks(0.98, 1.0)
    if not share:
        y_ticks = ticks(0.0, max(ys))
    y_axis = Axis(y_label, y_ticks, height - BOTTOM, TOP, percent=share)
    marks = [*grid(x_axis, y_axis, height)]
    taken = [_Box(x_axis.at(p.low) - 5, y_axis.at(p.y) - 5, x_axis.at(p.high) + 5) for p in points]
    if limit is not None:
        y = y_axis.at(limit)
        marks.append(line(x_axis.start, y, x_axis.end, y, "limit"))
        marks.append(text(x_axis.end - 6, y - 5, "required", "end", "quiet"))
        taken.append(_Box(x_axis.start, y - 1, WIDTH, 2.0))
        taken.append(_Box(x_axis.end - 9 * CHARACTER, y - 16, x_axis.end, 16.0))
    for p in points:
        x, y = x_axis.at(p.x), y_axis.at(p.y)
        place = _place(p, x_axis, y, taken)
        taken.append(place)
        marks += [
            line(x_axis.at(p.low), y, x_axis.at(p.high), y, "interval"),
            tag(
                "circle",
                titled(f"{p.label}: {p.x:.3g}, {f'{p.y:.2%}' if share else f'{p.y:.4g}'}"),
                class_="hollow" if p.hollow else "mark",
                cx=x,
                cy=y,
                r=5.0,
            ),
            text(place.left, place.top + 11, p.label, "start"),
        ]
    return drawing(title, height, marks)


@dataclass(frozen=True)
class _Box:
    """What a mark or a label covers."""

    left: float
    top: float
    right: float
    height: float = 10.0

    def meets(self, other: _Box) -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.top + other.height and other.top < self.top + self.height


def _place(point: Point, x_axis: Axis, y: float, taken: Sequence[_Box]) -> _Box:
    """Where a point's label hides nothing: right, left, below or above, and farther below."""
    width, height = len(point.label) * CHARACTER, 14.0
    right, left, middle = (
        x_axis.at(point.high) + 8,
        x_axis.at(point.low) - 8 - width,
        max(x_axis.at(point.x) - width / 2, x_axis.start),
    )
    corners = [(right, y - 7), (left, y - 7), (middle, y + 7), (middle, y - 21)]
    corners += [(right, y + 7 + height * i) for i in range(len(taken))]
    boxes = [_Box(x, top, x + width, height) for x, top in corners]
    free = (b for b in boxes if b.left >= x_axis.start and not any(b.meets(t) for t in taken))
    return next(free, boxes[0])


def histogram(title: str, values: Sequence[float], x_label: str) -> Element:
    """How often values occur, on a scale of powers of ten from 0.00001 to 1.

    Values below it, 0 too, count in the first bar, those above in the last.
    """
    height = 190.0
    powers = tuple(10.0**power for power in range(_LOWEST, 1))
    x_axis = Axis(x_label, powers, LEFT, WIDTH - RIGHT - 8, log=True)
    edges = [10 ** (_LOWEST + i / _BINS) for i in range(-_LOWEST * _BINS + 1)]
    counts = [0] * (len(edges) - 1)
    for value in values:
        place = math.floor((math.log10(max(value, 10.0**_LOWEST)) - _LOWEST) * _BINS)
        counts[min(place, len(counts) - 1)] += 1
    y_axis = Axis("clips", whole_ticks(ticks(0.0, max(counts), 5)), height - BOTTOM, TOP)
    marks = [*grid(x_axis, y_axis, height)]
    for low, high, number in zip(edges, edges[1:], counts, strict=False):
        top = y_axis.at(number)
        if number:
            marks.append(
                tag(
                    "rect",
                    titled(f"{low:.2g} to {high:.2g}: {number} clips"),
                    class_="mark",
                    x=x_axis.at(low) + 0.5,
                    y=top,
                    width=x_axis.at(high) - x_axis.at(low) - 1,
                    height=y_axis.start - top,
                )
            )
    return drawing(title, height, marks)


def heat_map(
    title: str,
    labels: Sequence[str],
    counts: Sequence[Sequence[int]],
    row_label: str,
    column_label: str,
) -> Element:
    """A square table of counts; the darker the more, relative to its row."""
    left = min(max(len(label) for label in labels) * CHARACTER + 30, WIDTH * 0.4)
    head = left - 8
    size = min((WIDTH - left - 4) / len(labels), 44.0)
    most = round((left - 30) / CHARACTER)
    marks = [
        text(left, 14, column_label, "start", "quiet"),
        text(14, head + 4, row_label, "end", "quiet", transform=f"rotate(-90 14 {head + 4:.0f})"),
    ]
    for i, label in enumerate(labels):
        middle = left + (i + 0.5) * size + 4
        turn = f"rotate(-90 {middle:.1f} {head - 4:.1f})"
        marks.append(text(middle, head - 4, shorten(label, most), "start", transform=turn))
        marks.append(text(left - 6, head + (i + 0.5) * size + 4, shorten(label, most), "end"))
    for i, row in enumerate(counts):
        for j, number in enumerate(row):
            where = left + j * size, head + i * size
            marks += _cell(where, size, number, max(sum(row), 1), i == j, (labels[i], labels[j]))
    return drawing(title, head + size * len(labels) + 4, marks)


def _cell(
    where: tuple[float, float],
    size: float,
    number: int,
    of: int,
    same: bool,
    names: tuple[str, str],
) -> list[Element]:
    x, y = where
    share = number / of
    cell = tag(
        "rect",
        titled(f"{names[0]} to {names[1]}: {number} of {of} clips"),
        class_="cell same" if same else "cell other",
        x=x + 1,
        y=y + 1,
        width=size - 2,
        height=size - 2,
        fill_opacity=0.12 + 0.88 * share if number else 0.0,
    )
    if not number:
        return [cell]
    shade = "figure on-dark" if share > _DARK_FROM else "figure"
    return [cell, text(x + size / 2, y + size / 2 + 4, str(number), "middle", shade)]
