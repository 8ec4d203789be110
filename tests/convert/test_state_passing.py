"""The script that says what passing states costs, in its short form."""

from __future__ import annotations

import json

import pytest
from made_models import classifier
from test_states import SPEC, summing

from edgevid.benchmarks import state_passing
from edgevid.convert import convert
from edgevid.errors import SpecError


def converted(path, spec):
    return convert(path, path.with_suffix(".edgevid"), spec=spec, target="onnx").bundle


def test_prints_both_sides_and_the_cost(tmp_path, capsys):
    bundle = converted(summing(tmp_path / "m.onnx"), SPEC)
    out = tmp_path / "cost.json"
    assert state_passing.main([str(bundle), "--calls", "20", "--json", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert figures["states"] == 2
    assert figures["cost"] == pytest.approx(figures["passed_ms"] / figures["bare_ms"] - 1)
    assert "cost" in capsys.readouterr().out


def test_a_model_without_states_is_refused(tmp_path):
    bundle = converted(classifier(tmp_path / "m.onnx"), {"preset": "unit"})
    with pytest.raises(SpecError, match="has no states"):
        state_passing.measure(bundle)
