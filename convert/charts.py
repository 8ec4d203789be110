"""Charts as inline SVG: bars, points, a histogram, a heat map.

Colours come from the page's style sheet by class, so that they follow dark mode and print.
A chart scales with its column but is drawn for a telephone's width, where its text is still
read. Each has a role, a title, and for every mark a title of its own with the exact figure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from edgevid.convert.markup import Value, tag

WIDTH = 480.0
_ROW = 22.0
_CHARACTER = 6.6
"""Width of a character in a label, about."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 16.0, 14.0, 44.0


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
    """

    label: str
    ticks: tuple[float, ...]
    start: float
    end: float
    percent: bool = False

    def at(self, value: float) -> float:
        """Where a value lies; beyond the ends: at the end."""
        share = (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0])
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def text(self, tick: float) -> str:
        """A tick as it is written."""
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
    """At most so many characters, cut in the middle: layers differ at their ends."""
    if len(text) <= most:
        return text
    tail = (most - 1) * 2 // 3
    return f"{text[: most - 1 - tail]}…{text[-tail:]}"


def bars(title: str, rows: Sequence[Bar], longest: float | None = None) -> Element:
    """Horizontal bars, one below the other.

    Args:
        title: What is shown.
        rows: Values of at least 0.
        longest: The value of a bar of full length; longer ones are cut. Default: the largest.
    """
    widest = max(len(row.label) for row in rows)
    label_width = min(widest * _CHARACTER + 10, WIDTH * 0.42)
    text_width = max(len(row.text) for row in rows) * _CHARACTER + 10
    room = WIDTH - label_width - text_width
    full = longest or max(row.value for row in rows) or 1.0
    marks = []
    for i, row in enumerate(rows):
        y = i * _ROW
        length = max(min(row.value / full, 1.0) * room, 1.5)
        marks += [
            _text(
                label_width - 8, y + 15, shorten(row.label, int(label_width / _CHARACTER)), "end"
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
    height = 300.0
    ys = [p.y for p in points] + ([limit] if limit is not None else [])
    right = max(len(p.label) for p in points) * _CHARACTER + 14
    x_axis = Axis(
        x_label, ticks(0.0, max(p.high for p in points)), _LEFT, WIDTH - max(right, _RIGHT)
    )
    y_ticks = ticks(min(ys), 1.0) if min(ys) < 1 else ticks(0.98, 1.0)
    y_axis = Axis(y_label, y_ticks, height - _BOTTOM, _TOP, percent=True)
    marks = [*_grid(x_axis, y_axis, height)]
    if limit is not None:
        y = y_axis.at(limit)
        marks.append(_line(x_axis.start, y, x_axis.end, y, "limit"))
        marks.append(_text(x_axis.start + 6, y + 14, "required", "start", "quiet"))
    below = -math.inf
    for p in sorted(points, key=lambda p: (y_axis.at(p.y), p.x)):
        x, y = x_axis.at(p.x), y_axis.at(p.y)
        # Labels of points at one height would lie on each other: each stands below the last.
        below = max(y + 4, below + 15)
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
            _text(x_axis.at(p.high) + 9, below, p.label, "start"),
        ]
    return _drawing(title, height, marks)


def histogram(title: str, values: Sequence[float], x_label: str, highest: float) -> Element:
    """How often values from 0 to `highest` occur, in at most 20 classes of equal width."""
    height = 190.0
    x_axis = Axis(x_label, ticks(0.0, highest), _LEFT, WIDTH - _RIGHT)
    edges = x_axis.ticks[-1]
    count = 20 if len(values) > 40 else 10
    counts = [0] * count
    for value in values:
        counts[min(int(value / edges * count), count - 1)] += 1
    y_axis = Axis("clips", _whole(ticks(0.0, max(counts), 5)), height - _BOTTOM, _TOP)
    marks = [*_grid(x_axis, y_axis, height)]
    for i, number in enumerate(counts):
        left, right = (x_axis.at(edges * k / count) for k in (i, i + 1))
        top = y_axis.at(number)
        if number:
            span = f"{edges * i / count:.3g} to {edges * (i + 1) / count:.3g}"
            marks.append(
                tag(
                    "rect",
                    _title(f"{span}: {number} clips"),
                    class_="mark",
                    x=left + 0.5,
                    y=top,
                    width=right - left - 1,
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
    most = int((left - 30) / _CHARACTER)
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
