"""What the report's model takes, gives back and refuses."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from edgevid.convert.quantize.gate import Scores, Verdict
from edgevid.convert.quantize.report import (
    Answers,
    CandidateReport,
    Change,
    ClipsReport,
    Quantisation,
    describe_answers,
    score_differences,
)


def scores(*rows) -> Scores:
    return Scores(np.array(rows, np.float32), None, (None,) * len(rows))


BEFORE = scores([0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.5, 0.25, 0.25])
AFTER = scores([0.2, 0.7, 0.1], [0.3, 0.6, 0.1], [0.1, 0.8, 0.1], [0.25, 0.25, 0.5])


def test_differences_are_the_largest_of_each_clip():
    assert score_differences(BEFORE, AFTER) == pytest.approx((0.5, 0.3, 0.0, 0.25))


def test_confusion_and_changes():
    answers = describe_answers(BEFORE, AFTER, ("a", "b", "c"))
    assert answers == Answers(
        labels=("a", "b", "c"),
        confusion=((0, 2, 1), (0, 1, 0), (0, 0, 0)),
        changes=(Change(before="a", after="b", clips=2), Change(before="a", after="c", clips=1)),
    )


def test_many_classes_have_no_confusion_and_sigmoids_no_answer():
    wide = np.eye(30, dtype=np.float32)
    labels = [f"class {i}" for i in range(30)]
    reference, candidate = scores(*wide), scores(*wide[::-1])
    answers = describe_answers(reference, candidate, labels)
    assert answers is not None
    assert (answers.labels, answers.confusion) == ((), None)
    assert len(answers.changes) == 20
    assert answers.changes[0] == Change(before="class 0", after="class 29", clips=1)
    assert describe_answers(scores([0.9, 0.8, 0.1]), scores([0.9, 0.8, 0.1]), labels) is None


def clips() -> ClipsReport:
    return ClipsReport(clips=4, videos=("a.avi",), labelled=0, seed=0, sha256="0" * 64)


def quantisation(**changes) -> Quantisation:
    figures = {
        "kept": "FP32",
        "reason": "INT8 fails the gate; FP32 kept",
        "by_speed": False,
        "candidates": (CandidateReport(name="FP32", precision="fp32", megabytes=1.0),),
        "method": "minmax",
        "calibration": clips(),
        "evaluation": clips(),
        "left_alone": {},
        "not_built": {},
    }
    return Quantisation(**{**figures, **changes})


def test_it_comes_back_from_json_as_it_went():
    report = quantisation(answers=describe_answers(BEFORE, AFTER, ("a", "b", "c")))
    assert Quantisation.model_validate_json(report.model_dump_json()) == report
    assert report.winner.name == "FP32"
    assert report.winner.passed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kept": "INT8"}, "kept 'INT8' must be one of the candidates"),
        ({"candidates": quantisation().candidates * 2}, "candidates, once"),
        ({"candidates": ()}, "at least 1 item"),
        ({"answers": {"labels": ("a",), "confusion": ((1, 2),)}}, "1 by 1 counts"),
        ({"surprise": 1}, "Extra inputs"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        quantisation(**changes)


def test_what_fails_the_gate_cannot_be_kept():
    failed = Verdict(passed=False, reason="no", measured=0.3, limit=0.99, criterion="agreement")
    broken = CandidateReport(name="INT8", precision="int8", megabytes=0.3, verdict=failed)
    with pytest.raises(ValidationError, match="kept 'INT8' fails the gate"):
        quantisation(kept="INT8", candidates=(broken,))
