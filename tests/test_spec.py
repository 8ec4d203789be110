"""Validation of the contract: what is refused, and how the refusal reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edgevid.errors import ManifestError, SpecError
from edgevid.spec import ClipSpec, InputSpec, OutputSpec, Spec, check_time_axes, parse

INPUT = {"name": "clip", "layout": "NTCHW", "size": [64, 48]}
SPEC = {
    "labels": ["a", "b"],
    "clip": {"num_frames": 4, "fps": 10},
    "inputs": [INPUT],
    "outputs": [{"name": "probs", "kind": "logits"}],
}


def test_a_spec_with_every_default():
    spec = parse(Spec, SPEC, "spec.toml")
    assert spec.clip == ClipSpec(num_frames=4, sampling="interval", frame_interval=1, fps=10.0)
    [made] = spec.inputs
    assert (made.size, made.resize, made.crop, made.color) == ((64, 48), "stretch", "full", "rgb")
    assert (made.scale, made.mean, made.std, made.every) == (1.0, (0.0,) * 3, (1.0,) * 3, 1)
    assert spec.outputs == (OutputSpec(name="probs", kind="logits"),)


def test_a_spec_cannot_be_changed():
    clip = ClipSpec()
    with pytest.raises(ValidationError):
        clip.num_frames = 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_frames": 0}, "num_frames: .*greater than or equal to 1 .got 0."),
        ({"num_frames": 2.5}, "num_frames: .*got 2.5"),
        ({"num_frames": 16}, "clip.fps is missing"),
        ({"fps": 0}, "fps: .*got 0"),
        ({"fps": -30}, "fps: .*got -30"),
        ({"fps": float("nan")}, "fps: .*finite"),
        ({"fps": float("inf")}, "fps: .*finite|less than"),
        ({"frame_interval": 0}, "frame_interval: "),
        ({"hop_s": 0}, "hop_s: "),
        ({"window_s": 2}, "clip.window_s belongs to `uniform` and `segments`"),
        ({"sampling": "random"}, "sampling: .*got 'random'"),
        ({"stride": 4}, "unknown key 'stride'"),
    ],
)
def test_clips_that_cannot_be(fields, message):
    with pytest.raises(SpecError, match=message) as caught:
        parse(ClipSpec, fields, "spec.toml")
    assert str(caught.value).startswith("spec.toml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "name: "),
        ({"layout": "NCWH"}, "layout: .*got 'NCWH'"),
        ({"size": [0, 5]}, r"size \[0, 5\] must be two positive numbers"),
        ({"size": [5]}, "size"),
        ({"std": [1, 0, 1]}, r"std \[1.0, 0.0, 1.0\] must be positive"),
        ({"scale": 0}, "scale: "),
        ({"short_side": 70}, 'short_side needs resize = "short_side"'),
        ({"crop": "center"}, 'crop = "center" needs resize = "short_side"'),
        ({"resize": "short_side", "short_side": 70}, 'needs crop = "center"'),
        ({"resize": "short_side", "crop": "center"}, "short_side None must be at least 64"),
        (
            {"resize": "short_side", "crop": "center", "short_side": 50},
            "short_side 50 must be at least 64, the longer side",
        ),
        ({"every": 0}, "every: "),
        ({"modality": "sound"}, "modality: "),
        ({"modality": "flow", "mean": [0, 0, 0]}, "mean .* must be 2 numbers, one a channel"),
        ({"modality": "flow", "size": [8, 64]}, "too small for optical flow"),
        ({"flow_interval": 1}, 'flow_interval needs modality = "flow"'),
        ({"crop": "fovea", "resize": "stretch"}, 'crop = "fovea" needs resize = "none"'),
        ({"resize": "none"}, 'resize = "none" needs crop = "fovea"'),
        ({"frames": "pair", "every": 2}, 'every 2 needs frames = "all"'),
    ],
)
def test_inputs_that_cannot_be(fields, message):
    with pytest.raises(SpecError, match=message):
        parse(InputSpec, {**INPUT, **fields}, "spec.toml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": []}, "inputs: "),
        ({"outputs": []}, "outputs: "),
        ({"outputs": [{"name": "x", "kind": "logits"}] * 2}, "outputs: "),
        ({"labels": None}, "labels: "),
        ({"inputs": [INPUT, INPUT]}, "inputs have the same name"),
        ({"inputs": [{**INPUT, "layout": "NCHW"}]}, "layout NCHW without a time axis"),
        ({"inputs": [{**INPUT, "every": 3}]}, "every 3 does not divide num_frames 4"),
        ({"inputs": [{"name": "x"}]}, "'inputs.0.layout' is missing"),
        ({"inputs": {"name": "x"}}, "inputs: Input should be a list "),
        ({"clip": 16}, "clip: Input should be a table of names and values "),
    ],
)
def test_specs_whose_parts_do_not_fit(change, message):
    with pytest.raises(SpecError, match=message):
        parse(Spec, {**SPEC, **change}, "spec.toml")


def test_the_error_s_kind_and_place_are_the_caller_s():
    with pytest.raises(ManifestError, match=r"^here/manifest\.json: unknown key 'x'$"):
        parse(ClipSpec, {"x": 1}, "here/manifest.json", ManifestError)


def test_long_values_are_not_repeated():
    with pytest.raises(SpecError) as caught:
        parse(ClipSpec, {"sampling": "x" * 1000}, "spec.toml")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("data", [None, 3, "text", [], [1], {1: 2}])
def test_what_is_no_table(data):
    with pytest.raises(SpecError, match=r"^spec\.toml: "):
        parse(Spec, data, "spec.toml")


def test_period_of_each_sampling():
    assert ClipSpec(num_frames=8, fps=30, frame_interval=6).period_s == pytest.approx(0.2)
    assert ClipSpec().period_s is None
    uniform = ClipSpec(num_frames=8, sampling="uniform", window_s=4)
    assert uniform.period_s == pytest.approx(0.5)
    assert ClipSpec(num_frames=8, sampling="segments").period_s == pytest.approx(0.25)


@given(st.integers(1, 64), st.integers(1, 64))
def test_a_pathway_must_divide_the_window(num_frames, every):
    clip = ClipSpec(num_frames=num_frames, fps=30)
    spec = InputSpec(name="x", layout="NCTHW", size=(8, 8), every=every)
    if num_frames % every:
        with pytest.raises(ValueError, match="does not divide"):
            check_time_axes(clip, (spec,))
    else:
        check_time_axes(clip, (spec,))


_KEYS = st.sampled_from(["num_frames", "fps", "hop_s", "sampling", "frame_interval", "other"])
_VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just([1])


@given(st.dictionaries(_KEYS, _VALUES))
def test_any_table_is_a_contract_or_one_clear_line(data):
    message = "spec.toml: fine"
    try:
        clip = parse(ClipSpec, data, "spec.toml")
        assert ClipSpec.model_validate(clip.model_dump()) == clip
    except SpecError as exc:
        message = str(exc)
    assert message.startswith("spec.toml: ")
    assert len(message.splitlines()) == 1
