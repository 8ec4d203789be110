"""Inputs of every family: what shapes give away, what the graph does, what NumPy says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from made_models import probe, probe_scores, save
from onnx import helper

from edgevid.convert.graph import SCORES, bake
from edgevid.convert.journal import Journal
from edgevid.convert.load import load
from edgevid.convert.parity import prepare
from edgevid.convert.picture_shapes import check_inputs
from edgevid.convert.session import Session
from edgevid.convert.spec_file import read_spec
from edgevid.convert.spec_infer import Pictures, infer_inputs
from edgevid.convert.states import infer_states
from edgevid.errors import SpecError
from edgevid.spec import ClipSpec, InputSpec, OutputSpec, Spec, parse

RNG = np.random.default_rng(5)
SIZE = (20, 24)


def contract(num_frames: int, *inputs: dict[str, Any]) -> Spec:
    made = tuple(InputSpec(**{"name": "x", "size": SIZE, **fields}) for fields in inputs)
    clip = ClipSpec(num_frames=num_frames, fps=10)
    output = OutputSpec(name="probs", kind="probabilities")
    return Spec(labels=("a", "b", "c", "d"), clip=clip, inputs=made, outputs=(output,))


def frames_first(x: Any) -> Any:
    """`(T, H, W, C)` to `(T, C, H, W)`."""
    return x.transpose(0, 3, 1, 2)


def stacked_by_frame(x: Any) -> Any:
    return np.concatenate(list(frames_first(x)))


def stacked_by_channel(x: Any) -> Any:
    return np.stack([x[t, ..., c] for c in range(x.shape[-1]) for t in range(len(x))])


CASES = {
    "early fusion by frame": ({"layout": "N(TC)HW"}, stacked_by_frame),
    "early fusion by channel": ({"layout": "N(CT)HW"}, stacked_by_channel),
    "differences": ({"layout": "NCTHW"}, lambda x: x.transpose(3, 0, 1, 2)),
    "differences stacked": ({"layout": "N(TC)HW"}, stacked_by_frame),
    "flow stack": ({"layout": "N(TC)HW"}, stacked_by_frame),
    "flow clip": ({"layout": "NTCHW"}, frames_first),
    "flow clip, channels first": ({"layout": "NCTHW"}, lambda x: x.transpose(3, 0, 1, 2)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_graph_makes_the_input_as_numpy_does(tmp_path: Path, case: str) -> None:
    fields, arrange = CASES[case]
    modality = "flow" if "flow" in case else "rgb_diff" if "diff" in case else "rgb"
    channels = 2 if modality == "flow" else 3
    mean, std = (0.1, 0.3, 0.2)[:channels], (0.5, 0.7, 0.6)[:channels]
    arithmetic = {"scale": 1 / 64, "mean": mean, "std": std, "modality": modality}
    spec = contract(5, {**fields, **arithmetic})
    [tensor] = spec.inputs
    bytes_ = RNG.integers(0, 256, tensor.feed_shape(5)).astype(np.uint8)

    values = bytes_.astype("f8")
    values = values * 40 / 255 - 20 if modality == "flow" else values[..., ::-1]
    if modality == "rgb_diff":
        values = np.stack([values[t + 1] - values[t] for t in range(4)])
    expected = arrange((values / 64 - mean) / std)[np.newaxis]
    assert expected.shape[1:] == tensor.model_shape(5)
    np.testing.assert_allclose(prepare(bytes_[np.newaxis], tensor, "float64"), expected, atol=1e-12)

    path = probe(tmp_path / "m.onnx", {"x": tensor.model_shape(5)})
    baked = bake(load(path, Journal()).proto, spec)
    onnx.checker.check_model(baked, full_check=True)
    for batch in (1, 3):
        feeds = {"x": np.repeat(bytes_[np.newaxis], batch, axis=0)}
        scores = Session(baked).run(feeds)[SCORES]
        assert scores.shape == (batch, 4)
        assert scores[-1] == pytest.approx(probe_scores(path, {"x": expected}), abs=1e-5)


def test_one_difference_needs_no_time_axis(tmp_path: Path) -> None:
    spec = contract(2, {"layout": "NCHW", "modality": "rgb_diff"})
    pair = RNG.integers(0, 256, (1, 2, *SIZE, 3)).astype(np.uint8)
    path = probe(tmp_path / "m.onnx", {"x": (3, *SIZE)}, gain=0.05)
    expected = np.diff(pair.astype("f8"), axis=1)[:, 0, ..., ::-1].transpose(0, 3, 1, 2)
    scores = Session(bake(load(path, Journal()).proto, spec)).run({"x": pair})[SCORES]
    assert scores[0] == pytest.approx(probe_scores(path, {"x": expected}), abs=1e-4)
    assert prepare(pair, spec.inputs[0], "float64") == pytest.approx(expected)


def infer(path: Path, spec: dict[str, Any] | None = None) -> tuple[Pictures, Journal]:
    journal = Journal()
    model = load(path, journal)
    user = read_spec(spec, labels=None, preset=None)
    assert infer_states(model, user) == ()
    check_inputs(model)
    return infer_inputs(model, user, journal), journal


def test_stacked_frames_are_asked_about_and_the_line_mends_it(tmp_path: Path) -> None:
    path = probe(tmp_path / "m.onnx", {"x": (15, *SIZE)})
    asked = r"\[\?, 15, 20, 24\] can be N\(TC\)HW or N\(CT\)HW: 5 frames .* layout = \"N\(TC\)HW\""
    with pytest.raises(SpecError, match=asked):
        infer(path)
    pictures, _ = infer(path, {"inputs": [{"layout": "N(TC)HW"}]})
    assert pictures.clip.num_frames == 5
    assert pictures.inputs[0].model_shape(5) == (15, *SIZE)
    pictures, _ = infer(path, {"inputs": [{"layout": "N(TC)HW", "modality": "rgb_diff"}]})
    assert pictures.clip.num_frames == 6


def test_a_stack_that_may_be_frames_or_flow_is_asked_about(tmp_path: Path) -> None:
    path = probe(tmp_path / "m.onnx", {"x": (12, *SIZE)})
    with pytest.raises(SpecError, match='or, of optical flow: modality = "flow"'):
        infer(path)
    pictures, journal = infer(path, {"inputs": [{"modality": "flow"}]})
    assert pictures.clip.num_frames == 7
    assert "x before y" in journal.assumptions[0]


def test_a_stack_with_more_channels_than_pixels_is_a_picture_that_nobody_knows(
    tmp_path: Path,
) -> None:
    with pytest.raises(SpecError, match=r"nothing tells what input 'x' .* layout = one of NCHW"):
        infer(probe(tmp_path / "m.onnx", {"x": (30, *SIZE)}))


@pytest.mark.parametrize(
    ("shape", "layout", "frames"),
    [
        ((10, *SIZE), "N(TC)HW", 6),
        ((2, *SIZE), "NCHW", 2),
        ((2, 8, *SIZE), "NCTHW", 9),
        ((8, 2, *SIZE), "NTCHW", 9),
        ((8, *SIZE, 2), "NTHWC", 9),
    ],
)
def test_flow_is_known_by_its_channels(
    tmp_path: Path, shape: tuple[int, ...], layout: str, frames: int
) -> None:
    pictures, journal = infer(probe(tmp_path / "m.onnx", {"x": shape}))
    [tensor] = pictures.inputs
    assert (tensor.modality, tensor.layout) == ("flow", layout)
    assert (tensor.mean, tensor.scale, tensor.flow_method) == ((0.0, 0.0), 1 / 20, "dis-fast")
    assert pictures.clip.num_frames == frames
    assert not any("color" in sentence for sentence in journal.assumptions)


def test_two_frames_of_colour_are_still_no_flow(tmp_path: Path) -> None:
    pictures, _ = infer(probe(tmp_path / "m.onnx", {"x": (2, 3, *SIZE)}))
    assert (pictures.inputs[0].modality, pictures.inputs[0].layout) == ("rgb", "NTCHW")


def test_two_stream_with_as_many_fields_as_frames(tmp_path: Path) -> None:
    path = probe(tmp_path / "m.onnx", {"rgb": (3, 8, *SIZE), "flow": (2, 8, *SIZE)})
    with pytest.raises(SpecError, match=r"does not divide the window's 9.*flow_interval = 1"):
        infer(path)
    said = {"clip": {"fps": 25}, "inputs": [{"name": "flow", "flow_interval": 1}]}
    pictures, _ = infer(path, said)
    assert pictures.clip.num_frames == 8
    assert [i.every for i in pictures.inputs] == [1, 1]


def test_one_frame_beside_a_clip_must_be_said(tmp_path: Path) -> None:
    path = probe(tmp_path / "m.onnx", {"rgb": (3, *SIZE), "flow": (10, *SIZE)})
    with pytest.raises(SpecError, match='frames = "first" or frames = "last"'):
        infer(path)
    pictures, _ = infer(path, {"inputs": [{"name": "rgb", "frames": "first"}]})
    assert pictures.clip.num_frames == 6
    assert [list(i.positions(6)) for i in pictures.inputs] == [[0], [1, 2, 3, 4, 5]]


@pytest.mark.parametrize(
    ("clip", "fields", "message"),
    [
        ({"num_frames": 16}, [{"every": 3}], "every 3 does not divide num_frames 16"),
        ({"num_frames": 9}, [{"every": 3, "modality": "flow"}], "does not divide its 8 flow"),
        ({"num_frames": 1}, [{"frames": "pair"}], 'frames = "pair" needs num_frames of 2'),
        ({"num_frames": 1}, [{"modality": "rgb_diff"}], "needs at least two frames for rgb_diff"),
        ({"num_frames": 1}, [{"modality": "flow"}], "needs at least two frames for flow"),
        (
            {"num_frames": 4, "frame_interval": 2},
            [{"modality": "flow", "flow_interval": 3}],
            "flow_interval 3 is longer than clip.frame_interval 2",
        ),
        (
            {"num_frames": 4, "frame_interval": 4},
            [
                {"name": "a", "modality": "flow", "flow_interval": 1},
                {"name": "b", "modality": "flow", "flow_interval": 2},
            ],
            r"different flow_interval: \[1, 2\]",
        ),
    ],
)
def test_windows_that_cannot_be_cut(
    clip: dict[str, Any], fields: list[dict[str, Any]], message: str
) -> None:
    inputs = tuple(InputSpec(**{"name": "x", "layout": "NTCHW", "size": SIZE, **f}) for f in fields)
    with pytest.raises(SpecError, match=message):
        parse(Pictures, {"clip": ClipSpec(fps=30, **clip), "inputs": inputs}, "spec.toml")


def test_a_buffer_of_stacked_frames_that_comes_back_is_a_state(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Split", ["old"], ["first", "rest"], axis=1, num_outputs=2),
        helper.make_node("Concat", ["rest", "x"], ["new"], axis=1),
        helper.make_node("ReduceMean", ["new", "axes"], ["scores"], keepdims=0),
        helper.make_node("Identity", ["first"], ["unused"]),
    ]
    shape = [1, 6, *SIZE]
    path = save(
        tmp_path / "m.onnx",
        nodes,
        [("x", [1, 3, *SIZE]), ("old", shape)],
        [("scores", [1, 6]), ("new", shape)],
        {"axes": np.array([2, 3])},
        opset=18,
    )
    user = read_spec({}, labels=None, preset=None)
    [state] = infer_states(load(path, Journal()), user)
    assert (state.input, state.output, state.shape) == ("old", "new", tuple(shape))
    # Described as an input it is none.
    said = {"inputs": [{"name": "old", "layout": "N(TC)HW"}]}
    assert infer_states(load(path, Journal()), read_spec(said, labels=None, preset=None)) == ()
