"""Figures of a comparison: against hand-worked and published values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper, numpy_helper

from edgevid.convert.quantize.metrics import (
    LOGITS,
    MAX_DB,
    Comparison,
    compare_scores,
    cosine_similarity,
    sqnr_db,
    with_logits,
)
from edgevid.convert.session import Session
from edgevid.errors import ConversionError


def rows(*values: list[float]) -> np.ndarray:
    return np.array(values, np.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def test_sqnr_of_a_tenth_of_noise_is_20_db() -> None:
    x = rows([3, 4], [1, 0], [2, 2], [0, 0])
    y = rows([3.3, 3.6], [1, 0], [-2, 2], [1, 0])
    # 25 / 0.25; equal; 8 / 16; no signal.
    assert sqnr_db(x, y) == pytest.approx([20, MAX_DB, -3.0103, -MAX_DB], abs=1e-4)


def test_cosine_by_hand() -> None:
    x = rows([1, 0], [1, 1], [0, 0], [0, 0])
    y = rows([0, 2], [-2, -2], [0, 0], [1, 0])
    assert cosine_similarity(x, y) == pytest.approx([0, -1, 1, 0])


def test_kl_by_hand() -> None:
    result = compare_scores(rows([0.5, 0.5], [1, 0]), rows([0.25, 0.75], [0.5, 0.5]))
    first = 0.5 * np.log(2) + 0.5 * np.log(2 / 3)
    # 0 ln 0 counts as nothing: both are clipped.
    assert result.mean_kl == pytest.approx((first + np.log(2)) / 2, rel=1e-6)
    assert result.max_kl == pytest.approx(np.log(2), rel=1e-6)


def test_equal_scores_differ_by_nothing() -> None:
    scores = softmax(np.random.default_rng(0).normal(0, 3, (6, 9)))
    result = compare_scores(scores, scores, [0, 1, 2, None, None, 8])
    assert (result.top1_agreement, result.flip_rate, result.flips) == (1.0, 0.0, ())
    assert (result.mean_kl, result.max_kl, result.min_sqnr_db) == (0.0, 0.0, MAX_DB)
    assert result.min_cosine == pytest.approx(1)
    assert result.reference_top1 == result.candidate_top1
    assert result.agreement_low == pytest.approx(6 / (6 + 1.959964**2), abs=1e-6)


def test_flips_say_which_clips_and_how_sure_the_reference_was() -> None:
    reference = rows([0.6, 0.3, 0.1], [0.45, 0.05, 0.5], [0.2, 0.7, 0.1], [0.9, 0.1, 0.0])
    candidate = rows([0.3, 0.6, 0.1], [0.5, 0.05, 0.45], [0.1, 0.8, 0.1], [0.5, 0.3, 0.2])
    result = compare_scores(reference, candidate)
    assert result.flips == (0, 1)
    assert result.flip_margins == pytest.approx((0.3, 0.05))
    assert (result.top1_agreement, result.flip_rate) == (0.5, 0.5)


def test_accuracy_counts_labelled_clips_only() -> None:
    reference, candidate = np.full((5, 7), 0.05), np.full((5, 7), 0.05)
    for i in range(5):
        reference[i, 1], candidate[i, i] = 0.7, 0.7
    # Equal scores rank in class order: of clip 4 the best five are 4, 0, 1, 2, 3.
    labels = [1, 1, None, 3, 6]
    result = compare_scores(reference.astype("f4"), candidate.astype("f4"), labels)
    assert result.labelled == 4
    assert (result.reference_top1, result.candidate_top1) == (0.5, 0.5)
    assert (result.reference_top5, result.candidate_top5) == (0.75, 0.75)


def test_accuracy_is_unknown_without_labels_and_top_5_of_5_classes_says_nothing() -> None:
    scores = np.full((2, 5), 0.2, np.float32)
    unlabelled, labelled = compare_scores(scores, scores), compare_scores(scores, scores, [0, 1])
    assert (unlabelled.reference_top1, unlabelled.candidate_top5) == (None, None)
    assert (labelled.reference_top1, labelled.reference_top5) == (0.5, None)


@given(
    hnp.arrays(np.float32, (3, 6), elements=st.floats(-8, 8, width=32)),
    hnp.arrays(np.float32, (3, 6), elements=st.floats(-1, 1, width=32)),
    st.floats(-50, 50, width=32),
)
def test_sqnr_of_softmax_is_the_same_from_logits_and_from_scores(
    logits: np.ndarray, noise: np.ndarray, offset: float
) -> None:
    noisy = logits + noise
    p, q = softmax(logits), softmax(noisy)
    of_scores = compare_scores(p, q)
    of_logits = compare_scores(
        p, q, reference_logits=logits, candidate_logits=noisy + np.float32(offset)
    )
    assert (of_scores.compared_on, of_logits.compared_on) == ("scores", "logits")
    # Above 60 dB, and on logits that are all but equal, rounding to float32 is what differs.
    if of_logits.min_sqnr_db < 60 and np.ptp(logits, axis=1).min() > 0.1:
        assert of_scores.min_sqnr_db == pytest.approx(of_logits.min_sqnr_db, abs=0.2)
        assert of_scores.mean_cosine == pytest.approx(of_logits.mean_cosine, abs=1e-3)


def test_logits_that_are_infinite_give_way_to_scores() -> None:
    scores = rows([0.25, 0.75])
    masked = rows([-np.inf, 1.0])
    result = compare_scores(scores, scores, reference_logits=masked, candidate_logits=masked)
    assert (result.compared_on, result.mean_sqnr_db) == ("scores", MAX_DB)


def test_sigmoids_answer_with_a_set_of_labels() -> None:
    reference = rows([0.9, 0.8, 0.1], [0.9, 0.2, 0.1], [0.2, 0.45, 0.3])
    candidate = rows([0.8, 0.9, 0.1], [0.9, 0.5, 0.1], [0.4, 0.3, 0.3])
    result = compare_scores(reference, candidate)
    assert result.multi_label
    # Another best class in the first and third, but the same labels above 0.5.
    assert result.flips == (1,)
    assert result.flip_margins == pytest.approx((0.6,))
    assert result.label_agreement == pytest.approx(8 / 9)


def test_kl_of_sigmoids_adds_up_over_labels() -> None:
    result = compare_scores(rows([0.5], [0.5]), rows([0.25], [0.5]), [0, 0])
    bernoulli = 0.5 * np.log(2) + 0.5 * np.log(0.5 / 0.75)
    assert result.max_kl == pytest.approx(bernoulli, rel=1e-6)
    # Logits 0 and 0 against ln(1/3) and 0.
    assert (result.min_sqnr_db, result.compared_on) == (-MAX_DB, "scores")
    assert (result.reference_top1, result.candidate_top1) == (1.0, 0.5)


def test_a_comparison_survives_json() -> None:
    rng = np.random.default_rng(2)
    p, q = softmax(rng.normal(0, 1, (4, 8))), softmax(rng.normal(0, 1, (4, 8)))
    result = compare_scores(p, q, [0, 1, None, 3])
    assert Comparison.model_validate(json.loads(result.model_dump_json())) == result


def test_no_clips_is_an_error_of_the_user() -> None:
    with pytest.raises(ConversionError, match="no clips to compare"):
        compare_scores(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32))


@pytest.mark.parametrize(
    ("candidate", "labels", "message"),
    [
        (np.ones((2, 4), np.float32), (), r"\(2, 3\) and \(2, 4\)"),
        (rows([np.nan, 0, 0], [1, 0, 0]), (), "NaN"),
        (rows([1, 0, 0], [1, 0, 0]), (1,), "1 labels for 2 clips"),
        (rows([1, 0, 0], [1, 0, 0]), (1, 3), r"outside 0\.\.2"),
    ],
)
def test_what_does_not_fit_is_refused(
    candidate: np.ndarray, labels: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compare_scores(rows([1, 0, 0], [0, 1, 0]), candidate, labels)


def graph(*nodes: Any) -> onnx.ModelProto:
    """From `x` `(1, 2)` to `scores`; weights are fixed."""
    weights = {"w": rows([1, -1, 2], [0.5, 2, -1]), "shape": np.array([1, 3], np.int64)}
    made = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"]), *nodes],
        "made",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    "nodes",
    [
        [helper.make_node("Softmax", ["y"], ["scores"])],
        [
            helper.make_node("Softmax", ["y"], ["p"]),
            helper.make_node("Identity", ["p"], ["scores"]),
        ],
        [
            helper.make_node("Cast", ["y"], ["half"], to=TensorProto.FLOAT16),
            helper.make_node("Softmax", ["half"], ["p"]),
            helper.make_node("Cast", ["p"], ["full"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", ["full", "shape"], ["scores"]),
        ],
        [helper.make_node("Sigmoid", ["y"], ["scores"])],
    ],
    ids=["softmax", "identity behind it", "fp16 and a reshape", "sigmoid"],
)
def test_logits_are_what_the_last_activation_takes(nodes: list[Any]) -> None:
    model = graph(*nodes)
    before = model.SerializeToString()
    exposed, name = with_logits(model)
    assert name == LOGITS
    assert model.SerializeToString() == before
    outputs = Session(exposed).run({"x": rows([1, 2])})
    assert list(outputs) == ["scores", LOGITS]
    assert outputs[LOGITS].tolist() == [[2, 3, 0]]
    plain = Session(model).run({"x": rows([1, 2])})
    assert outputs["scores"].tolist() == plain["scores"].tolist()


def test_logits_that_are_an_output_already_are_given_too() -> None:
    model = graph(helper.make_node("Softmax", ["y"], ["scores"]))
    model.graph.output.append(onnx.ValueInfoProto(name="y"))
    outputs = Session(with_logits(model)[0]).run({"x": rows([1, 2])})
    assert outputs[LOGITS].tolist() == outputs["y"].tolist() == [[2, 3, 0]]


def test_scores_without_a_last_activation_have_no_logits() -> None:
    model = graph(
        helper.make_node("Softmax", ["y"], ["p"]), helper.make_node("Mul", ["p", "p"], ["scores"])
    )
    exposed, name = with_logits(model)
    assert name is None
    assert exposed == model


def test_real_model_with_its_softmax_inside(tmp_path: Path) -> None:
    """The demo model, converted, gives logits whose softmax is its scores."""
    from edgevid import demo
    from edgevid.convert.workflow import convert

    bundle = convert(demo.MODEL, tmp_path / "demo.edgevid", spec=demo.SPEC, target="onnx").bundle
    session = Session(with_logits(onnx.load(bundle / "model.onnx"))[0])
    clip = np.random.default_rng(1).integers(0, 256, (1, 8, 64, 64, 3), np.uint8)
    outputs = session.run({"clip": clip})
    assert outputs["scores"] == pytest.approx(softmax(outputs[LOGITS]), abs=1e-6)
    assert outputs[LOGITS].std() > 0.1
