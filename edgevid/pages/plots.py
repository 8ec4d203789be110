"""Plots as inline SVG: curves, dots and columns over a linear or logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from edgevid.pages.drawing import (
    BOTTOM,
    CHARACTER,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    drawing,
    grid,
    line,
    log_ticks,
    path,
    text,
    ticks,
    titled,
)
from edgevid.pages.markup import tag
from edgevid.pages.timelines import COLOURS, WIDE

HEIGHT = 250.0

_LEGEND_ROW = 18.0
_GUIDE_ROW = 14.0


@dataclass(frozen=True)
class Scale:
    """What an axis shows, and from where to where at least.

    Attributes:
        label: With the unit.
        low, high: Values that must be on it; positive where it is logarithmic.
        log: Logarithmic.
        names: Marked values and what is written at them, from `low` to `high`; default: round
            figures.
    """

    label: str
    low: float
    high: float
    log: bool = False
    names: tuple[tuple[float, str], ...] = ()

    def axis(self, start: float, end: float) -> Axis:
        """The axis, where it lies in a drawing."""
        if self.names:
            marked, names = zip(*self.names, strict=True)
            return Axis(self.label, marked, start, end, log=self.log, names=names)
        values = log_ticks(self.low, self.high) if self.log else ticks(self.low, self.high)
        return Axis(self.label, values, start, end, log=self.log)


@dataclass(frozen=True)
class Curve:
    """A line through points, in one of ten colours."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    colour: int = 0


@dataclass(frozen=True)
class Dots:
    """A dot at each point; large ones for those that are few."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    colour: int = 0
    large: bool = False


@dataclass(frozen=True)
class Column:
    """A bar that stands on the x axis, from `low` to `high`."""

    low: float
    high: float
    height: float
    text: str


@dataclass(frozen=True)
class Guide:
    """A dashed line across the plot with words at it: at an x, or at a y."""

    value: float
    text: str
    at_y: bool = False


@dataclass(frozen=True)
class Band:
    """A stretch of x with a ground of its own."""

    low: float
    high: float
    name: str


def plot(
    title: str,
    x: Scale,
    y: Scale,
    *,
    columns: Sequence[Column] = (),
    curves: Sequence[Curve] = (),
    dots: Sequence[Dots] = (),
    guides: Sequence[Guide] = (),
    bands: Sequence[Band] = (),
    wide: bool = False,
) -> Element:
    """Everything that is given over one pair of axes, with a legend of what has a name.

    Points beyond the axes are drawn at their ends. Bands lie below, guides above.

    Args:
        title: What is shown.
        x, y: The axes.
        columns: Bars, as of a histogram.
        curves, dots: An empty name keeps one out of the legend.
        guides: Lines with words.
        bands: Stretches of x.
        wide: As wide as the page; else one of two side by side.
    """
    width = WIDE if wide else WIDTH
    named = _legend_entries(curves, dots, bands)
    legend, rows = _legend(named, width)
    top = TOP + rows * _LEGEND_ROW - (_LEGEND_ROW if rows else 0)
    height = HEIGHT + top - TOP
    x_axis = x.axis(LEFT, width - RIGHT - 8)
    y_axis = y.axis(height - BOTTOM, top)
    marks = [_band(band, x_axis, y_axis) for band in bands]
    marks += grid(x_axis, y_axis, height)
    marks += [_column(column, x_axis, y_axis) for column in columns]
    layers: tuple[Curve | Dots, ...] = (*curves, *dots)
    marks += [_named(_path(layer, x_axis, y_axis), layer.name) for layer in layers]
    drawn = [_guide(guide, i, x_axis, y_axis) for i, guide in enumerate(guides)]
    marks += [mark for mark, _ in drawn] + [words for _, words in drawn]
    return drawing(title, height, [*marks, *legend], width)


def _path(layer: Curve | Dots, x_axis: Axis, y_axis: Axis) -> Element:
    points = ((x_axis.at(x), y_axis.at(y)) for x, y in zip(layer.xs, layer.ys, strict=True))
    return path(points, _class(layer), joined=isinstance(layer, Curve))


def _class(layer: Curve | Dots) -> str:
    kind = "curve" if isinstance(layer, Curve) else "large" if layer.large else "dots"
    return f"{kind} s{layer.colour % COLOURS}"


def _named(mark: Element, name: str) -> Element:
    if name:
        mark.append(titled(name))
    return mark


def _column(column: Column, x_axis: Axis, y_axis: Axis) -> Element:
    left, right, top = x_axis.at(column.low), x_axis.at(column.high), y_axis.at(column.height)
    return tag(
        "rect",
        titled(column.text),
        class_="mark",
        x=left + 0.5,
        y=top,
        width=max(right - left - 1, 0.5),
        height=y_axis.start - top,
    )


def _band(band: Band, x_axis: Axis, y_axis: Axis) -> Element:
    left, right = x_axis.at(band.low), x_axis.at(band.high)
    return tag(
        "rect",
        titled(band.name),
        class_="band",
        x=left,
        y=y_axis.end,
        width=max(right - left, 1.0),
        height=y_axis.start - y_axis.end,
    )


def _guide(guide: Guide, number: int, x_axis: Axis, y_axis: Axis) -> tuple[Element, Element]:
    """The line, and its words where those of the guides before it are not."""
    if guide.at_y:
        y = y_axis.at(guide.value)
        return (
            line(x_axis.start, y, x_axis.end, y, "guide"),
            text(x_axis.end - 4, y - 5, guide.text, "end", "quiet halo"),
        )
    x, y = x_axis.at(guide.value), y_axis.end + 12 + number * _GUIDE_ROW
    fits = x + 6 + len(guide.text) * CHARACTER < x_axis.end + RIGHT
    return (
        line(x, y_axis.start, x, y_axis.end, "guide"),
        text(x + 5 if fits else x - 5, y, guide.text, "start" if fits else "end", "quiet halo"),
    )


def _legend_entries(
    curves: Sequence[Curve], dots: Sequence[Dots], bands: Sequence[Band]
) -> dict[str, str]:
    """Name to the class of its sign; curves alone need none where there is only one."""
    entries = {d.name: _class(d) for d in dots} | {c.name: _class(c) for c in curves}
    entries |= {b.name: "band" for b in bands}
    entries.pop("", None)
    return entries if len(entries) > 1 else {}


def _legend(entries: dict[str, str], width: float) -> tuple[list[Element], int]:
    """Signs and names from left to right, in as many rows as it takes."""
    marks: list[Element] = []
    x, row = LEFT, 0
    for name, class_ in entries.items():
        room = 26 + len(name) * CHARACTER
        if x + room > width and x > LEFT:
            x, row = LEFT, row + 1
        y = 11 + row * _LEGEND_ROW
        if class_ == "band":
            marks.append(tag("rect", class_="band", x=x, y=y - 8, width=16.0, height=11.0))
        elif class_.startswith("curve"):
            marks.append(path([(x, y - 3), (x + 16, y - 3)], class_))
        else:
            marks.append(path([(x + 8, y - 3)], class_, joined=False))
        marks.append(text(x + 21, y + 1, name, "start", "quiet"))
        x += room + 6
    return marks, row + 1 if entries else 0
