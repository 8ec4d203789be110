"""Drawings as files of their own: SVG, PNG."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, tostring

import numpy as np
import numpy.typing as npt

from edgevid.pages.markup import tag
from edgevid.pages.style import STYLE

_SCALE = 2
"""Pixels for one unit of a drawing."""

_FONT_PX, _QUIET_PX = 12, 11
_INK, _QUIET, _PAPER = "#1b1f24", "#57606a", "#ffffff"

_Image = npt.NDArray[np.uint8]
_Colour = tuple[int, int, int]

_RULE = re.compile(r"^svg (\w*)\.?([\w-]*) \{(.*)\}$", re.MULTILINE)
_VARIABLE = re.compile(r"(--[\w-]+): (#[0-9a-f]{6})")


def svg_file(drawing: Element) -> str:
    """A drawing that stands alone: its style is inside, on white paper.

    Args:
        drawing: From `edgevid.pages.drawing.drawing`; is changed.
    """
    width, height = _size(drawing)
    drawing.set("xmlns", "http://www.w3.org/2000/svg")
    drawing.set("width", f"{width:.0f}")
    drawing.set("height", f"{height:.0f}")
    paper = tag("rect", width=width, height=height, fill=_PAPER)
    drawing.insert(0, tag("style", _style()))
    drawing.insert(1, paper)
    return tostring(drawing, encoding="unicode") + "\n"


def png_file(drawing: Element) -> bytes:
    """A drawing in pixels, two for each unit; rectangles, lines and level text only.

    Characters that OpenCV has no picture of are shown as "?".
    """
    import cv2

    width, height = _size(drawing)
    image = np.full((round(height * _SCALE), round(width * _SCALE), 3), 255, np.uint8)
    colours = _colours()
    for mark in drawing:
        name = mark.get("class", "")
        if mark.tag == "rect":
            _rectangle(image, mark, _bgr(colours.get(name, _QUIET)))
        elif mark.tag == "line":
            ends = [(_px(mark, f"x{i}"), _px(mark, f"y{i}")) for i in (1, 2)]
            cv2.line(image, ends[0], ends[1], _bgr(colours.get(name, _QUIET)), 1, cv2.LINE_AA)
        elif mark.tag == "text":
            _text(image, mark, _bgr(colours.get(name, _INK)))
    done, data = cv2.imencode(".png", image)
    assert done
    return bytes(data.tobytes())


def _size(drawing: Element) -> tuple[float, float]:
    _, _, width, height = (float(n) for n in drawing.get("viewBox", "0 0 0 0").split())
    return width, height


def _style() -> str:
    """The rules of the page's style sheet for drawings, with the colours of a light page."""
    values = _light()
    rules = "\n".join(match.group(0) for match in _RULE.finditer(STYLE))
    plain = re.sub(r"var\((--[\w-]+)\)", lambda m: values[m.group(1)], rules)
    font = 'font-family: system-ui, "DejaVu Sans", sans-serif; font-size: 12px;'
    return f"svg {{ {font} }}\n{plain}\n"


def _light() -> dict[str, str]:
    """Variables of the light page: those that come first."""
    values: dict[str, str] = {}
    for name, colour in _VARIABLE.findall(STYLE):
        values.setdefault(name, colour)
    return values


def _colours() -> dict[str, str]:
    """Class to its colour: what fills it, or draws it where it is a line."""
    values, found = _light(), {}
    for _, name, rule in _RULE.findall(STYLE):
        said = re.search(r"(?:fill|stroke): (?:var\((--[\w-]+)\)|(#[0-9a-f]{6}))", rule)
        if said and name:
            found[name] = said.group(2) or values[said.group(1)]
    return found


def _bgr(colour: str) -> _Colour:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return blue, green, red


def _px(mark: Element, name: str) -> int:
    return round(float(mark.get(name, "0")) * _SCALE)


def _rectangle(image: _Image, mark: Element, colour: _Colour) -> None:
    left, top = _px(mark, "x"), _px(mark, "y")
    right = round((float(mark.get("x", "0")) + float(mark.get("width", "0"))) * _SCALE)
    image[top : top + _px(mark, "height"), left : max(right, left + 1)] = colour


def _text(image: _Image, mark: Element, colour: _Colour) -> None:
    import cv2

    words = (mark.text or "").replace("…", "..")
    words = "".join(c if c.isascii() and c.isprintable() else "?" for c in words)
    quiet = mark.get("class") == "quiet"
    font, thick = cv2.FONT_HERSHEY_DUPLEX, 1
    scale = (_QUIET_PX if quiet else _FONT_PX) * _SCALE / 36
    (width, _), _ = cv2.getTextSize(words, font, scale, thick)
    shift = {"middle": width // 2, "end": width}.get(mark.get("text-anchor", "start"), 0)
    place = (_px(mark, "x") - shift, _px(mark, "y"))
    cv2.putText(image, words, place, font, scale, colour, thick, cv2.LINE_AA)
