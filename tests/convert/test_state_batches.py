"""Whether streams may share a call is found out, tried, and kept through to a TensorRT plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_models import save
from onnx import helper
from test_states import SPEC, lstm, summing

from edgevid.convert import convert
from edgevid.engines.onnxruntime_engine import OnnxRuntimeEngine
from edgevid.engines.tensorrt_build import build_plan
from edgevid.errors import BuildError, ModelError
from edgevid.manifest import Bundle
from edgevid.states import States, gather, scatter

LSTM_SPEC = {**SPEC, "clip": {"fps": 8.0}, "inputs": [{"layout": "NTCHW"}]}


def converted(path: Path, out: Path, **options: Any) -> Any:
    result = convert(path, out, target="onnx", **options)
    return result.report, Bundle.load(result.bundle)


def buffers(path: Path, batch: int | str) -> Path:
    """Scores from this frame's mean colours and those of the two frames before: a shift buffer."""
    nodes = [
        helper.make_node("ReduceMean", ["picture"], ["colours"], axes=[2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["colours", "second"], ["newest"]),
        helper.make_node("Concat", ["past_in", "newest"], ["frames"], axis=1),
        helper.make_node("Slice", ["frames", "one", "end", "second"], ["past_out"]),
        helper.make_node("Flatten", ["frames"], ["flat"]),
        helper.make_node("Gemm", ["flat", "dense"], ["logits"]),
    ]
    weights = {
        "second": np.array([1], np.int64),
        "one": np.array([1], np.int64),
        "end": np.array([9], np.int64),
        "dense": np.random.default_rng(1).normal(0, 2, (9, 3)).astype(np.float32),
    }
    state = [batch, 2, 3]
    inputs = [("picture", [batch, 3, 8, 8]), ("past_in", state)]
    return save(path, nodes, inputs, [("logits", [batch, 3]), ("past_out", state)], weights)


@pytest.mark.parametrize("batch", [1, "batch"])
def test_buffers_are_batched_along_their_first_axis(tmp_path: Path, batch: int | str) -> None:
    path = buffers(tmp_path / "m.onnx", batch)
    report, bundle = converted(path, tmp_path / "b.edgevid", spec=SPEC)
    assert [s.batch_axis for s in bundle.manifest.states] == [0]
    assert report.dynamic_batch
    assert not [n for n in report.notes if "batch" in n]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_hidden_states_are_batched_along_their_second_axis(tmp_path: Path, precision: Any) -> None:
    """Three streams of different ages in one call answer as each would alone."""
    path = lstm(tmp_path / "m.onnx")
    report, bundle = converted(path, tmp_path / "b.edgevid", spec=LSTM_SPEC, precision=precision)
    assert report.dynamic_batch
    states = bundle.manifest.states
    assert [(s.shape, s.batch_axis) for s in states] == [((1, 1, 16), 1)] * 2
    engine = OnnxRuntimeEngine(bundle.file("model"))
    clips = np.random.default_rng(2).integers(0, 256, (3, 5, 4, 8, 8, 3), dtype=np.uint8)

    def alone(i: int) -> list[Any]:
        carried, rows = States(states), []
        for clip in clips[i]:
            outputs = engine.infer({"clip": clip[np.newaxis], **gather([carried])})
            assert scatter(outputs, [carried]) == [True]
            rows.append(outputs["scores"][0])
        return rows

    expected = [alone(i) for i in range(3)]
    streams = [States(states) for _ in range(3)]
    for step in range(5):
        due = [i for i in range(3) if step >= i]
        feeds = gather([streams[i] for i in due])
        outputs = engine.infer({"clip": np.stack([clips[i][step - i] for i in due]), **feeds})
        scatter(outputs, [streams[i] for i in due])
        for row, i in zip(outputs["scores"], due, strict=True):
            assert row == pytest.approx(expected[i][step - i], abs=1e-5)


def test_a_counter_for_all_streams_keeps_the_batch_at_one(tmp_path: Path) -> None:
    """It fits a batch of streams of one age alone: 3 colours over 3 counts."""
    path = summing(tmp_path / "m.onnx", "batch")
    report, bundle = converted(path, tmp_path / "b.edgevid", spec=SPEC)
    assert not report.dynamic_batch
    assert [s.batch_axis for s in bundle.manifest.states] == [None, None]
    [note] = [n for n in report.notes if "batch" in n]
    assert "The batch is fixed at 1: streams cannot share a call" in note


def test_a_state_without_room_for_another_stream_is_told(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["picture"], ["colours"], axes=[0, 2, 3], keepdims=0),
        helper.make_node("Add", ["colours", "sum_in"], ["sum_out"]),
        helper.make_node("Unsqueeze", ["sum_out", "first"], ["logits"]),
    ]
    state = [3]
    inputs = [("picture", [1, 3, 8, 8]), ("sum_in", state)]
    outputs = [("logits", [1, 3]), ("sum_out", state)]
    path = save(tmp_path / "m.onnx", nodes, inputs, outputs, {"first": np.array([0], np.int64)})
    report, bundle = converted(path, tmp_path / "b.edgevid", spec=SPEC)
    assert bundle.manifest.states[0].batch_axis is None
    assert any("state 'sum_in' of shape [3] has no axis for several streams" in n
               for n in report.notes)  # fmt: skip


