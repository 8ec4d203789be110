"""Optical flow is found, in pixels, and survives its encoding in bytes."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.benchmarks.flow_methods import measure
from edgevid.errors import EngineError
from edgevid.preprocess.flow import encode, no_motion, open_flow
from edgevid.tracks import FLOW_BOUND


def decode(encoded):
    return encoded.astype(np.float64) * 40 / 255 - 20


def texture(height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (height, width), np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)


@pytest.mark.parametrize("method", ["dis-ultrafast", "dis-fast", "dis-medium", "farneback"])
def test_a_moved_texture_is_found_to_a_quarter_of_a_pixel(method):
    picture = texture(250, 260)
    first, second = picture[10:234, 10:234].copy(), picture[12:236, 7:231].copy()
    field = open_flow(method)(first, second)
    assert (field.shape, field.dtype) == ((224, 224, 2), np.float32)
    middle = decode(encode(field))[56:168, 56:168]
    assert np.abs(middle[..., 0] - 3).max() < 0.25, "x, to the right"
    assert np.abs(middle[..., 1] + 2).max() < 0.25, "y, down"


def test_nothing_moves_between_equal_pictures():
    picture = texture(64, 48)
    assert np.array_equal(encode(open_flow("dis-fast")(picture, picture)), no_motion(64, 48))
    assert np.abs(decode(no_motion(1, 1))).max() < 0.08


@given(st.floats(-1e6, 1e6, width=32))
def test_the_round_trip_is_within_half_a_step_of_the_clipped_flow(value):
    encoded = encode(np.array([value], np.float32))
    clipped = min(max(value, -FLOW_BOUND), FLOW_BOUND)
    assert decode(encoded)[0] == pytest.approx(clipped, abs=40 / 255 / 2 + 1e-5)


def test_what_is_no_number_is_no_motion():
    field = np.array([np.nan, np.inf, -np.inf], np.float32)
    assert encode(field).tolist() == [128, 255, 0]


@pytest.mark.parametrize("size", [(16, 16), (16, 200), (200, 16), (17, 31), (24, 2000)])
@pytest.mark.parametrize("method", ["dis-ultrafast", "dis-fast", "dis-medium", "farneback"])
def test_the_smallest_pictures_that_a_contract_allows(method, size):
    picture = texture(*size)
    flow = open_flow(method)
    for _ in range(5):
        field = flow(picture, np.roll(picture, 1, axis=1))
    assert field.shape == (*size, 2)
    assert abs(np.median(field[..., 0]) - 1) < 0.25


class FakeUnit:
    """What OpenCV's cudaoptflow gives: vectors in 32nds of a pixel, on a coarser grid."""

    def __init__(self):
        self.made = []

    def create(self, size):
        self.made.append(size)
        return self

    def calc(self, first, second, flow):
        assert (first.shape, flow) == (second.shape, None)
        rows, columns = first.shape[0] // 4, first.shape[1] // 4
        return np.full((rows, columns, 2), [64, -32], np.int16), None

    def convertToFloat(self, raw, flow):
        assert flow is None
        return SimpleNamespace(download=lambda: raw.astype(np.float32) / 32)


def test_nvidia_s_unit_is_made_once_for_a_size(monkeypatch):
    unit = FakeUnit()
    monkeypatch.setattr(cv2, "cuda", SimpleNamespace(NvidiaOpticalFlow_2_0=unit), raising=False)
    flow = open_flow("nvidia")
    for _ in range(2):
        field = flow(texture(64, 48), texture(64, 48))
    assert unit.made == [(48, 64)]
    assert (field.shape, field.dtype) == ((64, 48, 2), np.float32)
    assert np.array_equal(np.unique(field.reshape(-1, 2), axis=0), [[2, -1]])


def test_an_opencv_without_nvidia_s_unit_says_how_to_go_on(monkeypatch):
    monkeypatch.setattr(cv2, "cuda", SimpleNamespace(), raising=False)
    with pytest.raises(EngineError, match=r'built with CUDA.*flow_method = "dis-fast"'):
        open_flow("nvidia")


def test_what_nvidia_s_unit_refuses_is_one_error(monkeypatch):
    def refuse(size):
        raise cv2.error(f"no such device for {size}")

    unit = SimpleNamespace(create=refuse)
    monkeypatch.setattr(cv2, "cuda", SimpleNamespace(NvidiaOpticalFlow_2_0=unit), raising=False)
    with pytest.raises(EngineError, match="fails on pictures of 48x64: no such device"):
        open_flow("nvidia")(texture(64, 48), texture(64, 48))


@pytest.mark.parametrize("size", [(16, 16), (16, 24), (16, 300), (40, 48), (112, 112), (200, 40)])
def test_flow_does_not_depend_on_what_came_before(size):
    pictures = [np.roll(texture(*size), n * n, axis=1) for n in range(5)]
    used = open_flow("dis-fast")
    used(texture(64, 64), texture(64, 64))
    for first, second in pairwise(pictures):
        assert np.array_equal(used(first, second), open_flow("dis-fast")(first, second))


def test_the_comparison_of_methods_measures_what_it_says():
    figures = {f.method: f for f in measure(112, 8)}
    assert list(figures)[:4] == ["dis-ultrafast", "dis-fast", "dis-medium", "farneback"]
    for one in figures.values():
        assert one.ms > 0
        assert max(one.errors[:2]) < 0.25
    assert figures["farneback"].errors[3] > 5, "17 pixels are too far on a small picture"
