"""Which output, and what it means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_models import classifier, save
from onnx import helper

from edgevid.convert.answers import as_scores, choose_output, infer_kind
from edgevid.convert.journal import Journal
from edgevid.convert.load import load
from edgevid.convert.spec_file import read_spec
from edgevid.errors import ModelError, SpecError

LOGITS = np.array([[3.0, -2.0, 0.5, 1.0, 0.0]], np.float32)
PROBABILITIES = np.array([[0.5, 0.2, 0.1, 0.1, 0.1]], np.float32)


def kind(path: Path, scores: Any, spec: dict[str, Any] | None = None) -> tuple[str, Journal]:
    journal = Journal()
    user = read_spec(spec, labels=None, preset=None)
    model = load(path, journal)
    return infer_kind(model, choose_output(model, user), scores, user, journal).kind, journal


@pytest.mark.parametrize(
    ("end", "scores", "expected"),
    [
        ("", LOGITS, "logits"),
        ("LogSoftmax", LOGITS, "logits"),
        ("Softmax", PROBABILITIES, "probabilities"),
        ("Sigmoid", PROBABILITIES * 1.5, "probabilities"),
    ],
)
@pytest.mark.parametrize("trailing", [0, 2])
def test_found_in_the_last_nodes_behind_reshapes(
    tmp_path: Path, end: str, scores: Any, expected: str, trailing: int
) -> None:
    path = classifier(tmp_path / "m.onnx", end=end, trailing=trailing)
    assert kind(path, scores)[0] == expected


def test_a_softmax_written_out_is_found_by_its_values(tmp_path: Path) -> None:
    assert kind(classifier(tmp_path / "m.onnx", end=""), PROBABILITIES)[0] == "probabilities"


def test_one_class_without_a_sigmoid_gets_one_and_that_is_said(tmp_path: Path) -> None:
    path = classifier(tmp_path / "m.onnx", end="", classes=1)
    found, journal = kind(path, np.array([[2.0]], np.float32))
    assert found == "sigmoid"
    assert "has one class" in journal.assumptions[0]


def test_the_spec_comes_first_and_a_contradiction_is_noted(tmp_path: Path) -> None:
    path = classifier(tmp_path / "m.onnx")
    found, journal = kind(path, PROBABILITIES, {"outputs": [{"kind": "logits"}]})
    assert found == "logits"
    assert "looks like probabilities already" in journal.notes[0]


def test_probabilities_must_lie_between_0_and_1(tmp_path: Path) -> None:
    path = classifier(tmp_path / "m.onnx", end="")
    with pytest.raises(SpecError, match=r"go from -2 to 3"):
        kind(path, LOGITS, {"outputs": [{"kind": "probabilities"}]})


def _two_outputs(path: Path) -> Path:
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["main"]),
        helper.make_node("Neg", ["main"], ["aux"]),
    ]
    return save(path, nodes, [("x", [1, 3, 16, 16])], [("aux", [1, 3]), ("main", [1, 3])])


def test_several_outputs_need_a_name(tmp_path: Path) -> None:
    model = load(_two_outputs(tmp_path / "m.onnx"), Journal())
    with pytest.raises(SpecError, match=r"2 outputs \(aux, main\).*name = \"aux\""):
        choose_output(model, read_spec(None, labels=None, preset=None))
    spec = {"outputs": [{"name": "main"}]}
    assert choose_output(model, read_spec(spec, labels=None, preset=None)) == "main"
    spec = {"outputs": [{"name": "mian"}]}
    with pytest.raises(SpecError, match=r"none called 'mian'.*aux, main"):
        choose_output(model, read_spec(spec, labels=None, preset=None))


def test_a_quantised_output_is_refused(shared: Path) -> None:
    model = load(shared / "models" / "mobilenet-v1-025-imagenet-int8" / "model.onnx", Journal())
    with pytest.raises(ModelError, match="is uint8: models that are quantised already"):
        choose_output(model, read_spec(None, labels=None, preset=None))


def test_an_output_that_is_no_row_of_scores() -> None:
    assert as_scores(np.ones((2, 1, 5, 1)), "y").shape == (2, 5)
    assert as_scores(np.ones((2, 1)), "y").shape == (2, 1)
    for shape in [(2, 7, 7), (5,)]:
        with pytest.raises(ModelError, match=r"a classifier's is \[N, classes\]"):
            as_scores(np.ones(shape), "y")
