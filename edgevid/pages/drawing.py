"""What charts are drawn with: axes, text, lines, the frame around them.

Colours come from the page's style sheet by class, so that they follow dark mode and print.
A chart scales with its column but is drawn for a telephone's width, where its text is still
read. Each has a role, a title, and for every mark a title of its own with the exact figure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from edgevid.pages.markup import Value, tag

WIDTH = 420.0
"""Of a chart, in the units of its drawing: about pixels."""

ROW = 22.0
"""Height of one row of bars."""

CHARACTER = 7.2
"""Width of a character in a label, about: that of a wide font."""

_FINE_DECADES = 2
"""Powers of ten up to which a logarithmic axis marks values between them."""

LEFT, RIGHT, TOP, BOTTOM = 68.0, 16.0, 24.0, 44.0
"""Margins around what axes enclose."""


@dataclass(frozen=True)
class Axis:
    """One axis of a chart: where values lie, and what is written at it.

    Attributes:
        label: What it shows, with the unit.
        ticks: Values that are marked; the first and last are its ends.
        start, end: Where these lie in the drawing.
        percent: Ticks are shares, shown in percent.
        log: The axis is logarithmic; ticks are positive.
        names: What is written at the ticks instead of their figures.
    """

    label: str
    ticks: tuple[float, ...]
    start: float
    end: float
    percent: bool = False
    log: bool = False
    names: tuple[str, ...] = ()

    def at(self, value: float) -> float:
        """Where a value lies; beyond the ends: at the end."""
        low, high = self.ticks[0], self.ticks[-1]
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(max(value, low))
        share = (value - low) / (high - low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def text(self, tick: float) -> str:
        """A tick as it is written."""
        if self.names:
            return self.names[self.ticks.index(tick)]
        if self.log:
            return f"{tick:.{max(-math.floor(math.log10(tick) + 1e-9), 0)}f}"
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


def log_ticks(low: float, high: float) -> tuple[float, ...]:
    """Positive values that enclose both ends: powers of ten, with 2 and 5 times them if few."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    steps = (1, 2, 5) if last - first <= _FINE_DECADES else (1,)
    last = max(last, first + 1)
    marked = [s * 10.0**power for power in range(first, last) for s in steps] + [10.0**last]
    below = max(i for i, tick in enumerate(marked) if tick <= low * (1 + 1e-9) or i == 0)
    above = min(i for i, tick in enumerate(marked) if tick >= high * (1 - 1e-9))
    return tuple(marked[below : max(above, below + 1) + 1])


def _steps(low: float, high: float, step: float) -> int:
    return math.ceil(high / step - 1e-9) - math.floor(low / step + 1e-9)


def shorten(text: str, most: int) -> str:
    """At most so many characters, cut in the middle: names of layers differ at both ends."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


def whole_ticks(values: tuple[float, ...]) -> tuple[float, ...]:
    """Ticks of counts: never between two whole numbers."""
    if values[1] - values[0] >= 1:
        return values
    return tuple(float(i) for i in range(math.ceil(values[-1]) + 1))


def grid(x_axis: Axis, y_axis: Axis, height: float) -> list[Element]:
    """Lines and figures at the ticks, and the names of both axes."""
    marks = []
    for tick in x_axis.ticks:
        x = x_axis.at(tick)
        marks.append(line(x, y_axis.start, x, y_axis.end, "grid"))
        marks.append(text(x, y_axis.start + 16, x_axis.text(tick), "middle", "quiet"))
    for tick in y_axis.ticks:
        y = y_axis.at(tick)
        marks.append(line(x_axis.start, y, x_axis.end, y, "grid"))
        marks.append(text(x_axis.start - 6, y + 4, y_axis.text(tick), "end", "quiet"))
    middle = (x_axis.start + x_axis.end) / 2
    marks.append(text(middle, height - 8, x_axis.label, "middle", "quiet"))
    turn = (y_axis.start + y_axis.end) / 2
    marks.append(
        text(10, turn, y_axis.label, "middle", "quiet", transform=f"rotate(-90 10 {turn:.1f})")
    )
    return marks


def drawing(title: str, height: float, marks: Sequence[Element], width: float = WIDTH) -> Element:
    """A chart of its marks, with its name; as wide as its column."""
    return tag(
        "svg",
        titled(title),
        *marks,
        role="img",
        aria_label=title,
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width="100%",
    )


def titled(text: str) -> Element:
    """The name of a mark, which a pointer that rests on it shows."""
    return tag("title", text)


def text(
    x: float, y: float, text: str, anchor: str, class_: str = "label", **attributes: Value
) -> Element:
    """Words at a place, which is their start, middle or end."""
    return tag("text", text, x=x, y=y, text_anchor=anchor, class_=class_, **attributes)


def path(points: Iterable[tuple[float, float]], class_: str, *, joined: bool = True) -> Element:
    """A line through points, or a dot at each: one mark, however many there are."""
    steps = (f"{'L' if joined and i else 'M'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(points))
    return tag("path", d=("" if joined else "h0").join([*steps, ""]), class_=class_)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Element:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)
