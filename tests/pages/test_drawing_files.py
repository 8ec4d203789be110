"""Drawings as SVG and PNG files."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

import cv2
import numpy as np

from edgevid.pages.files import png_file, svg_file
from edgevid.pages.timelines import Stretch, time_lines

ROWS = {
    "true": [Stretch("left", 0.0, 5.0), Stretch("ünknown & <b>", 5.0, 10.0)],
    "raw": [Stretch("left", 0.0, 4.0), Stretch("ünknown & <b>", 6.0, 10.0)],
}


def test_an_svg_stands_alone() -> None:
    text = svg_file(time_lines("two labels", ROWS, 10.0))
    svg = fromstring(text)
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    assert (svg.get("width"), svg.get("height")) == ("840", "86")
    assert "var(" not in text
    assert "#0b5cad" in text
    assert "ünknown &amp; &lt;b&gt;" in text


def test_a_png_shows_the_same() -> None:
    data = png_file(time_lines("two labels", ROWS, 10.0))
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (172, 1680, 3)
    left = 4 * 7.2 + 14

    def colour(time_s: float, row: int) -> tuple[int, ...]:
        x = left + (840 - 24 - left) * time_s / 10
        return tuple(int(c) for c in image[round((row * 32 + 2) * 2), round(x * 2)][::-1])

    blue, brown, white = (0x0B, 0x5C, 0xAD), (0xA0, 0x4A, 0x00), (255, 255, 255)
    assert [colour(t, 0) for t in (0.1, 4.95, 5.05, 9.9)] == [blue, blue, brown, brown]
    assert [colour(t, 1) for t in (3.95, 4.5, 5.95, 6.05)] == [blue, white, white, brown]
