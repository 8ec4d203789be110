"""Charts as inline SVG: bars, points, a histogram, a heat map.

Colours come from the page's style sheet by class, so that they follow dark mode and print.
A chart scales with its column but is drawn for a telephone's width, where its text is still
read. Each has a role, a title, and for every mark a title of its own with the exact figure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from xml.etree.ElementTree import Element

from edgevid.convert.markup import Value, tag

WIDTH = 420.0
_ROW = 22.0
_CHARACTER = 7.2
"""Width of a character in a label, about: that of a wide font."""

_LOWEST = -5
"""Power of ten that a histogram begins with."""

_BINS = 4
"""Bars for each power of ten."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 68.0, 16.0, 24.0, 44.0


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


@dataclass(frozen=True)
class Axis:
    """One axis of a chart: where values lie, and what is written at it.

    Attributes:
        label: What it shows, with the unit.
        ticks: Values that are marked; the first and last are its ends.
        start, end: Where these lie in the drawing.
        percent: Ticks are shares, shown in percent.
        powers: Ticks are powers of ten.
    """

    label: str
    ticks: tuple[float, ...]
    start: float
    end: float
    percent: bool = False
    powers: bool = False

    def at(self, value: float) -> float:
        """Where a value lies; beyond the ends: at the end."""
        share = (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0])
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def text(self, tick: float) -> str:
        """A tick as it is written."""
        if self.powers:
            return f"{10**tick:.{max(-round(tick), 0)}f}"
        unit = self.ticks[1] - self.ticks[0]
        decimals = max(-math.floor(math.log10(unit * (100 if self.percent else 1)) + 1e-9), 0)
        return f"{tick * 100:.{decimals}f} %" if self.percent else f"{tick:.{decimals}f}"


def ticks(low: float, high: float, most: int = 6) -> tuple[float, ...]:
    """Round values, evenly spaced by 1, 2 or 5 times a power of ten, that enclose both ends."""
    if high <= low:
        high = low + (abs(low) or 1.0)
    raw = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 5, 10, 20) if _steps(low, high, s * power) < most)
    first = math.floor(low / step + 1e-9)
    return tuple((first + i) * step for i in range(_steps(low, high, step) + 1))


def _steps(low: float, high: float, step: float) -> int:
    return math.ceil(high / step - 1e-9) - math.floor(low / step + 1e-9)


