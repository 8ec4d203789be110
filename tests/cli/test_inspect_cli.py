"""`edgevid inspect`: what it shows, what it checks, and its one-line errors."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from edgevid.cli import main
from edgevid.cli.inspect import examine, human_size, manifest_schema, plan_use, render
from edgevid.device import Machine
from edgevid.manifest import Bundle

SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "manifest.schema.json"
MODEL_HASH = hashlib.sha256(b"the graph").hexdigest()[:8]


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    status = main(["inspect", *map(str, arguments)])
    out, err = capsys.readouterr()
    return status, out, err


def one_line_mistake(result: tuple[int, str, str]) -> str:
    status, _, err = result
    assert status == 2
    assert err.startswith("edgevid: error: ")
    assert err.count("\n") == 1
    return err


def test_everything_is_shown(handmade_bundle, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    status, out, err = run(capsys, handmade_bundle())
    assert (status, err) == (0, "")
    for fact in (
        "gesture",
        "g.onnx (sha256 abababababab)",
        "3: left, right, up",
        "fp16",
        "every 4th frame of the video at 30 fps, 0.133 s apart",
        "A window spans 2.13 s, a new one every 0.5 s.",
        "16 frames, 112 high, 112 wide, layout NCTHW",
        "shorter side to 128 (linear), then the centre cut out",
        "RGB, x = (pixel / 255 - [0.43216, 0.394666, 0.37645]) / [0.22803, 0.22145, 0.216989]",
        "3 scores in [0, 1] (softmax added in the graph)",
        "scores differ by at most 0.00025",
        "Layout NCTHW: dimension 1 of (N, 3, 16, 112, 112) is 3.",
        "ok   9 B  model      model.onnx",
    ):
        assert fact in out


@pytest.mark.parametrize("width", [50, 80, 120])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_cut(handmade_bundle, width):
    bundle = Bundle.load(handmade_bundle())
    out = Console(width=width, record=True, file=io.StringIO())
    render(bundle, examine(bundle, Machine())[0], out)
    text = out.export_text()
    assert all(len(line) <= width for line in text.splitlines())
    assert "…" not in text
    assert "Layout NCTHW: dimension 1 of (N, 3, 16, 112, 112) is 3." in " ".join(text.split())


def test_markup_in_names_is_shown_as_it_is(handmade_bundle, capsys):
    bundle = handmade_bundle(lambda m: m["model"].update(name="[bold]x[/bold] [/]"))
    status, out, _ = run(capsys, bundle)
    assert status == 0
    assert "[bold]x[/bold] [/]" in out


def test_a_terminal_without_unicode_gets_a_plain_drawing(handmade_bundle):
    bundle = Bundle.load(handmade_bundle())
    raw = io.BytesIO()
    out = Console(width=80, file=io.TextIOWrapper(raw, encoding="ascii"))
    render(bundle, examine(bundle, Machine())[0], out)
    out.file.flush()
    assert "window 1  #-#-#" in raw.getvalue().decode("ascii")


def test_a_name_that_the_terminal_cannot_show_is_no_traceback(handmade_bundle):
    bundle = handmade_bundle(lambda m: m["model"].update(name="Zürich"))
    done = subprocess.run(
        [sys.executable, "-m", "edgevid", "inspect", bundle],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Z?rich" in done.stdout


def test_json_has_the_manifest_the_labels_and_every_file(handmade_bundle, capsys, tmp_path):
    bundle = handmade_bundle()
    status, out, _ = run(capsys, bundle, "--json", "-")
    assert status == 0
    data = json.loads(out)
    assert data["ok"] is True
    assert data["labels"] == ["left", "right", "up"]
    assert data["window_s"] == pytest.approx(16 * 4 / 30)
    assert data["manifest"]["clip"]["frame_interval"] == 4
    assert [(f["path"], f["state"], f["size_bytes"]) for f in data["files"]] == [
        ("model.onnx", "ok", 9),
        ("reference.onnx", "ok", 17),
        ("labels.txt", "ok", 14),
    ]
    run(capsys, bundle, "--json", tmp_path / "i.json")
    assert json.loads((tmp_path / "i.json").read_text()) == data


@pytest.mark.parametrize("name", ["model.onnx", "labels.txt", "reference.onnx"])
def test_a_changed_file_is_named(handmade_bundle, capsys, name):
    bundle = handmade_bundle()
    (bundle / name).write_bytes(b"changed")
    assert f"{name} was changed" in one_line_mistake(run(capsys, bundle))


@pytest.mark.parametrize("name", ["model.onnx", "labels.txt", "reference.onnx"])
def test_a_missing_file_is_named(handmade_bundle, capsys, name):
    bundle = handmade_bundle()
    (bundle / name).unlink()
    assert f"{name} is missing from the bundle" in one_line_mistake(run(capsys, bundle))


def test_the_json_tells_a_changed_file_too(handmade_bundle, capsys):
    bundle = handmade_bundle()
    (bundle / "reference.onnx").write_bytes(b"changed")
    status, out, err = run(capsys, bundle, "--json", "-")
    assert status == 2
    assert err.count("\n") == 1
    data = json.loads(out)
    assert data["ok"] is False
    assert [f["state"] for f in data["files"]] == ["ok", "changed", "ok"]


def _clip(**fields):
    return lambda manifest: manifest["clip"].update(fields)


def _artifact(index, **fields):
    return lambda manifest: manifest["artifacts"][index].update(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(schema_version=99), "has schema_version 99; this edgevid reads 1"),
        (lambda m: m.pop("schema_version"), "has schema_version None"),
        (lambda m: m.update(colour="red"), "unknown key 'colour'"),
        (_clip(stride=2), "unknown key 'clip.stride'"),
        (_clip(num_frames="many"), "clip.num_frames"),
        (_clip(num_frames=0), "clip.num_frames"),
        (_clip(fps=None), "clip.fps is missing"),
        (lambda m: m.update(inputs={}), "inputs"),
        (lambda m: m.update(inputs=[]), "inputs"),
        (lambda m: m.pop("precision"), "'precision' is missing"),
        (lambda m: m.update(precision="int3"), "precision"),
        (lambda m: m["parity"].update(top1_agreement=1.5), "parity.top1_agreement"),
        (_artifact(0, path="../model.onnx"), "'../model.onnx' leaves the bundle"),
        (_artifact(0, path="/etc/passwd"), "'/etc/passwd' leaves the bundle"),
        (_artifact(0, path="a/../../b"), "leaves the bundle"),
        (_artifact(0, path=""), "leaves the bundle"),
        (_artifact(0, sha256="abc"), "artifacts.0.sha256"),
        (_artifact(0, kind="virus"), "artifacts.0.kind"),
        (lambda m: m["artifacts"].pop(0), "no file of kind 'model'"),
        (lambda m: m["artifacts"].append(m["artifacts"][0]), "a path is listed twice"),
        (lambda m: m.update(labels_file="../../etc/passwd"), "labels_file '../../etc/passwd'"),
        (lambda m: m.update(labels_file="reference.onnx"), "labels_file 'reference.onnx'"),
    ],
)
def test_a_wrong_manifest_names_the_field(handmade_bundle, capsys, change, message):
    err = one_line_mistake(run(capsys, handmade_bundle(change)))
    assert message in err
    assert "manifest.json" in err


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"schema_version": NaN}', b"[" * 100_000],
    ids=["empty", "open", "list", "null", "string", "binary", "nan", "deep"],
)
def test_a_manifest_that_is_no_json_object(handmade_bundle, capsys, text):
    bundle = handmade_bundle()
    (bundle / "manifest.json").write_bytes(text)
    assert "manifest.json" in one_line_mistake(run(capsys, bundle))


def test_what_is_no_bundle(tmp_path, capsys):
    assert "no such bundle" in one_line_mistake(run(capsys, tmp_path / "none"))
    assert "is not a bundle" in one_line_mistake(run(capsys, tmp_path))
    file = tmp_path / "model.onnx"
    file.write_bytes(b"")
    assert "is not a bundle" in one_line_mistake(run(capsys, file))
    assert "no such bundle" in one_line_mistake(run(capsys, "x" * 5000))


def test_a_folder_in_the_place_of_a_file_is_missing(handmade_bundle, capsys):
    bundle = handmade_bundle()
    (bundle / "reference.onnx").unlink()
    (bundle / "reference.onnx").mkdir()
    assert "reference.onnx is missing" in one_line_mistake(run(capsys, bundle))


def _machine(packages: dict[str, str], smi: str | None) -> Machine:
    empty = Path(__file__).parent / "no-such-root"
    return Machine(root=empty, version=packages.get, run=lambda _: smi)


ORIN = _machine({"tensorrt": "10.3.0"}, "Orin, 8.7, 540.4.0")


@pytest.mark.parametrize(
    ("key", "machine", "usable", "note"),
    [
        (f"trt-10.3.0-sm87-fp16-b1-4-{MODEL_HASH}", ORIN, True, "fits this machine"),
        ("trt-10.3.0-sm87-fp16-b1-4-deadbeef", ORIN, False, "built from another model.onnx"),
        (
            f"trt-10.13.0-sm87-fp16-b1-4-{MODEL_HASH}",
            ORIN,
            False,
            "needs tensorrt 10.13.0; 10.3.0 is installed",
        ),
        (
            f"trt-10.3.0-sm110-fp16-b1-4-{MODEL_HASH}",
            ORIN,
            False,
            "needs compute capability 11.0; this machine has 8.7",
        ),
        (
            f"trtrtx-1.7.1.116-any-fp16-b1-4-{MODEL_HASH}",
            ORIN,
            False,
            "needs tensorrt-rtx 1.7.1.116, which is not installed",
        ),
        (
            f"trtrtx-1.7.1.116-any-fp16-b1-4-{MODEL_HASH}",
            _machine({"tensorrt-rtx": "1.7.1.116"}, None),
            False,
            "needs an NVIDIA GPU",
        ),
        (
            f"trtrtx-1.7.1.116-any-fp16-b1-4-{MODEL_HASH}",
            _machine({"tensorrt-rtx": "1.7.1.116"}, "RTX 4070, 8.9, 575.1"),
            True,
            "fits this machine",
        ),
        ("something-else", ORIN, False, "its key is of an unknown form"),
    ],
)
def test_which_cached_engines_this_machine_could_use(handmade_bundle, key, machine, usable, note):
    bundle = Bundle.load(handmade_bundle(plan_keys=(key,)))
    assert plan_use(bundle.manifest.artifacts[-1], bundle.manifest, machine) == (usable, note)
    [plan] = [file for file in examine(bundle, machine)[0] if file.kind == "plan"]
    assert plan.usable is usable


def test_a_changed_plan_is_never_usable(handmade_bundle):
    path = handmade_bundle(plan_keys=(f"trt-10.3.0-sm87-fp16-b1-4-{MODEL_HASH}",))
    next((path / "engines").iterdir()).write_bytes(b"evil")
    files, problem = examine(Bundle.load(path), ORIN)
    assert (files[-1].state, files[-1].usable) == ("changed", False)
    assert problem is not None


def test_the_published_schema_is_the_code_s(capsys):
    assert main(["inspect", "--schema"]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed) == manifest_schema()
    assert SCHEMA_FILE.read_text() == printed, "run: edgevid inspect --schema > docs/..."


def test_sizes_are_readable():
    assert human_size(0) == "0 B"
    assert human_size(1023) == "1023 B"
    assert human_size(1536) == "1.5 KiB"
    assert human_size(5 * 2**30) == "5.0 GiB"
