"""`edgevid tune` on the demo clip: figures, files, what it writes, and mistakes."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest

from edgevid.api import decision_rules
from edgevid.cli import main
from edgevid.convert import convert
from edgevid.demo import CLIP, MODEL, SPEC, TRUTH
from edgevid.manifest import Bundle, Decision
from edgevid.smoothing.transitions import write_transitions
from edgevid.tuning import candidates

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The demo bundle and a trace of it on the demo clip."""
    folder = tmp_path_factory.mktemp("tune")
    convert(MODEL, folder / "demo.edgevid", spec=SPEC, target="onnx")
    run = ["run", str(folder / "demo.edgevid"), "--source", str(CLIP), "--quiet"]
    assert main([*run, "--trace", str(folder / "t.npz")]) == 0
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def few(monkeypatch):
    """A handful of settings instead of a thousand."""
    monkeypatch.setattr(
        candidates, "smoothers", lambda _: ["none", "mean:8", "ema:0.4", "vote:9", "hmm:3s,lag=1s"]
    )
    monkeypatch.setattr(candidates, "event_rules", lambda: [candidates.EventRule(0.6, 0.4, 0.5)])


def _tune(*options: str) -> int:
    return main(["tune", "demo.edgevid", "--truth", str(TRUTH), *options])


@pytest.mark.usefixtures("few")
def test_from_the_model_and_from_its_trace(folder, capsys) -> None:
    assert _tune("--video", str(CLIP), "--json", "a.json") == 0
    out = capsys.readouterr().out
    assert "settings on 24 s of video" in out
    assert "ema:0.4" in out
    assert "mean onset delay" in out
    assert _tune("--trace", "t.npz", "--json", "b.json", "--html", "t.html", "--try", "vote:5") == 0
    one, other = (json.loads((folder / name).read_text()) for name in ("a.json", "b.json"))
    assert one["choice"]["smooth"] == other["choice"]["smooth"]
    for a, b in zip(one["labels"][:5], other["labels"][:5], strict=True):
        assert a["frame_accuracy"] == pytest.approx(b["frame_accuracy"], abs=0.01)
        assert (a["switches"], a["missed"]) == (b["switches"], b["missed"])
    assert "vote:5" in [t["smooth"] for t in other["labels"]]
    page = (folder / "t.html").read_text()
    assert page.count("<svg") == 2
    assert "hmm:3s,lag=1s" in page


@pytest.mark.usefixtures("few")
def test_what_is_written_is_what_run_does(folder, capsys) -> None:
    assert _tune("--trace", "t.npz", "--write") == 0
    decision = Bundle.load("demo.edgevid").manifest.decision
    assert decision is not None
    assert "raw" in decision.tuned_on
    assert main(["inspect", "demo.edgevid"]) == 0
    assert "smoothing" in capsys.readouterr().out

    source = ["--source", str(CLIP)]
    assert main(["run", "demo.edgevid", *source, "--jsonl", "own.jsonl"]) == 0
    assert f"From the bundle: smoothing {decision.smooth}" in capsys.readouterr().err
    said = ["--smooth", decision.smooth, "--events", *decision.events]
    assert main(["run", "demo.edgevid", *source, "--jsonl", "said.jsonl", *said]) == 0
    without = ["--smooth", "none", "--events", "none"]
    assert main(["run", "demo.edgevid", *source, "--jsonl", "raw.jsonl", *without]) == 0
    assert "From the bundle" not in capsys.readouterr().err
    own, told, raw = (_labels(folder / f"{name}.jsonl") for name in ("own", "said", "raw"))
    assert own == told
    assert "event" in {kind for kind, _ in own}
    assert {kind for kind, _ in raw} == {"prediction"}


def _labels(path) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [(line["type"], line["label"]) for line in lines]


def test_learned_transitions_go_into_the_bundle(folder) -> None:
    bundle = Bundle.load("demo.edgevid")
    even = write_transitions(np.full((8, 8), 1 / 8), bundle.labels)
    bundle.set_decision(Decision(smooth="hmm:file=transitions.csv,lag=3"), even)
    loaded = Bundle.load(folder / "demo.edgevid")
    assert [a.path for a in loaded.manifest.artifacts if a.kind == "transitions"]
    rules = decision_rules(loaded)
    assert rules.smooth == f"hmm:file={folder / 'demo.edgevid' / 'transitions.csv'},lag=3"
    loaded.set_decision(None)
    assert decision_rules(Bundle.load("demo.edgevid")).smooth == "none"


@pytest.mark.parametrize(
    ("segments", "says"),
    [
        ([("left", 0, 3), ("wave", 3, 6)], "does not know 1 of the labels: 'wave'"),
        ([("left", 0, 3), ("up", 2, 6)], "before segment 1 ends"),
        ([("left", 3, 1)], "it ends at 1 s, before it starts at 3 s"),
        ([("left", -3, 1)], "start_s"),
        ([("left", 100, 101)], "no true segment lies within the videos"),
        ([], "segments"),
    ],
)
@pytest.mark.usefixtures("few")
def test_truth_that_cannot_be_right(folder, capsys, segments, says) -> None:
    rows = [{"label": name, "start_s": a, "end_s": b} for name, a, b in segments]
    (folder / "truth.json").write_text(json.dumps({"segments": rows}))
    before = (folder / "demo.edgevid" / "manifest.json").read_bytes()
    command = ["tune", "demo.edgevid", "--truth", "truth.json", "--trace", "t.npz", "--write"]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error
    assert (folder / "demo.edgevid" / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--trace", "gone.npz"], "no such trace"),
        (["--try", "nothing:1", "--trace", "t.npz"], "unknown smoothing"),
        (["--video", "gone.mp4"], "gone.mp4"),
        ([], "does not name its video"),
        (["--max-delay", "0", "--trace", "t.npz"], "max-delay"),
    ],
)
@pytest.mark.usefixtures("few")
def test_mistakes_are_one_line(folder, capsys, options, says) -> None:
    truth = json.loads(TRUTH.read_text())
    truth.pop("video", None)
    (folder / "truth.json").write_text(json.dumps(truth))
    assert main(["tune", "demo.edgevid", "--truth", "truth.json", *options]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


@pytest.mark.usefixtures("few")
def test_a_video_that_is_missing_is_left_out_and_said(folder, capsys) -> None:
    truth = json.loads(TRUTH.read_text())["segments"]
    rows = [f"{CLIP},{s['label']},{s['start_s']},{s['end_s']}" for s in truth]
    rows += ["gone.mp4,left,0,2", "gone.mp4,up,2,4"]
    (folder / "truth.csv").write_text("\n".join(["path,label,start_s,end_s", *rows]))
    assert main(["tune", "demo.edgevid", "--truth", "truth.csv", "--no-events"]) == 3
    captured = capsys.readouterr()
    assert "left out: no such file: " in captured.err
    assert "settings on 24 s of video" in captured.out


@pytest.mark.usefixtures("few", "folder")
def test_a_trace_of_another_model_is_refused(capsys) -> None:
    with np.load("t.npz") as file:
        arrays = {name: file[name] for name in file.files}
    info = json.loads(str(arrays["info"]))
    info["labels"][0] = "other"
    np.savez("t.npz", **arrays | {"info": np.array(json.dumps(info))})
    assert _tune("--trace", "t.npz") == 2
    assert "other labels" in capsys.readouterr().err
    assert sorted(os.listdir()) == ["demo.edgevid", "t.npz"]
