"""What the shapes say, what the user says, and what is assumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_models import classifier, save
from onnx import TensorProto, helper

from edgevid.convert.journal import Journal
from edgevid.convert.load import load
from edgevid.convert.picture_shapes import check_inputs
from edgevid.convert.spec_file import read_spec
from edgevid.convert.spec_infer import Pictures, infer_inputs
from edgevid.errors import EdgevidError, ModelError, SpecError


def infer(
    path: Path, spec: dict[str, Any] | None = None, preset: str | None = None
) -> tuple[Pictures, Journal]:
    journal = Journal()
    model = load(path, journal)
    check_inputs(model)
    pictures = infer_inputs(model, read_spec(spec, labels=None, preset=preset), journal)
    return pictures, journal


def stub(path: Path, *shapes: list[Any], elem_type: int = TensorProto.FLOAT) -> Path:
    """A model of inputs x0, x1... of any shape, which averages them."""
    nodes, names = [], []
    for i, _ in enumerate(shapes):
        nodes += [
            helper.make_node("Cast", [f"x{i}"], [f"f{i}"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", [f"f{i}"], [f"m{i}"], keepdims=0),
        ]
        names.append(f"m{i}")
    nodes.append(helper.make_node("Sum", names, ["y"]))
    inputs = [(f"x{i}", shape, elem_type) for i, shape in enumerate(shapes)]
    return save(path, nodes, inputs, [("y", [])])


@pytest.mark.parametrize(
    ("shape", "layout", "size", "frames"),
    [
        (["N", 3, 224, 200], "NCHW", (224, 200), 1),
        ([1, 224, 200, 3], "NHWC", (224, 200), 1),
        ([1, 3, 16, 112, 96], "NCTHW", (112, 96), 16),
        (["N", 16, 3, 112, 96], "NTCHW", (112, 96), 16),
        ([1, 16, 112, 96, 3], "NTHWC", (112, 96), 16),
        # Three frames of pictures that would be 3 pixels wide otherwise.
        ([1, 3, 224, 200, 3], "NTHWC", (224, 200), 3),
    ],
)
def test_layouts_from_shapes(
    tmp_path: Path, shape: list[Any], layout: str, size: tuple[int, int], frames: int
) -> None:
    pictures, _ = infer(stub(tmp_path / "m.onnx", shape))
    assert pictures.inputs[0].layout == layout
    assert pictures.inputs[0].size == size
    assert pictures.clip.num_frames == frames


@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        (["N", 3, 3, 64, 64], SpecError, r'NCTHW or NTCHW.* layout = "NCTHW"'),
        (["N", "c", "h", "w"], SpecError, r"\[\?, \?, \?, \?\] can be NCHW or NHWC"),
        (["N", 3, "h", "w"], SpecError, r"under \[\[inputs\]\]: size = \[224, 224\]"),
        (["N", 3, "t", 64, 64], SpecError, r"under \[clip\]: num_frames = 16"),
        (["N", 1, 64, 64], ModelError, "no batch of colour pictures"),
        ([1, 40], ModelError, r"shape \[1, 40\]"),
        ([4, 3, 64, 64], ModelError, "fixed batch of 4"),
    ],
)
def test_shapes_that_say_too_little(
    tmp_path: Path, shape: list[Any], error: type[EdgevidError], message: str
) -> None:
    with pytest.raises(error, match=message):
        infer(stub(tmp_path / "m.onnx", shape))


def test_the_lines_that_the_errors_ask_for_mend_them(tmp_path: Path) -> None:
    path = stub(tmp_path / "m.onnx", ["N", "a", "b", "c", "d"])
    spec = {"clip": {"num_frames": 6}, "inputs": [{"layout": "NTCHW", "size": [48, 64]}]}
    pictures, _ = infer(path, spec)
    assert pictures.inputs[0].layout == "NTCHW"
    assert pictures.inputs[0].size == (48, 64)
    assert pictures.clip.num_frames == 6


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"inputs": [{"size": [100, 32]}]}, r"height 100 does not fit .*\[\?, 3, 4, 24, 32\]"),
        ({"clip": {"num_frames": 8}}, r"number of frames 8 does not fit"),
        ({"inputs": [{"layout": "NTHWC"}]}, r"channels 3 does not fit"),
        ({"inputs": [{"layout": "NHWC"}]}, r"layout 'NHWC' does not fit"),
        ({"inputs": [{"name": "video"}]}, r"none called 'video'.*It has: clip"),
        ({"inputs": [{"name": "clip"}, {"name": "clip"}]}, "described twice"),
        ({"inputs": [{"colour": "bgr"}]}, r"unknown key 'inputs\.0\.colour'"),
        ({"inputs": [{"color": "blue"}]}, r"inputs\.0\.color.*'blue'"),
        ({"inputs": [{"scale": -1}]}, r"inputs\.0\.scale"),
        ({"inputs": [{"size": "big"}]}, r"inputs\.0\.size"),
        ({"inputs": [{"every": "x"}]}, r"inputs\.0\.every"),
        ({"clip": {"num_frames": "four"}}, r"clip\.num_frames"),
        ({"clip": {"frame_rate": 30}}, r"unknown key 'clip\.frame_rate'"),
        ({"clip": {"sampling": "interval"}}, r"clip\.fps is missing"),
    ],
)
def test_a_spec_that_cannot_be_right_names_the_field(
    tmp_path: Path, spec: dict[str, Any], message: str
) -> None:
    path = classifier(tmp_path / "m.onnx", "NCTHW")
    with pytest.raises(SpecError, match=message):
        infer(path, spec)


def test_assumptions_are_sentences_that_say_how_to_say_otherwise(tmp_path: Path) -> None:
    pictures, journal = infer(classifier(tmp_path / "m.onnx", "NCTHW", frames=16))
    clip = pictures.clip
    assert (clip.sampling, clip.frame_interval, clip.fps) == ("interval", 2, 30.0)
    assert clip.hop_s == pytest.approx(16 * 2 / 30 / 2)
    assert pictures.inputs[0].mean == (0.43216, 0.394666, 0.37645)  # kinetics
    assert len(journal.assumptions) == 2
    assert "every 2nd of a video at 30 frames" in journal.assumptions[0]
    assert "'kinetics'" in journal.assumptions[1]
    assert all("Say otherwise" in text for text in journal.assumptions)


def test_pictures_are_assumed_to_be_imagenets_and_bytes_to_be_raw(tmp_path: Path) -> None:
    pictures, journal = infer(classifier(tmp_path / "a.onnx"))
    assert pictures.inputs[0].mean == (0.485, 0.456, 0.406)
    assert pictures.inputs[0].short_side == 32  # never shorter than the longer side of size
    assert pictures.clip.num_frames == 1
    assert len(journal.assumptions) == 1
    pictures, _ = infer(classifier(tmp_path / "b.onnx", "NHWC", elem_type=TensorProto.UINT8))
    assert (pictures.inputs[0].scale, pictures.inputs[0].resize) == (1.0, "stretch")


def test_a_full_spec_leaves_nothing_to_assume(tmp_path: Path) -> None:
    spec = {
        "clip": {"sampling": "uniform"},
        "inputs": [{"color": "bgr", "scale": 1 / 255, "resize": "stretch"}],
    }
    pictures, journal = infer(classifier(tmp_path / "m.onnx", "NTCHW"), spec)
    assert journal.assumptions == []
    assert pictures.inputs[0].mean == (0.0, 0.0, 0.0)
    assert pictures.inputs[0].std == (1.0, 1.0, 1.0)
    assert pictures.inputs[0].short_side is None


def test_a_named_preset_gives_way_field_by_field(tmp_path: Path) -> None:
    spec = {"preset": "imagenet", "inputs": [{"mean": [0.5, 0.5, 0.5], "resize": "stretch"}]}
    pictures, journal = infer(classifier(tmp_path / "m.onnx"), spec)
    found = pictures.inputs[0]
    assert (found.mean, found.std) == ((0.5, 0.5, 0.5), (0.229, 0.224, 0.225))
    assert (found.resize, found.short_side, found.crop) == ("stretch", None, "full")
    assert journal.assumptions == []


def test_the_preset_argument_beats_the_specs(tmp_path: Path) -> None:
    pictures, _ = infer(classifier(tmp_path / "m.onnx"), {"preset": "imagenet"}, preset="unit")
    assert pictures.inputs[0].scale == pytest.approx(1 / 255)
    assert pictures.inputs[0].mean == (0.0, 0.0, 0.0)


def test_an_unknown_preset_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"unknown preset 'imagnet'.*imagenet"):
        infer(classifier(tmp_path / "m.onnx"), preset="imagnet")


def test_bytes_take_no_arithmetic(tmp_path: Path) -> None:
    path = classifier(tmp_path / "m.onnx", elem_type=TensorProto.UINT8)
    with pytest.raises(SpecError, match="takes uint8 pixels"):
        infer(path, {"inputs": [{"scale": 1 / 255}]})


def test_a_slow_pathway_takes_every_eighth_frame(tmp_path: Path) -> None:
    path = stub(tmp_path / "m.onnx", ["N", 3, 4, 64, 64], ["N", 3, 32, 64, 64])
    pictures, _ = infer(path)
    assert pictures.clip.num_frames == 32
    assert [i.every for i in pictures.inputs] == [8, 1]


def test_a_spec_of_two_inputs_needs_names(tmp_path: Path) -> None:
    path = stub(tmp_path / "m.onnx", ["N", 3, 4, 64, 64], ["N", 3, 32, 64, 64])
    with pytest.raises(SpecError, match=r"'name' is missing.*x0, x1"):
        infer(path, {"inputs": [{"color": "bgr"}]})
    pictures, _ = infer(path, {"inputs": [{"name": "x1", "color": "bgr"}]})
    assert [i.color for i in pictures.inputs] == ["rgb", "bgr"]
