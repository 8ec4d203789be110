"""States of streaming models: found, refused, baked, and kept away from lower precision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from made_models import save
from onnx import TensorProto, helper

from edgevid.convert import convert
from edgevid.convert.graph import bake, carried_states
from edgevid.convert.half import name_nodes
from edgevid.convert.journal import Journal
from edgevid.convert.load import load
from edgevid.convert.quantize.graph_view import GraphView
from edgevid.convert.quantize.ranges import collect_ranges
from edgevid.convert.recurrence import carrying_nodes
from edgevid.convert.session import Session
from edgevid.convert.spec_file import read_spec
from edgevid.convert.states import infer_states
from edgevid.errors import SpecError
from edgevid.manifest import Bundle
from edgevid.spec import ClipSpec, InputSpec, OutputSpec, Spec, StateSpec

INT = TensorProto.INT32


def summing(path: Path, batch: int | str = 1, *, growth: float = 1.0) -> Path:
    """Scores are the mean of the pictures' mean colours so far: a sum and a counter as states."""
    nodes = [
        helper.make_node("ReduceMean", ["picture"], ["colours"], axes=[2, 3], keepdims=0),
        helper.make_node("Mul", ["colours", "growth"], ["grown"]),
        helper.make_node("Add", ["sum_in", "grown"], ["sum_out"]),
        helper.make_node("Add", ["count_in", "one"], ["count_out"]),
        helper.make_node("Cast", ["count_out"], ["frames"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["sum_out", "frames"], ["mean"]),
        helper.make_node("Gemm", ["mean", "dense"], ["logits"]),
    ]
    weights = {
        "one": np.ones(1, np.int32),
        "growth": np.float32(growth),
        "dense": (np.random.default_rng(3).normal(0, 2 / growth, (3, 3))).astype(np.float32),
    }
    inputs = [("count_in", [1], INT), ("picture", [batch, 3, 8, 8]), ("sum_in", [batch, 3])]
    outputs = [("sum_out", [batch, 3]), ("logits", [batch, 3]), ("count_out", [1], INT)]
    return save(path, nodes, inputs, outputs, weights)


SPEC: dict[str, Any] = {
    "preset": "unit",
    "clip": {"fps": 10.0},
    "outputs": [{"name": "logits", "kind": "logits"}],
}


def states_of(path: Path, spec: dict[str, Any] | None = None) -> dict[str, StateSpec]:
    user = read_spec(spec or SPEC, labels=None, preset=None)
    return {s.input: s for s in infer_states(load(path, Journal()), user)}


def carrier(path: Path, *pairs: tuple[str, str, list[Any]], **types: int) -> Path:
    """A picture's mean, and states that come back as they are."""
    nodes = [helper.make_node("ReduceMean", ["picture"], ["scores_out"], axes=[2, 3], keepdims=0)]
    nodes += [helper.make_node("Identity", [i], [o]) for i, o, _ in pairs]
    inputs: list[Any] = [("picture", [1, 3, 8, 8])]
    inputs += [(i, shape, types.get(i, TensorProto.FLOAT)) for i, _, shape in pairs]
    outputs: list[Any] = [("scores_out", [1, 3])]
    outputs += [(o, shape, types.get(i, TensorProto.FLOAT)) for i, o, shape in pairs]
    return save(path, nodes, inputs, outputs)


def test_types_and_shapes_pair_where_they_leave_one_way(tmp_path: Path) -> None:
    found = states_of(summing(tmp_path / "m.onnx", "batch"))
    assert {k: s.output for k, s in found.items()} == {
        "count_in": "count_out",
        "sum_in": "sum_out",
    }
    assert found["sum_in"].shape == (1, 3)
    assert found["count_in"].dtype == "int32"


@pytest.mark.parametrize(
    "names",
    [
        [("h_in", "h_out"), ("c_in", "c_out")],
        [("h0", "hn"), ("c0", "cn")],
        [("prev_h", "next_h"), ("prev_c", "next_c")],
        [("state.0.old", "state.0.new"), ("state.1.old", "state.1.new")],
    ],
)
def test_names_pair_states_of_one_shape(tmp_path: Path, names: list[tuple[str, str]]) -> None:
    path = carrier(tmp_path / "m.onnx", *((i, o, [2, "n", 16]) for i, o in names))
    found = states_of(path, {"outputs": [{"name": "scores_out"}]})
    assert {k: s.output for k, s in found.items()} == dict(names)
    assert all(s.shape == (2, 1, 16) for s in found.values())


@pytest.mark.parametrize("channels", [2, 3])
def test_a_buffer_that_looks_like_a_picture_pairs_by_its_name(
    tmp_path: Path, channels: int
) -> None:
    path = carrier(tmp_path / "m.onnx", ("shift_in", "shift_out", ["n", channels, 8, 8]))
    assert [*states_of(path)] == ["shift_in"]


def test_states_that_could_pair_otherwise_are_named(tmp_path: Path) -> None:
    path = carrier(tmp_path / "m.onnx", ("a", "x", [1, 4]), ("b", "y", [1, 4]))
    with pytest.raises(SpecError, match=r"2 input\(s\).*'a' \(float32 \[1, 4\]\), 'b'.*states"):
        states_of(path)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ({"input": "sum_in", "output": "count_out"}, r"'sum_in' \(float32.*not go with 'count_"),
        ({"input": "sum", "output": "sum_out"}, "no input 'sum'.*count_in"),
        ({"input": "sum_in", "output": "sums"}, "no output 'sums'"),
        ({"input": "sum_in"}, "'states.0.output' is missing"),
        ({"input": "sum_in", "output": "sum_out", "init": "ones"}, "states.0.init"),
    ],
)
def test_wrong_pairs_are_one_line(tmp_path: Path, pair: dict[str, str], message: str) -> None:
    path = summing(tmp_path / "m.onnx")
    with pytest.raises(SpecError, match=message):
        states_of(path, {**SPEC, "states": [pair]})


