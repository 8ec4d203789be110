"""The overlay, on real frames: it is there, it is readable, the rest is untouched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from edgevid.sinks.overlay import Overlay
from edgevid.types import Frame, FrameTime, UInt8Array


def _frame(image: UInt8Array, source: str = "cam0", pts_s: float = 12.34) -> Frame:
    return Frame(image, FrameTime(0, pts_s, pts_s + 0.04), source)


@pytest.fixture(scope="session")
def picture(clips: Path) -> UInt8Array:
    with av.open(str(clips / "abseiling_k400.mp4")) as container:
        return next(container.decode(video=0)).to_ndarray(format="bgr24")


@pytest.mark.parametrize("size", [(1280, 720), (454, 256), (354, 492), (128, 128), (64, 48)])
def test_bottom_and_corner_change_and_nothing_else(
    picture: UInt8Array, predict, size: tuple[int, int]
) -> None:
    image = cv2.resize(picture, size)
    before = image.copy()
    overlay = Overlay()
    overlay.note(predict())
    drawn = overlay.draw(_frame(image))
    np.testing.assert_array_equal(image, before, "the source's own picture is left alone")
    changed = (drawn != image).any(axis=2)
    height, width = changed.shape
    assert changed[-8:].mean() > 0.9
    # What lies between the time at the top and the answer at the bottom is the picture.
    assert not changed[height // 3 : height // 2].any()
    assert not changed[: height // 3, : width // 3].any()
    assert changed[: height // 3, width // 2 :].any()


@pytest.mark.parametrize("background", [0, 128, 255])
def test_text_stands_out_on_any_background(predict, background: int) -> None:
    overlay = Overlay()
    overlay.note(predict())
    drawn = overlay.draw(_frame(np.full((480, 640, 3), background, np.uint8)))
    strip = cv2.cvtColor(drawn[-50:], cv2.COLOR_BGR2GRAY)
    # WCAG asks 4.5 to 1 between the luminances of text and ground.
    luminance = (np.float64([strip.max(), np.median(strip)]) / 255) ** 2.2 + 0.05
    assert luminance[0] / luminance[1] > 4.5


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_the_bar_is_as_long_as_the_score(predict, share: float) -> None:
    overlay = Overlay()
    overlay.note(predict(score=share))
    drawn = overlay.draw(_frame(np.zeros((480, 640, 3), np.uint8)))
    amber = (drawn == (40, 180, 255)).all(axis=2).any(axis=0)
    margin = round(480 / 26)
    assert np.flatnonzero(amber)[0] == margin
    assert amber.sum() == pytest.approx(share * (640 - 2 * margin), abs=1)


def test_three_bars_with_labels_one_without(predict, labels) -> None:
    black = np.zeros((480, 640, 3), np.uint8)
    heights = []
    for names in ((), labels):
        overlay = Overlay(names)
        overlay.note(predict())
        rows = overlay.draw(_frame(black)).any(axis=(1, 2))
        heights.append(int(rows[100:].sum()))
    assert 2.5 < heights[1] / heights[0] < 3.5


def test_each_source_shows_its_own_answer(predict) -> None:
    black = np.zeros((240, 320, 3), np.uint8)
    overlay = Overlay()
    overlay.note(predict(source="a", score=0.3))
    overlay.note(predict(source="b", score=0.9))
    bars = [
        int((overlay.draw(_frame(black, name)) == (40, 180, 255)).all(axis=2).sum())
        for name in ("a", "b", "nothing yet")
    ]
    assert bars[1] == pytest.approx(3 * bars[0], rel=0.02)
    assert bars[2] == 0


@pytest.mark.parametrize("label", ["", "x" * 500, "左 épée\n\x1b", "a"])
@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (32, 200), (200, 32), (240, 320)])
def test_no_label_or_shape_breaks_it(predict, label: str, shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 200, np.uint8)
    overlay = Overlay()
    overlay.note(replace(predict(), label=label, score=float("nan")))
    drawn = overlay.draw(_frame(image))
    assert drawn.shape == image.shape
    assert (drawn != image).any()


def test_a_long_label_leaves_room_for_the_score(predict) -> None:
    """The score's pixels are the same behind a short label and a very long one."""
    black = np.zeros((240, 320, 3), np.uint8)
    corners = []
    for label in ("a", "wwww " * 40):
        overlay = Overlay()
        overlay.note(replace(predict(), label=label))
        corners.append(overlay.draw(_frame(black))[-30:, -45:])
    np.testing.assert_array_equal(*corners)