def test_a_plan_takes_several_streams(tmp_path: Path) -> None:
    """The profile opens the second axis of hidden states along with the first of pictures."""
    pytest.importorskip("tensorrt_rtx")
    _, bundle = converted(lstm(tmp_path / "m.onnx"), tmp_path / "b.edgevid", spec=LSTM_SPEC)
    plan = build_plan(bundle.file("model"), "tensorrt-rtx", "8.6", (1, 2, 4), precision="fp32")
    assert (plan.key.min_batch, plan.key.max_batch, plan.key.fixed_batch) == (1, 4, False)
    only_height = save(
        tmp_path / "height.onnx",
        [helper.make_node("Relu", ["x"], ["y"])],
        [("x", [1, "height", 4])],
        [("y", [1, "height", 4])],
    )
    with pytest.raises(BuildError, match=r"\[1, \?, 4\]: only the first axis"):
        build_plan(only_height, "tensorrt-rtx", "8.6", precision="fp32")


def grown(path: Path) -> Path:
    """A state `(N, length, 3)` that each frame is put behind, as an attention's cache is."""
    nodes = [
        helper.make_node("ReduceMean", ["picture"], ["colours"], axes=[2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["colours", "second"], ["newest"]),
        helper.make_node("Concat", ["past_in", "newest"], ["past_out"], axis=1),
        helper.make_node("ReduceMean", ["past_out"], ["logits"], axes=[1], keepdims=0),
    ]
    weights = {"second": np.array([1], np.int64)}
    inputs = [("picture", [1, 3, 8, 8]), ("past_in", [1, "length", 3])]
    outputs = [("logits", [1, 3]), ("past_out", [1, "longer", 3])]
    return save(path, nodes, inputs, outputs, weights)


def test_a_state_that_grows_is_one_line(tmp_path: Path) -> None:
    path = grown(tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"'past_in' as \[1, 1, 3\] .* back as \[1, 2, 3\]"):
        convert(path, tmp_path / "b.edgevid", spec=SPEC, target="onnx")
    assert not (tmp_path / "b.edgevid").exists()


def test_an_open_axis_that_is_not_the_batch_is_one_line(tmp_path: Path) -> None:
    """Two rows for each stream, which nothing in the shape says."""
    nodes = [
        helper.make_node("ReduceMean", ["picture"], ["colours"], axes=[2, 3], keepdims=0),
        helper.make_node("Reshape", ["rows_in", "two"], ["pair"]),
        helper.make_node("Add", ["pair", "colours"], ["sums"]),
        helper.make_node("Shape", ["rows_in"], ["rows"]),
        helper.make_node("Reshape", ["sums", "rows"], ["rows_out"]),
        helper.make_node("ReduceMean", ["sums"], ["logits"], axes=[0], keepdims=1),
    ]
    weights = {"two": np.array([2, 3], np.int64)}
    inputs = [("picture", [1, 3, 8, 8]), ("rows_in", ["rows", 3])]
    outputs = [("logits", [1, 3]), ("rows_out", ["rows", 3])]
    path = save(tmp_path / "m.onnx", nodes, inputs, outputs, weights)
    with pytest.raises(ModelError, match=r"fails with one stream's states.*fed as \[1, 3\]"):
        convert(path, tmp_path / "b.edgevid", spec=SPEC, target="onnx")
