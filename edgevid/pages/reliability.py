"""The reliability diagram as inline SVG: how often answers of each confidence are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from edgevid.pages.drawing import BOTTOM, LEFT, RIGHT, TOP, WIDTH, Axis, drawing, grid, line, titled
from edgevid.pages.markup import tag

_HEIGHT = 300.0
_SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Reliability:
    """Answers whose confidence lies between `low` and `high`.

    Attributes:
        confidence, accuracy: Their mean confidence, and the share of them that is right.
        count: How many; at least 1.
    """

    low: float
    high: float
    confidence: float
    accuracy: float
    count: int


def reliability(title: str, bins: Sequence[Reliability]) -> Element:
    """Bars as high as the accuracy; on the dashed diagonal it equals the confidence."""
    x_axis = Axis("confidence", _SHARES, LEFT, WIDTH - RIGHT - 8, percent=True)
    y_axis = Axis("accuracy", _SHARES, _HEIGHT - BOTTOM, TOP, percent=True)
    marks = [*grid(x_axis, y_axis, _HEIGHT)]
    most = max((b.count for b in bins), default=1)
    for b in bins:
        top = y_axis.at(b.accuracy)
        words = f"{b.count} clips at {b.confidence:.1%} confidence: {b.accuracy:.1%} right"
        marks.append(
            tag(
                "rect",
                titled(words),
                class_="mark",
                x=x_axis.at(b.low) + 0.5,
                y=min(top, y_axis.start - 1.5),
                width=x_axis.at(b.high) - x_axis.at(b.low) - 1,
                height=max(y_axis.start - top, 1.5),
                fill_opacity=0.25 + 0.75 * b.count / most,
            )
        )
    marks.append(line(x_axis.start, y_axis.start, x_axis.end, y_axis.end, "limit"))
    return drawing(title, _HEIGHT, marks)
