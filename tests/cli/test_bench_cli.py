"""`edgevid bench` as a user types it: every scenario on the demo bundle, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnx
import pytest

from edgevid import demo
from edgevid.benchmarks.harness.results import load
from edgevid.cli import main
from edgevid.convert import convert

pytestmark = pytest.mark.timeout(120)

QUICK = ("--duration", "0.4", "--rounds", "2")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> str:
    out = tmp_path_factory.mktemp("bundles") / "demo.edgevid"
    convert(demo.MODEL, out, spec=demo.SPEC, precision="fp32", target="onnx")
    return str(out)


@pytest.fixture(scope="module")
def fixed(bundle, tmp_path_factory) -> str:
    """The same, but its graph takes one clip in a call."""
    out = tmp_path_factory.mktemp("fixed") / "fixed.edgevid"
    shutil.copytree(bundle, out)
    model = onnx.load(out / "model.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, out / "model.onnx")
    manifest = json.loads((out / "manifest.json").read_text())
    entry = next(a for a in manifest["artifacts"] if a["kind"] == "model")
    entry["sha256"] = hashlib.sha256((out / "model.onnx").read_bytes()).hexdigest()
    (out / "manifest.json").write_text(json.dumps(manifest))
    return str(out)


def measured(tmp_path, *arguments):
    """The result that the command writes; it must succeed."""
    path = tmp_path / "bench.json"
    assert main(["bench", *arguments, "--json", str(path), "--quiet"]) == 0
    return load(path)


def refused(capsys, *arguments) -> str:
    assert main(["bench", *arguments]) == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert "Traceback" not in captured.err
    return captured.err


def test_single_tells_where_the_time_of_a_clip_goes(bundle, tmp_path):
    result = measured(tmp_path, bundle, *QUICK)
    assert set(result.stages) == {"capture", "preprocess", "infer", "post"}
    assert next(iter(result.figures)) == "p90_ms"
    assert len(result.samples.rounds) == 2
    spent = sum(stage.mean_ms for stage in result.stages.values())
    assert spent == pytest.approx(result.figures["mean_ms"].value, rel=0.1)
    assert result.settings.clips == ("demo.mp4",)
    assert result.model.sha256.keys() == {"model.onnx"}
    assert result.figures["p50_ms"].low < result.figures["p50_ms"].high


def test_an_engine_alone_takes_noise_or_real_clips(bundle, tmp_path):
    noise = measured(tmp_path, bundle, "--engine-only", *QUICK)
    assert set(noise.stages) == {"infer"}
    assert noise.settings.clips == ("random",)
    real = measured(tmp_path, bundle, "--engine-only", "--clips", str(demo.CLIP), *QUICK)
    assert real.settings.clips == ("demo.mp4",)


def test_multi_has_a_clip_of_each_stream_in_a_query(bundle, tmp_path):
    result = measured(tmp_path, bundle, "--scenario", "multi", "--streams", "3", *QUICK)
    assert result.samples.clips_per_query == 3
    assert result.settings.streams == 3


@pytest.mark.parametrize("only", [(), ("--engine-only",)])
def test_offline_gives_clips_a_second(bundle, only, tmp_path):
    result = measured(tmp_path, bundle, "--scenario", "offline", "--batch", "2", *only, *QUICK)
    assert result.figures["clips_per_s"].value > 1
    assert result.settings.batch == 2


def test_server_keeps_its_queries_and_what_it_tried(bundle, tmp_path):
    arguments = ("--scenario", "server", "--target-ms", "400", "--engine-only", *QUICK)
    result = measured(tmp_path, bundle, *arguments)
    assert next(iter(result.figures)) == "rate_per_s"
    assert len(result.search) >= 2
    assert set(result.stages) <= {"queue", "infer"}


def test_live_plays_as_cameras_do(bundle, tmp_path):
    live = ("--scenario", "live", "--streams", "2", "--duration", "1", "--rounds", "1")
    result = measured(tmp_path, bundle, *live)
    assert result.figures["streams"].value == 2
    assert 20 < result.figures["fps"].value < 70  # two clips of 30 frames a second
    assert {"capture", "infer"} <= set(result.stages)


def test_live_says_where_not_even_one_stream_holds(bundle, capsys):
    given = ("--scenario", "live", "--target-ms", "0.001", "--duration", "1")
    assert "not even one stream holds: p99 is" in refused(capsys, bundle, *given)


def test_a_live_source_is_measured_as_it_comes(bundle, tmp_path):
    live = ("--scenario", "live", "--clips", "synthetic:?live=1&seconds=10", "--duration", "1")
    result = measured(tmp_path, bundle, *live, "--rounds", "1")
    assert result.figures["streams"].value == 1


def test_the_table_and_the_pages_are_written(bundle, tmp_path, capsys):
    pages = [tmp_path / "b.md", tmp_path / "b.html"]
    given = ["bench", bundle, "--engine-only", *QUICK, "--markdown", str(pages[0])]
    assert main([*given, "--html", str(pages[1])]) == 0
    assert "p90" in capsys.readouterr().out
    assert "p90" in pages[0].read_text()
    assert pages[1].read_text().startswith("<!DOCTYPE html>")


def test_json_can_go_to_stdout(bundle, capsys):
    assert main(["bench", bundle, "--engine-only", *QUICK, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["scenario"] == "single"


def test_an_unknown_scenario_is_refused(bundle, capsys):
    assert "'x' is not one of" in refused(capsys, bundle, "--scenario", "x")


def test_what_is_no_bundle_is_refused(tmp_path, capsys):
    assert "no such bundle" in refused(capsys, str(tmp_path / "none.edgevid"))
    (tmp_path / "file").write_text("")
    assert "is not a bundle" in refused(capsys, str(tmp_path / "file"))


@pytest.mark.parametrize(
    "given",
    [
        ("--scenario", "offline", "--batch", "8", "--engine-only"),
        ("--scenario", "multi", "--streams", "8"),
        ("--scenario", "server", "--target-ms", "90", "--batch", "8"),
    ],
)
def test_a_batch_beyond_the_model_is_refused(fixed, given, capsys):
    said = refused(capsys, fixed, *given, *QUICK)
    assert "the model takes one clip in a call, not 8" in said


def test_a_model_with_a_fixed_batch_is_measured_alone(fixed, tmp_path):
    offline = measured(tmp_path, fixed, "--scenario", "offline", "--engine-only", *QUICK)
    assert offline.figures["batch"].value == 1


def test_a_target_below_the_bare_time_is_refused(bundle, capsys):
    given = ("--scenario", "server", "--target-ms", "0.001", "--engine-only", *QUICK)
    said = refused(capsys, bundle, *given)
    assert "no rate keeps p99 under 0.001 ms: one clip alone takes" in said
    assert "needs 0 queries" not in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--duration", "0"), "--duration 0 must be above 0"),
        (("--duration", "nan"), "--duration nan must be above 0"),
        (("--rounds", "0"), "--rounds 0 must be at least 1"),
        (("--percentile", "100"), "p100"),
        (("--batch", "2"), "--batch does not apply to single"),
        (("--streams", "2"), "--streams does not apply to single"),
        (("--target-ms", "5"), "--target-ms does not apply to single"),
        (("--scenario", "live", "--engine-only"), "--engine-only does not apply to live"),
        (("--scenario", "server"), "Give --target-ms"),
        (("--engine", "abacus"), "unknown engine 'abacus'"),
        (("--clips", "synthetic:?live=1"), "is live: only --scenario live"),
        (("--clips", "none.mp4"), "none.mp4"),
        (("--spec", "s.toml"), "--spec belongs to a MODEL.onnx"),
    ],
)
def test_options_that_cannot_be_right_are_refused(bundle, given, said, capsys):
    assert said in refused(capsys, bundle, *given)


def test_files_that_are_no_video_are_refused(bundle, tmp_path, capsys):
    text = tmp_path / "notes.mp4"
    text.write_text("no video\n" * 100)
    for only in ((), ("--engine-only",)):
        assert "notes.mp4" in refused(capsys, bundle, "--clips", str(text), *only)


@pytest.mark.parametrize("option", ["--json", "--html", "--markdown"])
def test_a_file_that_cannot_be_written_is_refused_before_the_run(bundle, option, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    begun = time.monotonic()
    given = ("--duration", "600", option, str(tmp_path / "file" / "b"))
    assert "cannot write" in refused(capsys, bundle, *given)
    assert time.monotonic() - begun < 60


def interrupted(after: str, *arguments, wait_s: float = 0.0) -> subprocess.CompletedProcess:
    """Ctrl-C, `wait_s` after the command says `after`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "edgevid", "bench", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stderr is not None
    while after not in (line := process.stderr.readline()):
        assert line, "the command ended"
    time.sleep(wait_s)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def test_ctrl_c_ends_with_what_was_measured(bundle, tmp_path):
    path = tmp_path / "b.json"
    given = (bundle, "--engine-only", "--duration", "600", "--rounds", "600", "--json", str(path))
    done = interrupted("Measuring:", *given)
    assert done.returncode == 130, done.stderr
    assert "interrupted" in done.stdout
    assert "Traceback" not in done.stderr
    result = load(path)
    assert result.marked("interrupted")
    assert result.figures["p50_ms"].value > 0


def test_ctrl_c_before_anything_was_measured_leaves_nothing(bundle, tmp_path):
    path = tmp_path / "b.json"
    clip = "synthetic:?size=64x64&fps=1/20&seconds=600"
    given = ("--scenario", "live", "--streams", "1", "--clips", clip, "--duration", "300")
    done = interrupted("Engine:", bundle, *given, "--json", str(path), wait_s=3)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert list(Path(tmp_path).iterdir()) == []
