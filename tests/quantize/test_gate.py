"""The gate's rules, each from both sides, and the scores that it judges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgevid.convert.quantize.gate import Gate, Scores, evaluate
from edgevid.convert.quantize.metrics import Comparison, compare_scores, with_logits
from edgevid.convert.session import Session
from edgevid.errors import ConversionError, SpecError

SURE, TOSS_UP = 0.6, 0.02


def comparison(
    clips: int,
    sure: int = 0,
    toss_ups: int = 0,
    labels: tuple[int | None, ...] = (),
    noise_db: float = 30,
) -> Comparison:
    """Class 0 everywhere in the reference; the candidate says 1 on the first clips."""
    reference = np.tile(np.float32([0.7, 0.1, 0.2]), (clips, 1))
    reference[:toss_ups] = [0.41, 0.39, 0.2]
    candidate = reference.copy()
    flipped = toss_ups + sure
    candidate[:flipped, :2] = reference[:flipped, 1::-1]
    logits = np.tile(np.float32([2, 0, -2]), (clips, 1))
    noise = logits * np.float32(10 ** (-noise_db / 20))
    result = compare_scores(
        reference, candidate, labels, reference_logits=logits, candidate_logits=logits + noise
    )
    assert len(result.flips) == flipped
    return result


@pytest.mark.parametrize(
    ("clips", "flips", "max_drop", "passed"),
    [
        (100, 0, None, True),
        (100, 1, None, True),
        (100, 2, None, False),
        (1000, 10, None, True),
        (1000, 11, None, False),
        (40, 2, 0.05, True),
        (40, 3, 0.05, False),
    ],
)
def test_without_labels_99_of_100_answers_must_stay(
    clips: int, flips: int, max_drop: float | None, passed: bool
) -> None:
    verdict = Gate(max_drop).check(comparison(clips, sure=flips))
    assert (verdict.passed, verdict.criterion) == (passed, "agreement")
    assert verdict.measured == pytest.approx(1 - flips / clips)
    assert verdict.limit == pytest.approx(1 - (max_drop or 0.01))


@pytest.mark.parametrize(("lost", "passed"), [(0, True), (2, True), (3, False)])
def test_with_labels_the_accuracy_may_fall_by_a_point(lost: int, passed: bool) -> None:
    # Class 0 is right: every flip is a loss.
    verdict = Gate().check(comparison(200, sure=lost, labels=(0,) * 200))
    assert (verdict.passed, verdict.criterion) == (passed, "accuracy")
    assert (verdict.measured, verdict.limit) == (pytest.approx(lost / 200), 0.01)
    assert "200 labelled clips" in verdict.reason


def test_what_is_gained_makes_up_for_what_is_lost() -> None:
    # Of 10 flips 5 are right now that were wrong before.
    labels = (1,) * 5 + (0,) * 195
    verdict = Gate().check(comparison(200, sure=10, labels=labels))
    assert (verdict.passed, verdict.measured) == (True, 0.0)
    assert "95 % of 200 clips keep their answer" in verdict.reason


def test_few_labels_are_not_used() -> None:
    half = (0,) * 150 + (None,) * 150
    assert Gate().check(comparison(300, labels=half)).criterion == "agreement"
    more = (0,) * 151 + (None,) * 149
    assert Gate().check(comparison(300, labels=more)).criterion == "accuracy"


def test_labels_on_which_the_model_only_guesses_are_not_used() -> None:
    """A fall from nothing to nothing would pass whatever the candidate says."""
    wrong = comparison(200, sure=60, labels=(2,) * 200)
    verdict = Gate().check(wrong)
    assert (verdict.passed, verdict.criterion) == (False, "agreement")
    assert "no better than guessing" in verdict.reason


@pytest.mark.parametrize(
    ("clips", "sure", "toss_ups", "passed"),
    [
        (1, 0, 0, True),
        (19, 0, 0, True),
        (19, 0, 1, False),
        (20, 0, 1, True),
        (20, 1, 0, False),
        (20, 0, 2, False),
        (99, 0, 1, True),
        (99, 1, 0, False),
        (99, 0, 2, False),
    ],
)
def test_a_small_set_tolerates_one_toss_up_in_twenty_or_more(
    clips: int, sure: int, toss_ups: int, passed: bool
) -> None:
    verdict = Gate().check(comparison(clips, sure, toss_ups))
    assert (verdict.passed, verdict.criterion) == (passed, "small set")
    assert f"a small set: one clip is {100 / clips:.4g} %" in verdict.reason
    assert verdict.passed == (verdict.measured >= verdict.limit - 1e-9 and not sure)


def test_a_small_set_with_labels_is_judged_as_one_without() -> None:
    labels = (0,) * 50
    assert Gate().check(comparison(50, toss_ups=1, labels=labels)).passed
    verdict = Gate().check(comparison(50, sure=1, labels=labels))
    assert (verdict.passed, verdict.criterion) == (False, "small set")
    assert "clip 1 flips though the model was sure of it" in verdict.reason


def test_a_small_set_without_a_flip_still_needs_clean_logits() -> None:
    assert Gate().check(comparison(8, noise_db=10.1)).passed
    verdict = Gate().check(comparison(8, noise_db=9.9))
    assert not verdict.passed
    assert "logits at 9.9 dB: 10 dB needed" in verdict.reason
    # A large one shows in flips what noise does.
    assert Gate().check(comparison(100, noise_db=9.9)).passed


def test_no_drop_at_all_means_no_flip() -> None:
    assert Gate(0).check(comparison(500)).passed
    assert not Gate(0).check(comparison(500, toss_ups=1)).passed


@pytest.mark.parametrize("max_drop", [-0.01, 1.0, 50, float("nan")])
def test_a_drop_that_is_no_share_is_refused(max_drop: float) -> None:
    with pytest.raises(SpecError, match=r"max_drop is .*0\.01 is one point"):
        Gate(max_drop)


@given(st.integers(1, 300), st.data())
def test_one_flip_more_never_helps(clips: int, data: st.DataObject) -> None:
    flips = data.draw(st.integers(0, clips - 1))
    worse, better = comparison(clips, sure=flips + 1), comparison(clips, sure=flips)
    assert Gate().check(better).passed >= Gate().check(worse).passed


def test_sigmoids_are_judged_by_agreement_even_with_labels() -> None:
    reference = np.tile(np.float32([0.9, 0.8, 0.1]), (100, 1))
    candidate = reference.copy()
    candidate[:2, 1] = 0.4
    verdict = Gate().check(compare_scores(reference, candidate, [0] * 100))
    assert (verdict.passed, verdict.criterion) == (False, "agreement")
    assert verdict.measured == pytest.approx(0.98)


@dataclass(frozen=True)
class MadeClip:
    source: str
    start_s: float
    label: str | None
    feeds: dict[str, np.ndarray]


def made_clips(*pixels: int, label: str | None = None) -> list[MadeClip]:
    return [
        MadeClip(f"v{i}.avi", i / 2, label, {"clip": np.full((1, 2), value, np.uint8)})
        for i, value in enumerate(pixels)
    ]


def softmax_of(matrix: list[list[float]], op: str = "Softmax") -> onnx.ModelProto:
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["clip"], ["x"], to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["x", "w"], ["y"]),
            helper.make_node(op, ["y"], ["scores"]),
        ],
        "made",
        [helper.make_tensor_value_info("clip", TensorProto.UINT8, [1, 2])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(np.array(matrix, np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


MATRIX = [[0.5, 0.0, -0.25], [0.5, 0.0, 0.25]]


def test_evaluate_runs_the_clips_in_order_and_keeps_the_logits() -> None:
    seen: list[tuple[int, int, str]] = []
    scores = evaluate(
        softmax_of(MATRIX),
        made_clips(0, 1, 4),
        progress=lambda *report: seen.append(report),
        what="FP32",
    )
    assert scores.logits is not None
    assert scores.logits.tolist() == [[0, 0, 0], [1, 0, 0], [4, 0, 0]]
    powers = np.exp(scores.logits)
    assert scores.values == pytest.approx(powers / powers.sum(axis=1, keepdims=True), abs=1e-6)
    assert (scores.values.dtype, scores.logits.dtype) == (np.float32, np.float32)
    assert seen == [(1, 3, "FP32"), (2, 3, "FP32"), (3, 3, "FP32")]


def test_evaluate_takes_a_session_with_or_without_logits() -> None:
    model, clips = softmax_of(MATRIX), made_clips(3, 2)
    plain = evaluate(Session(model), clips)
    exposed = evaluate(Session(with_logits(model)[0]), clips)
    assert plain.logits is None
    assert exposed.logits is not None
    assert plain.values.tolist() == exposed.values.tolist()


def test_labels_become_classes() -> None:
    clips = [*made_clips(1, label="up"), *made_clips(2), *made_clips(3, label="left")]
    model, classes = softmax_of(MATRIX), ["left", "right", "up"]
    assert evaluate(model, clips, classes).labels == (2, None, 0)
    assert evaluate(model, clips).labels == (None, None, None)


def test_a_label_that_is_no_class_is_named() -> None:
    clips = made_clips(1, label="lft")
    with pytest.raises(SpecError, match=r"v0\.avi is labelled 'lft'.*did you mean 'left'"):
        evaluate(softmax_of(MATRIX), clips, ["left", "right", "up"])


def test_some_clips_are_compared_with_the_same_ones() -> None:
    clips = [*made_clips(1, 2, label="left"), *made_clips(3, label="up")]
    scores = evaluate(softmax_of(MATRIX), clips, ["left", "right", "up"])
    other = evaluate(softmax_of([[0, 0, 0.5], [0, 0, 0.5]]), clips)
    part = scores.take([2, 0])
    result = part.compare(other.take([2, 0]))
    assert (result.clips, result.flips, result.compared_on) == (2, (0, 1), "logits")
    assert (result.reference_top1, result.candidate_top1) == (0.5, 0.5)
    assert Scores(scores.values, None, scores.labels).take([1]).logits is None


def test_nan_names_the_clip() -> None:
    # 255 * 1e38 is beyond float32: inf - inf in the softmax.
    model = softmax_of([[1e38, 1e38, 0], [1e38, 1e38, 0]])
    with pytest.raises(ConversionError, match=r"clip at 0\.50 s of v1\.avi are NaN"):
        evaluate(model, made_clips(0, 255))


def test_a_clip_that_does_not_fit_is_named() -> None:
    clips = [MadeClip("a.avi", 1.25, None, {"clip": np.zeros((1, 3), np.uint8)})]
    with pytest.raises(ConversionError, match=r"fails on the clip at 1\.25 s of a\.avi"):
        evaluate(softmax_of(MATRIX), clips)


def test_a_graph_that_does_not_load_is_an_error_of_the_conversion() -> None:
    with pytest.raises(ConversionError, match="cannot load the converted graph"):
        evaluate(softmax_of(MATRIX, op="NoSuchOperator"), made_clips(1))


def test_nothing_to_evaluate_on_is_said() -> None:
    with pytest.raises(ConversionError, match="no clips to evaluate on"):
        evaluate(softmax_of(MATRIX), [])
