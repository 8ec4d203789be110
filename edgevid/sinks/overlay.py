"""The current answer, drawn onto frames: for video files and windows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2

from edgevid.sinks.ranking import best
from edgevid.sinks.text import plain_ascii
from edgevid.types import Frame, Prediction, UInt8Array

_FONT = cv2.FONT_HERSHEY_DUPLEX
_WHITE = (255, 255, 255)
_GREY = (160, 160, 160)
_AMBER = (40, 180, 255)
_DIM = 0.35
"""What is left of the picture's brightness under text: white on it reads on any background."""

_MIN_TEXT_PX = 8
_ROWS = 3


class Overlay:
    """Remembers the newest prediction of every source, and draws it.

    At the bottom the label, its score and a bar; with `labels`, the three best classes. In
    the upper right corner the source's time. Sizes follow the frame's shorter side.

    Args:
        labels: One name per class, in the order of the scores; empty: only the best class.
    """

    def __init__(self, labels: Sequence[str] = ()) -> None:
        self._labels = tuple(labels)
        self._newest: dict[str, Prediction] = {}

    def note(self, prediction: Prediction) -> None:
        """What the frames of its source show from now on."""
        self._newest[prediction.source_id] = prediction

    def draw(self, frame: Frame) -> UInt8Array:
        """A copy of the frame's picture, `(H, W, 3)` uint8 BGR, with the overlay on it."""
        image: UInt8Array = frame.data.copy()
        text_px = max(_MIN_TEXT_PX, round(min(image.shape[:2]) / 26))
        prediction = self._newest.get(frame.source_id)
        if prediction is not None:
            _draw_rows(image, self._rows(prediction), text_px)
        _draw_time(image, f"{frame.time.pts_s:.2f} s", max(_MIN_TEXT_PX, round(text_px * 0.8)))
        return image

    def _rows(self, prediction: Prediction) -> list[tuple[str, float]]:
        if self._labels:
            return best(prediction, self._labels, _ROWS)
        return [(prediction.label, prediction.score)]


def _draw_rows(image: UInt8Array, rows: Sequence[tuple[str, float]], text_px: int) -> None:
    height, width = image.shape[:2]
    margin, bar_px = text_px, max(2, text_px // 4)
    row_px = text_px * 2 + bar_px
    top = height - row_px * len(rows) - margin // 2
    _dim(image, 0, top, width, height)
    for i, (label, score) in enumerate(rows):
        baseline = top + i * row_px + margin // 2 + text_px
        colour = _GREY if i else _WHITE
        number = f"{score:.2f}"
        number_left = width - margin - _text_width(number, text_px)
        shown = _fit(plain_ascii(label), number_left - 2 * margin, text_px)
        _text(image, shown, margin, baseline, text_px, colour)
        _text(image, number, number_left, baseline, text_px, colour)
        _bar(image, score, baseline + text_px // 2, margin, bar_px, _GREY if i else _AMBER)


def _bar(
    image: UInt8Array, score: float, top: int, margin: int, bar_px: int, colour: tuple[int, ...]
) -> None:
    right = image.shape[1] - margin
    share = min(max(score, 0.0), 1.0) if math.isfinite(score) else 0.0
    filled = margin + round((right - margin) * share)
    cv2.rectangle(image, (margin, top), (right - 1, top + bar_px - 1), (70, 70, 70), cv2.FILLED)
    if filled > margin:
        cv2.rectangle(image, (margin, top), (filled - 1, top + bar_px - 1), colour, cv2.FILLED)


def _draw_time(image: UInt8Array, text: str, text_px: int) -> None:
    pad = text_px // 2
    left = image.shape[1] - _text_width(text, text_px) - 2 * pad
    _dim(image, left, 0, image.shape[1], text_px + 2 * pad)
    _text(image, text, left + pad, pad + text_px, text_px, _WHITE)


def _dim(image: UInt8Array, left: int, top: int, right: int, bottom: int) -> None:
    area = image[max(top, 0) : bottom, max(left, 0) : right]
    area[:] = cv2.convertScaleAbs(area, alpha=_DIM)


def _fit(text: str, width: int, text_px: int) -> str:
    """As much of `text` as fits into `width` pixels, ".." in place of the rest."""
    if _text_width(text, text_px) <= width:
        return text
    while text and _text_width(text + "..", text_px) > width:
        text = text[:-1]
    return text + ".." if text else ""


def _text(
    image: UInt8Array, text: str, left: int, baseline: int, text_px: int, colour: tuple[int, ...]
) -> None:
    scale, thickness = _font(text_px)
    cv2.putText(image, text, (left, baseline), _FONT, scale, colour, thickness, cv2.LINE_AA)


def _text_width(text: str, text_px: int) -> int:
    scale, thickness = _font(text_px)
    width: int = cv2.getTextSize(text, _FONT, scale, thickness)[0][0]
    return width


def _font(text_px: int) -> tuple[float, int]:
    """Scale and thickness at which capital letters are `text_px` high."""
    capital_px: int = cv2.getTextSize("H", _FONT, 1.0, 1)[0][1]
    return text_px / capital_px, max(1, round(text_px / 16))
