"""Events, files of events, traces and replays from the command line."""

from __future__ import annotations

import csv
import json
import os
import re

import pytest

from edgevid.cli import main
from edgevid.convert import convert
from edgevid.demo import CLIP, MODEL, SPEC, TRUTH

RULE = "onset=0.6,offset=0.4,min=0.5s,merge=0.3s"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("events") / "demo.edgevid"
    convert(MODEL, out, spec=SPEC, target="onnx")
    return str(out)


def test_a_run_its_files_and_its_replay(demo, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    common = ["--smooth", "hmm:3s,lag=0.6s", "--events", RULE]
    files = ["--export", "e.csv", "--export", "e.vtt", "--jsonl", "run.jsonl", "--trace", "t.npz"]
    assert main(["run", demo, "--source", str(CLIP), *common, *files]) == 0
    assert "event: left begins" in capsys.readouterr().out
    truth = json.loads(TRUTH.read_text())["segments"]
    with open("e.csv") as file:
        found = list(csv.DictReader(file))
    assert [row["label"] for row in found] == [s["label"] for s in truth]
    assert all(abs(float(r["end_s"]) - s["end_s"]) < 0.9 for r, s in zip(found, truth, strict=True))

    assert main(["replay", "t.npz", "--jsonl", "again.jsonl", "--export", "again.vtt"]) == 0
    assert "events: 8" in capsys.readouterr().out
    hour = re.compile(rb',"unix_s":[0-9.]+')
    with open("run.jsonl", "rb") as one, open("again.jsonl", "rb") as other:
        run, again = one.read(), other.read()
        assert len(hour.findall(run)) == len(run.splitlines())
        assert hour.sub(b"", run) == hour.sub(b"", again)
    with open("e.vtt") as one, open("again.vtt") as other:
        assert one.read() == other.read()

    assert main(["replay", "t.npz", "--smooth", "none", "--jsonl", "-", "--quiet"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    raw = [line for line in lines if line["type"] == "prediction"]
    assert all(line["label"] == line["raw_label"] for line in raw)
    assert sorted(os.listdir()) == [
        "again.jsonl", "again.vtt", "e.csv", "e.vtt", "run.jsonl", "t.npz",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--export", "e.csv"], "there are none without --events"),
        (["--events", RULE, "--export", "e.txt"], "no format has this ending"),
        (["--events", "onset=0.4,offset=0.6"], "offset 0.6 lies above onset 0.4"),
        (["--events", "wave: onset=0.4"], "the model has no label 'wave'"),
        (["--events", RULE, "--export", "gone/e.csv"], "its folder does not exist"),
        (["--smooth", "hmm:2"], "probability of staying above 0 and below 1"),
        (["--smooth", "hmm:file=gone.csv"], "transitions gone.csv cannot be read"),
    ],
)
def test_mistakes_are_one_line(demo, tmp_path, capsys, monkeypatch, options, says) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", demo, "--source", str(CLIP), "--trace", "t.npz", "--quiet"]) == 0
    capsys.readouterr()
    before = sorted(os.listdir())
    for command in (["run", demo, "--source", str(CLIP)], ["replay", "t.npz"]):
        assert main([*command, *options]) == 2
        error = capsys.readouterr().err
        assert says in error
        assert "Traceback" not in error
        last = error.strip().splitlines()[-1]
        assert last.startswith("edgevid: error: ")
    assert sorted(os.listdir()) == before


def test_subtitles_of_two_sources_are_refused(demo, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    sources = ["--source", str(CLIP), "--source", "synthetic:?seconds=2"]
    assert main(["run", demo, *sources, "--events", RULE, "--export", "e.vtt"]) == 2
    assert "about one video, and there are 2" in capsys.readouterr().err
    assert os.listdir() == []


def test_what_is_no_trace_is_one_line(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.npz").write_text("text")
    for name in ("t.npz", "gone.npz"):
        assert main(["replay", name]) == 2
        error = capsys.readouterr().err
        assert error.startswith("edgevid: error: ")
        assert error.count("\n") == 1


def test_a_model_of_several_labels_sees_several_at_once(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = SPEC.read_text().replace('kind = "logits"', 'kind = "sigmoid"')
    (tmp_path / "spec.toml").write_text(spec)
    convert(MODEL, "many.edgevid", spec=tmp_path / "spec.toml", target="onnx")
    run = ["run", "many.edgevid", "--source", str(CLIP), "--quiet"]
    assert main([*run, "--smooth", "hmm:0.9"]) == 2
    assert "hmm assumes one label at a time" in capsys.readouterr().err
    files = ["--trace", "t.npz", "--export", "e.csv"]
    assert main([*run, "--smooth", "logmean:4", "--events", RULE, *files]) == 0
    with open("e.csv") as file:
        spans = [(float(r["start_s"]), float(r["end_s"])) for r in csv.DictReader(file)]
    assert any(a < d and c < b for a, b in spans for c, d in spans if (a, b) != (c, d))
    assert main(["replay", "t.npz", "--plot", "t.png"]) == 0
    lines = capsys.readouterr().out.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("  events "))
    assert lines[first + 1].startswith("            ")
    assert main(["replay", "t.npz", "--smooth", "vote:3"]) == 2
    assert "vote assumes one label at a time" in capsys.readouterr().err
