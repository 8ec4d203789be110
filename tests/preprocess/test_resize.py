import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevid.preprocess import FrameTooSmall, Resizer
from edgevid.spec import InputSpec


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.GaussianBlur(noise, (5, 5), 0)


def cropped(size, short_side, **more) -> InputSpec:
    return InputSpec(
        name="x", layout="NHWC", size=size, resize="short_side", short_side=short_side,
        crop="center", **more,
    )  # fmt: skip


def reference(frame: np.ndarray, size, short_side: int, interpolation: int) -> np.ndarray:
    """torchvision's Resize(short_side) and CenterCrop(size), on the whole picture."""
    height, width = frame.shape[:2]
    shorter = min(height, width)
    resized = cv2.resize(
        frame,
        (int(short_side * width / shorter), int(short_side * height / shorter)),
        interpolation=interpolation,
    )
    top = round((resized.shape[0] - size[0]) / 2)
    left = round((resized.shape[1] - size[1]) / 2)
    return resized[top : top + size[0], left : left + size[1]]


def test_stretch_is_a_plain_resize():
    frame = picture(240, 320)
    out = Resizer(InputSpec(name="x", layout="NHWC", size=(128, 96)))(frame)
    assert np.array_equal(out, cv2.resize(frame, (96, 128)))


def test_a_frame_of_the_right_size_is_not_copied():
    frame = picture(64, 48)
    assert Resizer(InputSpec(name="x", layout="NHWC", size=(64, 48)))(frame) is frame


@pytest.mark.parametrize(
    ("frame_size", "size", "short_side"),
    [
        ((720, 1280), (224, 224), 256),
        ((1080, 1920), (112, 112), 128),
        ((480, 640), (224, 224), 256),
        ((492, 354), (160, 160), 182),
        ((256, 454), (224, 224), 256),
    ],
)
def test_resizing_only_what_the_crop_needs_gives_the_same_pixels(frame_size, size, short_side):
    frame = picture(*frame_size)
    out = Resizer(cropped(size, short_side))(frame)
    difference = np.abs(out.astype(int) - reference(frame, size, short_side, cv2.INTER_LINEAR))
    # OpenCV's fixed-point weights may round one level differently from another start.
    assert difference.max() <= 1
    assert np.count_nonzero(difference) <= 0.005 * difference.size


@settings(max_examples=150, deadline=None)
@given(
    st.integers(20, 200),
    st.integers(20, 200),
    st.integers(8, 64),
    st.integers(8, 64),
    st.integers(0, 40),
    st.sampled_from(["linear", "area", "cubic"]),
)
def test_any_size_equals_the_whole_picture_resized(h, w, out_h, out_w, more, interpolation):
    frame = picture(h, w, seed=h * w)
    short_side = max(out_h, out_w) + more
    spec = cropped((out_h, out_w), short_side, interpolation=interpolation)
    flag = {"linear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA, "cubic": cv2.INTER_CUBIC}
    expected = reference(frame, (out_h, out_w), short_side, flag[interpolation])
    out = Resizer(spec)(frame)
    assert out.shape == (out_h, out_w, 3)
    assert np.abs(out.astype(int) - expected).max() <= 1


def test_fast_moves_the_picture_by_less_than_a_source_pixel():
    ramp = np.tile(np.linspace(0, 255, 1280), (720, 1))
    frame = np.repeat(ramp[:, :, np.newaxis], 3, axis=2).astype(np.uint8)
    exact = Resizer(cropped((224, 224), 256))(frame).astype(int)
    fast = Resizer(cropped((224, 224), 256), fast=True)(frame).astype(int)
    assert fast.shape == exact.shape
    assert np.abs(fast - exact).max() <= 1


def test_one_resizer_serves_frames_of_changing_size():
    resize = Resizer(cropped((56, 56), 64))
    for size in ((240, 320), (720, 1280), (240, 320)):
        frame = picture(*size)
        expected = reference(frame, (56, 56), 64, cv2.INTER_LINEAR)
        assert np.abs(resize(frame).astype(int) - expected).max() <= 1


def fovea(size) -> InputSpec:
    return InputSpec(name="fovea", layout="NHWC", size=size, crop="fovea")


def test_a_fovea_is_the_centre_of_the_frame_as_it_comes():
    frame = picture(241, 320)
    out = Resizer(fovea((89, 90)))(frame)
    assert np.array_equal(out, frame[76:165, 115:205])
    assert not np.shares_memory(out, frame), "it keeps the whole frame in memory"
    assert np.array_equal(Resizer(fovea((241, 320)))(frame), frame)


@pytest.mark.parametrize("size", [(242, 100), (100, 321)])
def test_a_fovea_larger_than_the_frame_is_refused(size):
    with pytest.raises(FrameTooSmall, match=r"320x241, and the fovea of input 'fovea' takes"):
        Resizer(fovea(size))(picture(241, 320))