def test_a_pair_said_twice_is_refused(tmp_path: Path) -> None:
    path = summing(tmp_path / "m.onnx")
    pair = {"input": "sum_in", "output": "sum_out"}
    with pytest.raises(SpecError, match="input 'sum_in' is paired twice"):
        states_of(path, {**SPEC, "states": [pair, pair]})


def test_an_input_left_out_of_the_pairs_is_refused(tmp_path: Path) -> None:
    path = summing(tmp_path / "m.onnx")
    spec = {**SPEC, "states": [{"input": "sum_in", "output": "sum_out"}]}
    with pytest.raises(SpecError, match=r"'count_in' \(int32 \[1\]\) is neither a picture"):
        convert(path, tmp_path / "b.edgevid", spec=spec)
    assert not (tmp_path / "b.edgevid").exists()


def test_a_states_file_names_pairs_and_scores(tmp_path: Path) -> None:
    content = {
        "logits": "logits",
        "states": [{"input": "sum_in", "output": "sum_out"}],
    }
    (tmp_path / "states.json").write_text(json.dumps(content))
    (tmp_path / "spec.toml").write_text('states = "states.json"')
    user = read_spec(tmp_path / "spec.toml", labels=None, preset=None)
    assert user.states == ({"input": "sum_in", "output": "sum_out"},)
    assert user.outputs == ({"name": "logits", "kind": "logits"},)
    (tmp_path / "states.json").write_text('{"pairs": []}')
    with pytest.raises(SpecError, match="unknown key 'pairs'"):
        read_spec(tmp_path / "spec.toml", labels=None, preset=None)
    (tmp_path / "states.json").unlink()
    with pytest.raises(SpecError, match=r"no such file: .*states\.json"):
        read_spec(tmp_path / "spec.toml", labels=None, preset=None)


