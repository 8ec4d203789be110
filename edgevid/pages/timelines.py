"""Labels over time as inline SVG: one row a kind (true, raw, smoothed), one above the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from edgevid.pages.drawing import CHARACTER, Axis, drawing, line, shorten, text, ticks, titled
from edgevid.pages.markup import tag

WIDE = 840.0
"""Width of a drawing that takes the whole page."""

COLOURS = 10
"""Labels that have a colour of their own; further ones share."""

_ROW, _GAP = 26.0, 6.0
_LETTERS_AT_LEAST = 4
_LAST_TICK = 0.95
"""Share of the axis behind which only its end is marked."""


@dataclass(frozen=True)
class Stretch:
    """A label from `start` to `end`, in seconds; None: none."""

    label: str | None
    start: float
    end: float


def time_lines(title: str, rows: Mapping[str, Sequence[Stretch]], end: float) -> Element:
    """Rows of coloured stretches over one axis of time.

    The same label has the same colour in every row; where there is room, its name stands in it.

    Args:
        title: What is shown.
        rows: Name to stretches, from above to below.
        end: Where the axis ends, in seconds; it begins at 0.
    """
    left = max(len(name) for name in rows) * CHARACTER + 14
    marked = tuple(t for t in ticks(0.0, end, 12) if t < end * _LAST_TICK)
    axis = Axis("time", (*marked, end), left, WIDE - 24)
    height = len(rows) * (_ROW + _GAP)
    labels = dict.fromkeys(s.label for row in rows.values() for s in row if s.label is not None)
    colours = {label: f"c{i % COLOURS}" for i, label in enumerate(labels)}
    marks = [*_axis(axis, height)]
    for number, (name, stretches) in enumerate(rows.items()):
        y = number * (_ROW + _GAP)
        marks.append(text(left - 8, y + _ROW / 2 + 4, name, "end"))
        for stretch in stretches:
            marks += _stretch(stretch, axis, y, colours)
    return drawing(title, height + 22, marks, WIDE)


def _axis(axis: Axis, height: float) -> list[Element]:
    marks = []
    for tick in axis.ticks:
        x = axis.at(tick)
        marks.append(line(x, 0, x, height, "grid"))
        marks.append(text(x, height + 14, f"{axis.text(tick)} s", "middle", "quiet"))
    return marks


def _stretch(stretch: Stretch, axis: Axis, y: float, colours: Mapping[str, str]) -> list[Element]:
    x, width = axis.at(stretch.start), axis.at(stretch.end) - axis.at(stretch.start)
    name = stretch.label or "nothing"
    mark = tag(
        "rect",
        titled(f"{name}: {stretch.start:.2f} to {stretch.end:.2f} s"),
        class_="blank" if stretch.label is None else colours[stretch.label],
        x=x,
        y=y,
        width=max(width, 0.5),
        height=_ROW,
    )
    letters = int((width - 8) / CHARACTER)
    if stretch.label is None or letters < min(_LETTERS_AT_LEAST, len(name)):
        return [mark]
    words = text(x + width / 2, y + _ROW / 2 + 4, shorten(name, letters), "middle", "on-dark")
    return [mark, words]