def shorten(text: str, most: int) -> str:
    """At most so many characters, cut in the middle: names of layers differ at both ends."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


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
    label_width = min(max(len(label) for label in labels) * _CHARACTER + 10, WIDTH * 0.45)
    text_width = max(len(row.text) for row in rows) * _CHARACTER + 10
    room = WIDTH - label_width - text_width
    full = longest or max(row.value for row in rows) or 1.0
    marks = []
    for i, (row, label) in enumerate(zip(rows, labels, strict=True)):
        y = i * _ROW
        length = max(min(row.value / full, 1.0) * room, 1.5)
        marks += [
            _text(
                label_width - 8,
                y + 15,
                shorten(label, round((label_width - 10) / _CHARACTER)),
                "end",
            ),
            tag(
                "rect",
                _title(f"{row.label}: {row.text}"),
                class_="hollow" if row.hollow else "mark",
                x=label_width,
                y=y + 4,
                width=length,
                height=_ROW - 8,
                rx=2.0,
            ),
            _text(label_width + length + 6, y + 15, row.text, "start", "figure"),
        ]
    return _drawing(title, len(rows) * _ROW, marks)


def scatter(
    title: str, points: Sequence[Point], x_label: str, y_label: str, limit: float | None = None
) -> Element:
    """Points with labels and the interval of x; y is a share, shown in percent.

    Args:
        title: What is shown.
        points: At least one.
        x_label, y_label: What the axes show.
        limit: A y at which a dashed line runs.
    """
    height = 270.0
    ys = [p.y for p in points] + ([limit] if limit is not None else [])
    right = max(len(p.label) for p in points) * _CHARACTER + 14
    x_axis = Axis(
        x_label, ticks(0.0, max(p.high for p in points)), _LEFT, WIDTH - max(right, _RIGHT)
    )
    y_ticks = ticks(min(ys), 1.0) if min(ys) < 1 else ticks(0.98, 1.0)
    y_axis = Axis(y_label, y_ticks, height - _BOTTOM, _TOP, percent=True)
    marks = [*_grid(x_axis, y_axis, height)]
    taken = [_Box(x_axis.at(p.low) - 5, y_axis.at(p.y) - 5, x_axis.at(p.high) + 5) for p in points]
    if limit is not None:
        y = y_axis.at(limit)
        marks.append(_line(x_axis.start, y, x_axis.end, y, "limit"))
        marks.append(_text(x_axis.end - 6, y - 5, "required", "end", "quiet"))
        taken.append(_Box(x_axis.start, y - 1, WIDTH, 2.0))
        taken.append(_Box(x_axis.end - 9 * _CHARACTER, y - 16, x_axis.end, 16.0))
    for p in points:
        x, y = x_axis.at(p.x), y_axis.at(p.y)
        place = _place(p, x_axis, y, taken)
        taken.append(place)
        marks += [
            _line(x_axis.at(p.low), y, x_axis.at(p.high), y, "interval"),
            tag(
                "circle",
                _title(f"{p.label}: {p.x:.3g}, {p.y:.2%}"),
                class_="hollow" if p.hollow else "mark",
                cx=x,
                cy=y,
                r=5.0,
            ),
            _text(place.left, place.top + 11, p.label, "start"),
        ]
    return _drawing(title, height, marks)


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
    width, height = len(point.label) * _CHARACTER, 14.0
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
    powers = tuple(float(power) for power in range(_LOWEST, 1))
    x_axis = Axis(x_label, powers, _LEFT, WIDTH - _RIGHT - 8, powers=True)
    edges = [_LOWEST + i / _BINS for i in range(-_LOWEST * _BINS + 1)]
    counts = [0] * (len(edges) - 1)
    for value in values:
        place = math.floor((math.log10(max(value, 10.0**_LOWEST)) - _LOWEST) * _BINS)
        counts[min(place, len(counts) - 1)] += 1
    y_axis = Axis("clips", _whole(ticks(0.0, max(counts), 5)), height - _BOTTOM, _TOP)
    marks = [*_grid(x_axis, y_axis, height)]
    for low, high, number in zip(edges, edges[1:], counts, strict=False):
        top = y_axis.at(number)
        if number:
            marks.append(
                tag(
                    "rect",
                    _title(f"{10**low:.2g} to {10**high:.2g}: {number} clips"),
                    class_="mark",
                    x=x_axis.at(low) + 0.5,
                    y=top,
                    width=x_axis.at(high) - x_axis.at(low) - 1,
                    height=y_axis.start - top,
                )
            )
    return _drawing(title, height, marks)


def heat_map(
    title: str,
    labels: Sequence[str],
    counts: Sequence[Sequence[int]],
    row_label: str,
    column_label: str,
) -> Element:
    """A square table of counts; the darker the more, relative to its row."""
    left = min(max(len(label) for label in labels) * _CHARACTER + 30, WIDTH * 0.4)
    head = left - 8
    size = min((WIDTH - left - 4) / len(labels), 44.0)
    most = round((left - 30) / _CHARACTER)
    marks = [
        _text(left, 14, column_label, "start", "quiet"),
        _text(14, head + 4, row_label, "end", "quiet", transform=f"rotate(-90 14 {head + 4:.0f})"),
    ]
    for i, label in enumerate(labels):
        middle = left + (i + 0.5) * size + 4
        turn = f"rotate(-90 {middle:.1f} {head - 4:.1f})"
        marks.append(_text(middle, head - 4, shorten(label, most), "start", transform=turn))
        marks.append(_text(left - 6, head + (i + 0.5) * size + 4, shorten(label, most), "end"))
    for i, row in enumerate(counts):
        for j, number in enumerate(row):
            where = left + j * size, head + i * size
            marks += _cell(where, size, number, max(sum(row), 1), i == j, (labels[i], labels[j]))
    return _drawing(title, head + size * len(labels) + 4, marks)


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
        _title(f"{names[0]} to {names[1]}: {number} of {of} clips"),
        class_="cell same" if same else "cell other",
        x=x + 1,
        y=y + 1,
        width=size - 2,
        height=size - 2,
        fill_opacity=0.12 + 0.88 * share if number else 0.0,
    )
    if not number:
        return [cell]
    shade = "figure on-dark" if share > 0.45 else "figure"
    return [cell, _text(x + size / 2, y + size / 2 + 4, str(number), "middle", shade)]


def _whole(values: tuple[float, ...]) -> tuple[float, ...]:
    """Ticks of counts: never between two whole numbers."""
    if values[1] - values[0] >= 1:
        return values
    return tuple(float(i) for i in range(math.ceil(values[-1]) + 1))


def _grid(x_axis: Axis, y_axis: Axis, height: float) -> list[Element]:
    """Lines and figures at the ticks, and the names of both axes."""
    marks = []
    for tick in x_axis.ticks:
        x = x_axis.at(tick)
        marks.append(_line(x, y_axis.start, x, y_axis.end, "grid"))
        marks.append(_text(x, y_axis.start + 16, x_axis.text(tick), "middle", "quiet"))
    for tick in y_axis.ticks:
        y = y_axis.at(tick)
        marks.append(_line(x_axis.start, y, x_axis.end, y, "grid"))
        marks.append(_text(x_axis.start - 6, y + 4, y_axis.text(tick), "end", "quiet"))
    middle = (x_axis.start + x_axis.end) / 2
    marks.append(_text(middle, height - 8, x_axis.label, "middle", "quiet"))
    turn = (y_axis.start + y_axis.end) / 2
    marks.append(
        _text(10, turn, y_axis.label, "middle", "quiet", transform=f"rotate(-90 10 {turn:.1f})")
    )
    return marks


def _drawing(title: str, height: float, marks: Sequence[Element]) -> Element:
    return tag(
        "svg",
        _title(title),
        *marks,
        role="img",
        aria_label=title,
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}",
        width="100%",
    )


def _title(text: str) -> Element:
    return tag("title", text)


def _text(
    x: float, y: float, text: str, anchor: str, class_: str = "label", **attributes: Value
) -> Element:
    return tag("text", text, x=x, y=y, text_anchor=anchor, class_=class_, **attributes)


def _line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Element:
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)