def test_movinet_pairs_by_its_file(shared: Path) -> None:
    folder = shared / "models" / "movinet-a0-stream"
    found = states_of(folder / "model.onnx", {"states": str(folder / "states.json")})
    assert len(found) == 43
    assert sum(s.dtype == "int32" for s in found.values()) == 16
    with pytest.raises(SpecError, match=r"input\(s\) that are no pictures.*states.json"):
        infer_states(
            load(folder / "model.onnx", Journal()), read_spec({}, labels=None, preset=None)
        )


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        ({"sampling": "uniform"}, "sees a video frame by frame"),
        ({"fps": 10.0, "hop_s": 0.5}, "takes every frame once"),
    ],
)
def test_a_contract_that_skips_frames_is_refused(
    tmp_path: Path, clip: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        convert(summing(tmp_path / "m.onnx"), tmp_path / "b.edgevid", spec={**SPEC, "clip": clip})


def baked(path: Path) -> onnx.ModelProto:
    states = tuple(states_of(path).values())
    picture = InputSpec(name="picture", layout="NCHW", size=(8, 8), scale=1 / 255)
    output = OutputSpec(name="logits", kind="logits")
    spec = Spec(
        labels=("r", "g", "b"),
        clip=ClipSpec(fps=10.0),
        inputs=(picture,),
        outputs=(output,),
        states=states,
    )
    return name_nodes(bake(onnx.load(str(path)), spec))


def test_a_session_carries_the_states_from_step_to_step(tmp_path: Path) -> None:
    graph = baked(summing(tmp_path / "m.onnx"))
    assert [o.name for o in graph.graph.output] == ["scores", "count_out", "sum_out"]
    frames = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    steps = list(Session(graph).run_steps({"picture": frames}))
    assert [int(step["count_out"][0]) for step in steps] == [1, 2, 3, 4, 5]
    sums = (frames[..., ::-1].mean(axis=(1, 2)) / 255).cumsum(axis=0)
    np.testing.assert_allclose(np.concatenate([s["sum_out"] for s in steps]), sums, atol=1e-5)
    again = list(Session(graph).run_steps({"picture": frames[:1]}))
    assert int(again[0]["count_out"][0]) == 1


def test_ranges_see_every_step(tmp_path: Path) -> None:
    graph = baked(summing(tmp_path / "m.onnx"))
    frames = np.zeros((3, 8, 8, 3), np.uint8)
    frames[1] = 255
    ranges = collect_ranges(graph, ["mean", "sum_out"], [{"picture": frames}], "minmax")
    # Means: 0, 1/2, 1/3; without the states carried the second would be 1.
    assert ranges["mean"].amax == pytest.approx(0.5)
    assert ranges["sum_out"].amax == pytest.approx(1.0)


def test_a_state_that_becomes_nan_stops_the_run(tmp_path: Path) -> None:
    graph = baked(summing(tmp_path / "m.onnx", growth=3e38))
    frames = np.full((3, 8, 8, 3), 255, np.uint8)
    with pytest.raises(RuntimeError, match="a state is NaN or infinite after step 2"):
        list(Session(graph).run_steps({"picture": frames}))


def test_what_carries_a_growing_state_stays_in_fp32(tmp_path: Path) -> None:
    graph = baked(summing(tmp_path / "m.onnx"))
    kept = carrying_nodes(graph)
    operators = {n.name: n.op_type for n in graph.graph.node}
    assert sorted(operators[name] for name in kept) == ["Add", "Add", "Cast", "Div"]
    assert not GraphView(graph).is_activation("sum_in")


def test_fp16_counts_and_sums_as_well_after_an_hour(tmp_path: Path) -> None:
    path = summing(tmp_path / "m.onnx", growth=100.0)
    convert(path, tmp_path / "b.edgevid", spec=SPEC, precision="fp16", target="onnx")
    bundle = Bundle.load(tmp_path / "b.edgevid")
    graph = onnx.load(str(bundle.file("model")))
    elem_types = {v.name: v.type.tensor_type.elem_type for v in graph.graph.input}
    assert elem_types["sum_in"] == TensorProto.FLOAT
    assert elem_types["count_in"] == INT
    assert any(i.data_type == TensorProto.FLOAT16 for i in graph.graph.initializer)
    # An hour of white frames at 20 a second: beyond what FP16 holds as a sum or a count.
    feeds = {
        "picture": np.full((1, 8, 8, 3), 255, np.uint8),
        "sum_in": np.full((1, 3), 72e5, np.float32),
        "count_in": np.array([72000], np.int32),
    }
    fresh = {"sum_in": np.zeros((1, 3), np.float32), "count_in": np.zeros(1, np.int32)}
    session = Session(graph)
    late = session.run(feeds)
    assert int(late["count_out"][0]) == 72001
    np.testing.assert_allclose(late["scores"], session.run({**feeds, **fresh})["scores"], atol=5e-3)


def test_a_bundle_keeps_the_states_and_a_batch_of_one(tmp_path: Path) -> None:
    path = summing(tmp_path / "m.onnx", "batch")
    result = convert(path, tmp_path / "b.edgevid", spec=SPEC, target="onnx")
    manifest = Bundle.load(result.bundle).manifest
    assert {s.input for s in manifest.states} == {"sum_in", "count_in"}
    assert not result.report.dynamic_batch
    assert "2 runs of 16 steps" in result.report.parity.frames_from
    assert result.report.parity.max_abs_diff < 1e-5
    graph = onnx.load(str(result.bundle / "model.onnx"))
    assert {s.input for s in carried_states(graph)} == {"sum_in", "count_in"}


def lstm(path: Path) -> Path:
    """Mean colours of 4 frames through an LSTM whose h and c are states; the batch is open."""
    rng = np.random.default_rng(5)
    nodes = [
        helper.make_node("ReduceMean", ["clip"], ["colours"], axes=[3, 4], keepdims=0),
        helper.make_node("Transpose", ["colours"], ["sequence"], perm=[1, 0, 2]),
        helper.make_node(
            "LSTM",
            ["sequence", "w", "r", "", "", "h0", "c0"],
            ["", "hn", "cn"],
            hidden_size=16,
        ),
        helper.make_node("Squeeze", ["hn", "first"], ["last"]),
        helper.make_node("Gemm", ["last", "dense"], ["logits"]),
    ]
    weights = {
        "w": rng.normal(0, 2, (1, 64, 3)).astype(np.float32),
        "r": rng.normal(0, 0.5, (1, 64, 16)).astype(np.float32),
        "dense": rng.normal(0, 2, (16, 3)).astype(np.float32),
        "first": np.array([0], np.int64),
    }
    state = [1, "batch", 16]
    inputs = [("clip", ["batch", 4, 3, 8, 8]), ("h0", state), ("c0", state)]
    outputs = [("logits", ["batch", 3]), ("hn", state), ("cn", state)]
    return save(path, nodes, inputs, outputs, weights)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_lstm_hands_h_and_c_on_between_windows_that_do_not_overlap(
    tmp_path: Path, precision: Any
) -> None:
    spec = {**SPEC, "clip": {"fps": 8.0}, "inputs": [{"layout": "NTCHW"}]}
    path = lstm(tmp_path / "m.onnx")
    result = convert(path, tmp_path / "b.edgevid", spec=spec, precision=precision, target="onnx")
    manifest = Bundle.load(result.bundle).manifest
    assert manifest.clip.hop_s == pytest.approx(0.5)
    assert {(s.input, s.output, s.shape) for s in manifest.states} == {
        ("h0", "hn", (1, 1, 16)),
        ("c0", "cn", (1, 1, 16)),
    }
    frames = np.random.default_rng(1).integers(0, 256, (3, 4, 8, 8, 3), dtype=np.uint8)
    graph = onnx.load(str(result.bundle / "model.onnx"))
    actual = Session(graph).run_each([{"clip": frames}], "scores")
    original = Session(onnx.load(str(path)))
    h = c = np.zeros((1, 1, 16), np.float32)
    for i, row in enumerate(actual):
        clip = np.moveaxis(frames[i : i + 1, ..., ::-1] / np.float32(255), 4, 2)
        outputs = original.run({"clip": np.ascontiguousarray(clip), "h0": h, "c0": c})
        h, c = outputs["hn"], outputs["cn"]
        exps = np.exp(outputs["logits"][0])
        assert row == pytest.approx(exps / exps.sum(), abs=1e-5 if precision == "fp32" else 5e-3)
