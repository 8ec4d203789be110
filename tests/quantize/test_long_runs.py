"""Long runs of models with states: what short clips do not show, a whole video does."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgevid.convert.graph import SCORES, STATES
from edgevid.convert.quantize.clipset import draw
from edgevid.convert.quantize.gate import Gate, evaluate
from edgevid.convert.quantize.long_runs import MAX_RUNS, draw_long_runs
from edgevid.spec import ClipSpec, InputSpec

CLIP = ClipSpec(fps=10.0)
INPUTS = (InputSpec(name="picture", layout="NHWC", size=(8, 8), resize="stretch", crop="full"),)
STEPS = 16


def gathering(error: float) -> onnx.ModelProto:
    """A state gathers `error` with every frame; beyond 1 the second class is the best."""
    state = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["sum_in", "error"], ["sum_out"]),
            helper.make_node("Concat", ["one", "sum_out"], ["logits"], axis=1),
            helper.make_node("Softmax", ["logits"], [SCORES], axis=1),
        ],
        "gathering",
        [
            state("picture", TensorProto.UINT8, ["n", 8, 8, 3]),
            state("sum_in", TensorProto.FLOAT, [1, 1]),
        ],
        [
            state(SCORES, TensorProto.FLOAT, [1, 2]),
            state("sum_out", TensorProto.FLOAT, [1, 1]),
        ],
        [
            numpy_helper.from_array(np.float32([[error]]), "error"),
            numpy_helper.from_array(np.float32([[1.0]]), "one"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    pair = {"input": "sum_in", "output": "sum_out", "shape": [1, 1], "dtype": "float32"}
    model.metadata_props.add(key=STATES, value=json.dumps([pair]))
    return model


def video(seconds: float, seed: int = 0) -> str:
    return f"synthetic:?seconds={seconds}&motions=left&seed={seed}"


@pytest.fixture(scope="module")
def clips():
    """Four short videos and a long one."""
    videos = [*(video(1.7 + i / 10, i) for i in range(4)), video(10, 9)]
    return draw(videos, CLIP, INPUTS, 8, steps=STEPS)


@pytest.fixture(scope="module")
def long_runs(clips):
    return draw_long_runs(gathering(0.0), clips, CLIP, INPUTS)


def test_an_error_that_a_state_gathers_shows_only_in_the_long_run(clips, long_runs):
    reference, drifting = gathering(0.0), gathering(1 / 30)
    found = evaluate(reference, clips)
    short = found.compare(evaluate(drifting, clips))
    assert short.top1_agreement == 1.0
    passed = Gate().check(found.compare(found))
    verdict = long_runs.confirm(passed, drifting, Gate())
    assert (verdict.passed, verdict.criterion) == (False, "long runs")
    steps = len(long_runs.expected.values)
    kept = 30 + sum(len(run[0].feeds["picture"]) for run in long_runs.runs[1:])
    assert verdict.measured == pytest.approx(kept / steps, abs=2 / steps)
    assert f"of {steps} steps keep their answer: too few" in verdict.reason


def test_the_longest_videos_are_run_through_whole(long_runs):
    runs = long_runs.runs
    assert len(runs) == MAX_RUNS
    lengths = [len(run[0].feeds["picture"]) for run in runs]
    assert lengths[0] == pytest.approx(100, abs=1)
    assert lengths == sorted(lengths, reverse=True)
    assert len({run.sources for run in runs}) == MAX_RUNS


def test_a_graph_that_answers_alike_passes_and_the_verdict_says_so(clips, long_runs):
    reference = gathering(0.0)
    scores = evaluate(reference, clips)
    passed = Gate().check(scores.compare(scores))
    verdict = long_runs.confirm(passed, gathering(1e-4), Gate())
    assert verdict.passed
    assert verdict.criterion == passed.criterion
    assert "in long runs of 4 videos, from zero states, 100 % of" in verdict.reason


def test_what_failed_on_short_clips_is_not_run_through(clips, long_runs):
    reference = gathering(0.0)
    scores = evaluate(reference, clips)
    failed = Gate().check(scores.compare(evaluate(gathering(1.0), clips)))
    assert not failed.passed
    assert long_runs.confirm(failed, onnx.ModelProto(), Gate()) is failed
