"""INT8 from the command line to the runtime, on the shipped model and on real ones."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from contracts import LRCN

import edgevid
from edgevid import demo
from edgevid.convert import convert
from edgevid.convert.quantize.procedure import QuantizeSettings

pytestmark = pytest.mark.timeout(240)


def command(*arguments, cwd) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "edgevid", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=200, cwd=cwd,
    )  # fmt: skip


@pytest.fixture(scope="module")
def int8_demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("int8")
    done = command(
        "convert", demo.MODEL, "--spec", demo.SPEC, "--calib", demo.CLIP, "--target", "onnx",
        "--out", "demo.edgevid", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "demo.edgevid", done


def test_the_demo_in_int8_sees_the_same_motions(int8_demo):
    bundle = edgevid.load(int8_demo[0])
    assert bundle.manifest.precision == "int8"
    truth = json.loads(demo.TRUTH.read_text())["segments"]
    settled = right = 0
    for p in edgevid.stream(bundle, demo.CLIP):
        inside = [s for s in truth if s["start_s"] <= p.start_s and p.end_s <= s["end_s"]]
        settled += bool(inside)
        right += bool(inside) and inside[0]["label"] == p.label
    assert settled > 80
    assert right >= 0.97 * settled


def test_the_bundle_says_how_int8_was_found(int8_demo):
    path, done = int8_demo
    bundle = edgevid.load(path)
    said = bundle.manifest.quantised
    assert said is not None
    assert (said.calibration_clips, said.evaluation_clips) == (64, 128)
    assert said.top1_agreement >= 0.99
    assert said.verdict in done.stdout
    report = json.loads((path / "report.json").read_text())["quantisation"]
    assert report["calibration"]["sha256"] == said.calibration_sha256
    assert {c["name"] for c in report["candidates"]} == {"INT8", "FP16", "FP32"}
    page = (path / "report.html").read_text()
    assert "INT8" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    sizes = {n: (path / n).stat().st_size for n in ("model.onnx", "reference.onnx")}
    assert sizes["model.onnx"] < 0.35 * sizes["reference.onnx"]
    bundle.verify_all()


def test_no_clip_of_the_reference_changes_its_label(data, tmp_path):
    settings = QuantizeSettings(calib=(str(data / "clips"),), calib_clips=40)
    model = data / "models/lrcn-ucf50/model.onnx"
    convert(model, tmp_path / "b", spec=LRCN, quantize=settings, target="onnx")
    bundle = edgevid.load(tmp_path / "b")
    assert bundle.manifest.precision in ("int8", "mixed")
    answers = json.loads((model.parent / "reference.json").read_text())
    for clip, scores in answers.items():
        (p,) = list(edgevid.stream(bundle, data / "clips" / clip))
        assert p.label == bundle.labels[int(np.argmax(scores["lrcn_model2"]))], clip


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--precision", "int8"], "--calib"),
        (["--calib-clips", "8"], "--calib-clips"),
        (["--precision", "fp16", "--calib", str(demo.CLIP)], "--calib"),
        (["--calib", "missing.mp4"], "missing.mp4"),
        (["--calib", "clips.csv"], "wobble"),
        (["--calib", str(demo.CLIP), "--max-drop", "2"], "max_drop"),
        (["--example-shape", "1,3"], "--example-shape"),
        (["--example-shape", "many"], "many"),
    ],
)
def test_mistakes_are_one_clear_line_and_leave_nothing(tmp_path, arguments, says):
    (tmp_path / "clips.csv").write_text(f"path,label\n{demo.CLIP},wobble\n")
    done = command(
        "convert", demo.MODEL, "--spec", demo.SPEC, "--target", "onnx", "--out", "b.edgevid",
        *arguments, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("edgevid: error: ")
    assert says in last
    assert "Traceback" not in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["clips.csv"]


def test_ctrl_c_while_quantising_leaves_nothing(tmp_path):
    log, work = tmp_path / "log", tmp_path / "work"
    work.mkdir()
    with log.open("w") as errors:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "edgevid", "convert", str(demo.MODEL),
                "--spec", str(demo.SPEC), "--calib", str(demo.CLIP), "--out", "b.edgevid",
            ],
            stderr=errors, cwd=work,
        )  # fmt: skip
    deadline = time.monotonic() + 60
    while "Judging" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.wait(30)
    assert process.returncode == 130, log.read_text()
    assert list(work.iterdir()) == []


def test_torchscript_gives_the_bundle_that_onnx_gives(data, bundles, tmp_path):
    pytest.importorskip("torch")
    script = data / "models/lrcn-ucf50/model.torchscript.pt"
    convert(script, tmp_path / "b", spec=_renamed(LRCN), example_shape=(1, 20, 3, 128, 128),
            target="onnx")  # fmt: skip
    clip = data / "clips" / "v_Biking_g06_c03.avi"
    (script_says,) = list(edgevid.stream(tmp_path / "b", clip))
    (onnx_says,) = list(edgevid.stream(bundles("lrcn-ucf50", "fp32"), clip))
    assert np.abs(script_says.scores - onnx_says.scores).max() <= 1e-4


def _renamed(spec):
    """The same contract, whatever the exporter calls the one input."""
    (table,) = spec["inputs"]
    return spec | {"inputs": [{k: v for k, v in table.items() if k != "name"}]}
