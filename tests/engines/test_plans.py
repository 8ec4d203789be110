"""Plan keys: what they say, and which plan serves which device."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.engines.plans import FLAVOURS, PlanKey, short_hash
from edgevid.errors import EngineError

ORIN = PlanKey("tensorrt", "10.3.0", "8.7", "fp16", 1, 4, False, "0a1b2c3d")
PORTABLE = PlanKey("tensorrt-rtx", "1.7.1.116", None, "fp16", 1, 4, False, "0a1b2c3d")


@st.composite
def keys(draw: st.DrawFn) -> PlanKey:
    smallest, largest = sorted(draw(st.tuples(st.integers(1, 999), st.integers(1, 999))))
    fixed = draw(st.booleans())
    major, minor = draw(st.integers(5, 13)), draw(st.integers(0, 9))
    flavour = draw(st.sampled_from(FLAVOURS))
    portable = flavour == "tensorrt-rtx" and draw(st.booleans())
    return PlanKey(
        flavour=flavour,
        version=".".join(str(n) for n in draw(st.lists(st.integers(0, 200), min_size=2))),
        compute_capability=None if portable else f"{major}.{minor}",
        precision=draw(st.sampled_from(["fp32", "fp16", "int8", "mixed"])),
        min_batch=largest if fixed else smallest,
        max_batch=largest,
        fixed_batch=fixed,
        model_hash=draw(st.text("0123456789abcdef", min_size=8, max_size=8)),
        dla_core=draw(st.none() | st.integers(0, 3)) if flavour == "tensorrt" else None,
    )


@given(keys())
def test_text_and_back(key):
    assert PlanKey.parse(str(key)) == key


@given(keys(), keys())
def test_different_keys_have_different_names(one, other):
    assert (str(one) == str(other)) == (one == other)


@given(keys())
def test_a_key_is_a_plain_file_name(key):
    assert set(str(key)) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")


@given(keys())
def test_a_plan_serves_its_own_key(key):
    assert key.serves(key)
    assert key.serves(replace(key, compute_capability=key.compute_capability or "8.6"))


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (ORIN, "trt-10.3.0-sm87-fp16-b1-4-0a1b2c3d"),
        (PORTABLE, "trtrtx-1.7.1.116-any-fp16-b1-4-0a1b2c3d"),
        (
            replace(ORIN, compute_capability="11.0", min_batch=2, max_batch=2, fixed_batch=True),
            "trt-10.3.0-sm110-fp16-b2-0a1b2c3d",
        ),
        (
            replace(ORIN, precision="mixed", max_batch=1, dla_core=1),
            "trt-10.3.0-sm87-dla1-mixed-b1-1-0a1b2c3d",
        ),
    ],
)
def test_written_out(key, text):
    assert str(key) == text
    assert PlanKey.parse(text) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "model",
        "trt-10.3.0-sm87-fp16-b1-4",
        "trt-10.3.0-sm87-fp16-b4-1-0a1b2c3d",
        "trt-10.3.0-any-fp16-b1-4-0a1b2c3d",
        "trt-10.3.0-sm87-fp16-b0-0a1b2c3d",
        "trt-10.3.0-sm87-fp16-b1-4-0a1b2c3d.plan",
        "trt-../../x-sm87-fp16-b1-4-0a1b2c3d",
        "trt-10.3.0-sm87-fp16-b1-4-0A1B2C3D",
        "nvcaffe-10.3.0-sm87-fp16-b1-4-0a1b2c3d",
        "trt-10.3.0-sm87-fp8-b1-4-0a1b2c3d",
        "trt-10.3.0-sm87-dla1-b1-4-0a1b2c3d",
        "trtrtx-1.7.1.116-sm86-dla0-fp16-b1-4-0a1b2c3d",
    ],
)
def test_what_is_no_key(text):
    with pytest.raises(EngineError, match="is no plan key"):
        PlanKey.parse(text)


@pytest.mark.parametrize(
    "change",
    [
        {"version": "10.3.1"},
        {"compute_capability": "8.6"},
        {"precision": "fp32"},
        {"precision": "mixed"},
        {"dla_core": 0},
        {"model_hash": "00000000"},
        {"max_batch": 8},
        {"flavour": "tensorrt-rtx"},
    ],
)
def test_a_plan_serves_nothing_else(change):
    assert not ORIN.serves(replace(ORIN, **change))


def test_a_larger_range_and_a_fixed_batch_serve():
    assert ORIN.serves(replace(ORIN, max_batch=2))
    assert not replace(ORIN, min_batch=2).serves(ORIN)
    fixed = replace(ORIN, min_batch=1, max_batch=1, fixed_batch=True)
    assert fixed.serves(ORIN)


def test_a_plan_for_a_dla_serves_whoever_asks_for_no_core():
    """It has one batch, so larger ones are run in pieces; larger than asked for it cannot."""
    dla = replace(ORIN, max_batch=1, dla_core=0)
    assert dla.serves(ORIN)
    assert dla.serves(replace(ORIN, dla_core=0))
    assert not dla.serves(replace(ORIN, dla_core=1))
    assert not replace(dla, min_batch=4, max_batch=4).serves(ORIN)


@pytest.mark.parametrize(("gpu", "runs"), [("7.5", False), ("8.0", True), ("12.0", True)])
def test_portable_plans_start_at_ampere(gpu, runs):
    assert PORTABLE.serves(replace(PORTABLE, compute_capability=gpu)) is runs


@pytest.mark.parametrize(("low", "high", "fixed"), [(0, 1, False), (3, 2, False), (1, 2, True)])
def test_batches_that_cannot_be(low, high, fixed):
    with pytest.raises(ValueError, match="batch"):
        replace(ORIN, min_batch=low, max_batch=high, fixed_batch=fixed)


def test_short_hash_is_the_first_eight_digits():
    assert short_hash("0a1b2c3d" + "f" * 56) == "0a1b2c3d"
