"""`edgevid doctor`: table, JSON and exit status."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest
from rich.console import Console

import edgevid.cli.doctor as doctor
from edgevid.cli import main
from edgevid.device import Check, Report

LONG_MEND = "For everything: " + " ".join(f"word{i}" for i in range(40))
GOOD = Report(
    {
        "machine": (Check("cores", "ok", "6 usable"),),
        "engines": (
            Check("onnxruntime", "ok", "1.22.0 (CPU)", required=True),
            Check("tensorrt", "missing", "not installed", LONG_MEND),
        ),
    }
)
BROKEN = Report(
    {
        "engines": (
            Check("onnxruntime", "missing", "not installed", "pip install onnxruntime", True),
        )
    }
)


@pytest.fixture
def diagnosed(monkeypatch):
    return lambda report: monkeypatch.setattr(doctor, "diagnose", lambda: report)


def test_gaps_that_are_optional_leave_the_exit_status_0(diagnosed, capsys):
    diagnosed(GOOD)
    assert main(["doctor"]) == 0
    out, err = capsys.readouterr()
    assert "edgevid runs here, with: onnxruntime. To mend for more: 1." in out
    assert err == ""


def test_a_required_gap_is_one_line_and_exit_status_2(diagnosed, capsys):
    diagnosed(BROKEN)
    assert main(["doctor"]) == 2
    out, err = capsys.readouterr()
    assert "MISSING  onnxruntime  not installed" in out
    assert err == (
        "edgevid: error: edgevid cannot run here: onnxruntime: not installed. "
        "To mend: pip install onnxruntime\n"
    )


@pytest.mark.parametrize("width", [40, 80, 120])
def test_mends_are_wrapped_and_never_cut(width):
    out = Console(width=width, record=True, file=io.StringIO())
    doctor.render(GOOD, out)
    text = out.export_text()
    assert all(len(line) <= width for line in text.splitlines())
    assert " ".join(text.split()).find(LONG_MEND) > 0
    assert "…" not in text


def test_json_on_stdout_is_all_there_is(diagnosed, capsys):
    diagnosed(GOOD)
    assert main(["doctor", "--json", "-"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["ok"] is True
    assert data["engines"] == ["onnxruntime"]
    assert [c["name"] for c in data["checks"]] == ["cores", "onnxruntime", "tensorrt"]
    assert data["checks"][2]["mend"] == LONG_MEND


def test_json_to_a_file_keeps_the_table(diagnosed, capsys, tmp_path):
    diagnosed(BROKEN)
    assert main(["doctor", "--json", str(tmp_path / "d.json")]) == 2
    assert json.loads((tmp_path / "d.json").read_text())["ok"] is False
    assert "onnxruntime" in capsys.readouterr().out


def test_json_that_cannot_be_written_is_a_mistake(diagnosed, capsys, tmp_path):
    diagnosed(GOOD)
    (tmp_path / "file").write_text("")
    assert main(["doctor", "--json", str(tmp_path / "file" / "d.json")]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_on_this_machine_in_a_pipe():
    environment = {**os.environ, "COLUMNS": "80"}
    environment.pop("FORCE_COLOR", None)
    done = subprocess.run(
        [sys.executable, "-m", "edgevid", "doctor"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert "edgevid runs here" in done.stdout
