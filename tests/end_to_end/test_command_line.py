"""The commands as a user types them, in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgevid import demo
from edgevid.manifest import Bundle

pytestmark = pytest.mark.timeout(120)


def edgevid(*arguments, cwd=None, **environment) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "edgevid", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=100, cwd=cwd,
        env=os.environ | environment,
    )  # fmt: skip


def is_one_clear_line(done: subprocess.CompletedProcess) -> bool:
    lines = done.stderr.strip().splitlines()
    return (
        done.returncode == 2
        and len(lines) == 1
        and lines[0].startswith("edgevid: error: ")
        and not done.stdout
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "demo.edgevid"
    done = edgevid("convert", demo.MODEL, "--spec", demo.SPEC, "--out", out)
    assert done.returncode == 0, done.stderr
    return out


def test_the_demo_bundle_sees_every_motion_of_the_demo_clip(bundle, tmp_path):
    lines, figures = tmp_path / "p.jsonl", tmp_path / "s.json"
    done = edgevid(
        "run", bundle, "--source", demo.CLIP, "--smooth", "mean:4",
        "--jsonl", lines, "--summary", figures,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    predictions = [json.loads(line) for line in lines.read_text().splitlines()]
    truth = json.loads(demo.TRUTH.read_text())["segments"]

    def at(time_s):
        return next((s["label"] for s in truth if s["start_s"] <= time_s < s["end_s"]), None)

    # A window lies inside one motion, and the mean of four has settled on it.
    settled = [p for p in predictions if at(p["start_s"] - 1.0) == at(p["end_s"]) is not None]
    assert len(settled) > 40
    assert sum(p["label"] == at(p["end_s"]) for p in settled) / len(settled) >= 0.97
    assert {s["label"] for s in truth} <= {p["label"] for p in predictions}

    summary = json.loads(figures.read_text())
    assert summary["clips"] == len(predictions)
    assert summary["frames_dropped"] == summary["frames_lost"] == 0
    assert summary["frames_read"] == summary["frames_used"] + summary["frames_skipped"]
    for span in summary["sources"][0]["timeline"]:
        assert f"{span['label']}" in done.stderr
    assert all(label["label"] in done.stdout for label in summary["sources"][0]["timeline"])


def test_json_lines_go_to_stdout_and_nothing_else_does(bundle):
    done = edgevid("run", bundle, "--source", demo.CLIP, "--jsonl", "-", "--max-clips", "7")
    assert done.returncode == 0
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["index"] for line in lines] == list(range(7))
    assert "7 clips" in done.stderr


def test_a_bare_model_is_converted_once_and_kept(tmp_path):
    command = ["run", demo.MODEL, "--spec", demo.SPEC, "--source", demo.CLIP, "--max-clips", 3]
    first = edgevid(*command, "--jsonl", "-", XDG_CACHE_HOME=str(tmp_path))
    assert first.returncode == 0, first.stderr
    made = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("manifest.json")}
    assert len(made) == 1
    second = edgevid(*command, "--jsonl", "-", XDG_CACHE_HOME=str(tmp_path))
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("manifest.json")} == made
    labels = [[json.loads(x)["label"] for x in d.stdout.splitlines()] for d in (first, second)]
    assert labels[0] == labels[1]


def test_an_annotated_video_has_every_frame_at_its_time(bundle, tmp_path):
    import edgevid as api

    out = tmp_path / "seen.mp4"
    done = edgevid("run", bundle, "--source", demo.CLIP, "--video", out, "--duration", "3")
    assert done.returncode == 0, done.stderr
    times = []
    for path in (demo.CLIP, out):
        source = api.open_source(str(path))
        times.append([])
        while (frame := source.read()) is not None and frame.time.pts_s < 3.0:
            times[-1].append(frame.time.pts_s)
        source.close()
    assert times[1] == pytest.approx(times[0], abs=0.002)


def test_ctrl_c_ends_cleanly_with_the_summary(bundle, tmp_path):
    lines = tmp_path / "p.jsonl"
    process = subprocess.Popen(
        [
            sys.executable, "-m", "edgevid", "run", str(bundle),
            "--source", "synthetic:?seconds=600&live=1", "--jsonl", str(lines),
        ],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (lines.exists() and lines.stat().st_size):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert "clips in" in errors
    assert "Traceback" not in errors
    indices = [json.loads(line)["index"] for line in lines.read_text().splitlines()]
    assert indices == list(range(len(indices)))


def test_ctrl_c_during_conversion_leaves_nothing_or_a_whole_bundle(tmp_path):
    out = tmp_path / "b.edgevid"
    for delay in (0.3, 0.8, 1.3, 1.8):
        process = subprocess.Popen(
            [
                sys.executable, "-m", "edgevid", "convert", str(demo.MODEL),
                "--spec", str(demo.SPEC), "--out", str(out),
            ],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        if process.returncode == 0:
            break
        # Before Python has installed its handler, the signal itself ends the process.
        assert process.returncode in (130, -signal.SIGINT, 1), errors
        assert process.returncode != 1 or delay < 1
        left = list(tmp_path.iterdir())
        assert left in ([], [out])
        if left:  # The signal came after the bundle was whole.
            Bundle.load(out).verify_all()
            break


@pytest.fixture
def wrong_files(tmp_path):
    (tmp_path / "text.mp4").write_text("this is no video\n" * 20)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "nothing").mkdir()
    (tmp_path / "text.onnx").write_text("this is no model\n" * 20)
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "labels.txt").write_text("one\ntwo\n")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("missing.mp4", "missing.mp4"),
        ("nothing", "nothing"),
        ("*.avi", "*.avi"),
        ("text.mp4", "text.mp4"),
        ("empty.mp4", "empty.mp4"),
        ("/dev/video97", "/dev/video97"),
        ("rtsp://user:secret@127.0.0.1:9/stream", "127.0.0.1"),
    ],
)
def test_sources_that_cannot_be_are_one_clear_line(bundle, wrong_files, source, says):
    kept = wrong_files / "kept.jsonl"
    kept.write_text("older results\n")
    done = edgevid("run", bundle, "--source", source, "--jsonl", kept, cwd=wrong_files)
    assert is_one_clear_line(done), done.stderr
    assert says in done.stderr
    assert "secret" not in done.stderr
    assert kept.read_text() == "older results\n"


def test_a_folder_plays_what_it_can_and_reports_the_rest(bundle, wrong_files):
    (wrong_files / "good.mp4").symlink_to(demo.CLIP)
    figures = wrong_files / "s.json"
    done = edgevid("run", bundle, "--source", wrong_files, "--summary", figures)
    assert done.returncode == 0, done.stderr
    warned = [line for line in done.stderr.splitlines() if "warning" in line]
    assert len(warned) == 2
    assert "empty.mp4" in warned[0]
    assert "text.mp4" in warned[1]
    assert json.loads(figures.read_text())["clips"] == 117

    (wrong_files / "good.mp4").unlink()
    done = edgevid("run", bundle, "--source", wrong_files, "--quiet")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "edgevid: error: none of the 2 sources could be played"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--smooth", "mean:0"], "mean:0"),
        (["--smooth", "median"], "median"),
        (["--hop", "-1"], "--hop -1.0"),
        (["--engine", "abacus"], "abacus"),
        (["--max-clips", "0"], "--max-clips 0"),
        (["--duration", "-2"], "--duration -2.0"),
        (["--preset", "imagenet"], "--preset"),
        (["--jsonl", "/proc/nowhere/x.jsonl"], "/proc/nowhere/x.jsonl"),
        (["--video", "x.txt"], "x.txt"),
        (["--source", str(demo.CLIP)], "twice"),
    ],
)
def test_wrong_options_are_one_clear_line(bundle, arguments, says):
    done = edgevid("run", bundle, "--source", demo.CLIP, *arguments)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert says in lines[-1]
    assert lines[-1].startswith("edgevid: error: ")


def test_no_source_says_how_to_name_one(bundle):
    done = edgevid("run", bundle)
    assert is_one_clear_line(done)
    assert "--source" in done.stderr


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("missing.onnx", "missing.onnx"),
        ("text.onnx", "text.onnx"),
        ("empty.onnx", "empty.onnx"),
    ],
)
def test_models_that_cannot_be_are_one_clear_line(wrong_files, model, says):
    before = sorted(wrong_files.iterdir())
    done = edgevid("convert", model, cwd=wrong_files)
    assert is_one_clear_line(done), done.stderr
    assert says in done.stderr
    assert sorted(wrong_files.iterdir()) == before


@pytest.mark.parametrize(
    "name", ["bad/lfs_pointer_model.onnx", "bad/trt_polygraphy_bad_graph.onnx"]
)
def test_the_bad_models_are_one_clear_line(data, tmp_path, name):
    done = edgevid("convert", data / name, cwd=tmp_path)
    assert is_one_clear_line(done), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_pointer_names_git_lfs(data, tmp_path):
    done = edgevid("convert", data / "bad/lfs_pointer_model.onnx", cwd=tmp_path)
    assert "git lfs pull" in done.stderr


def test_a_header_that_claims_too_much_is_played_and_reported(bundle, data):
    done = edgevid("run", bundle, "--source", data / "bad/claims-50-frames-holds-28.mp4")
    assert done.returncode == 0, done.stderr
    assert "28 read" in done.stderr
    assert "22 lost" in done.stderr
    assert "50" in done.stderr


def test_labels_that_do_not_match_name_both_counts(wrong_files):
    done = edgevid("convert", demo.MODEL, "--labels", "labels.txt", cwd=wrong_files)
    assert is_one_clear_line(done), done.stderr
    assert "2 labels" in done.stderr
    assert not list(wrong_files.glob("*.edgevid"))


def test_a_changed_graph_is_never_run(bundle, tmp_path):
    import shutil

    copy = tmp_path / "copy.edgevid"
    shutil.copytree(bundle, copy)
    graph = copy / "model.onnx"
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 1
    graph.write_bytes(data)
    done = edgevid("run", copy, "--source", demo.CLIP)
    assert is_one_clear_line(done), done.stderr
    assert "model.onnx was changed" in done.stderr


def test_a_full_disk_under_the_json_lines_is_one_clear_line(bundle):
    done = edgevid("run", bundle, "--source", demo.CLIP, "--jsonl", "/dev/full")
    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_permission_to_write_the_bundle(tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    target = Path("/proc/self/b.edgevid") if os.geteuid() == 0 else locked / "b.edgevid"
    done = edgevid("convert", demo.MODEL, "--spec", demo.SPEC, "--out", target)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("edgevid: error: cannot write")
    assert list(locked.iterdir()) == []


def test_a_reader_that_goes_away_is_no_error(bundle):
    command = (
        f"{sys.executable} -m edgevid run {bundle} --source {demo.CLIP} --jsonl - -q | head -n 1"
    )
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60
    )
    assert json.loads(done.stdout)["index"] == 0
    assert done.stderr == ""
