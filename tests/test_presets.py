"""Presets give fields of an `InputSpec` that is valid at every size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.errors import SpecError
from edgevid.presets import NAMES, preset
from edgevid.spec import InputSpec

SIDES = st.integers(1, 2000)


@given(st.sampled_from(NAMES), st.tuples(SIDES, SIDES))
def test_every_preset_is_valid_at_every_size(name, size):
    spec = InputSpec(name="x", layout="NCHW", size=size, **preset(name, size))
    assert spec.size == size


@pytest.mark.parametrize(
    ("name", "size", "short_side"),
    [("imagenet", (224, 224), 256), ("kinetics", (112, 112), 128), ("imagenet", (299, 299), 342)],
)
def test_the_resize_of_torchvision(name, size, short_side):
    fields = preset(name, size)
    assert fields["short_side"] == short_side
    assert (fields["resize"], fields["crop"]) == ("short_side", "center")


@pytest.mark.parametrize(
    ("name", "pixel", "x"),
    [
        # torchvision: (255 / 255 - 0.485) / 0.229 for the red channel.
        ("imagenet", 255, 2.2489083),
        ("kinetics", 0, -1.8951892),
        ("inception", 0, -1.0),
        ("inception", 255, 1.0),
        ("unit", 255, 1.0),
        ("raw", 255, 255.0),
    ],
)
def test_what_the_red_channel_becomes(name, pixel, x):
    spec = InputSpec(name="x", layout="NCHW", size=(224, 224), **preset(name, (224, 224)))
    assert (pixel * spec.scale - spec.mean[0]) / spec.std[0] == pytest.approx(x)


def test_presets_without_a_crop_take_the_whole_frame():
    for name in ("inception", "unit", "raw"):
        assert "short_side" not in preset(name, (100, 50))


def test_a_preset_may_be_changed_without_changing_the_next():
    preset("unit", (8, 8))["scale"] = 5
    assert preset("unit", (8, 8))["scale"] == pytest.approx(1 / 255)


def test_an_unknown_preset_lists_the_known():
    with pytest.raises(SpecError, match=r"unknown preset 'imagnet'.*imagenet, kinetics"):
        preset("imagnet", (224, 224))
