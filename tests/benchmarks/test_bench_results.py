"""Results of benchmarks: their schema, and what is no result."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edgevid.benchmarks.harness.results import Figure, Result, bench_schema, load, save
from edgevid.errors import OutputError, SpecError


@pytest.fixture
def result():
    return Result(
        command="edgevid bench demo.edgevid",
        started=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
        seconds=2.0,
        environment={"edgevid": "0.1.0"},
        model={
            "name": "demo", "bundle": "demo.edgevid", "sha256": {"model.onnx": "ab" * 32},
            "precision": "fp32", "engine": "scripted",
        },
        scenario="single",
        settings={"engine_only": True, "clips": ("random",), "duration_s": 2.0, "rounds": 1},
        figures={"p50_ms": Figure(value=2.0, unit="ms", better="lower", low=1.5, high=2.5)},
        samples={
            "rounds": [
                {
                    "started_s": 0.0, "at_s": [0.0, 0.4, 0.5], "latency_ms": [9.0, 2.0, 2.1],
                    "steady_from": 1, "outliers": [2],
                }
            ]
        },
    )  # fmt: skip


def test_the_published_schema_is_up_to_date():
    path = Path(__file__).parents[2] / "docs" / "bench.schema.json"
    assert json.loads(path.read_text()) == bench_schema(), (
        "docs/bench.schema.json is out of date; write json.dumps(bench_schema(), indent=2)"
    )


def test_what_is_saved_is_what_is_loaded(result, tmp_path):
    save(result, tmp_path / "r.json")
    assert load(tmp_path / "r.json") == result
    assert result.samples.rounds[0].steady_ms == (2.0, 2.1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "schema_version None"),
        ('{"schema_version": 7}', "schema_version 7; this edgevid reads 1"),
        ('{"schema_version": 1}', "'command' is missing"),
    ],
)
def test_what_is_no_result_is_refused(text, said, tmp_path):
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(SpecError, match=said):
        load(path)


def test_a_result_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SpecError, match="No such file"):
        load(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"at_s": [0.0]}, "at_s and latency_ms differ in length"),
        ({"steady_from": 4}, "steady_from 4 is beyond the last query"),
        ({"outliers": [3]}, "there is no query 3"),
    ],
)
def test_rounds_that_contradict_themselves_are_refused(change, said, result, tmp_path):
    data = result.model_dump(mode="json")
    data["samples"]["rounds"][0] |= change
    path = tmp_path / "r.json"
    path.write_text(json.dumps(data))
    with pytest.raises(SpecError, match=said):
        load(path)


def test_a_folder_that_is_none_is_an_output_error(result, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        save(result, tmp_path / "file" / "r.json")
