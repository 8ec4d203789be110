"""`edgevid bench` on several bundles and settings, and on results that were written before."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import timedelta

import pytest

from edgevid import demo
from edgevid.benchmarks.harness.compare import Comparison
from edgevid.benchmarks.harness.results import load, save
from edgevid.benchmarks.harness.sweep import Sweep
from edgevid.cli import main
from edgevid.cli._benching import short_names
from edgevid.convert import convert

pytestmark = pytest.mark.timeout(120)

QUICK = ("--engine-only", "--engine", "onnxruntime", "--duration", "0.3", "--rounds", "2")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("bundles")
    first, second = folder / "old.edgevid", folder / "new.edgevid"
    convert(demo.MODEL, first, spec=demo.SPEC, precision="fp32", target="onnx")
    shutil.copytree(first, second)
    return str(first), str(second)


@pytest.fixture(scope="module")
def written(bundles, tmp_path_factory):
    """A result of 8 rounds, as it was written."""
    path = tmp_path_factory.mktemp("results") / "old.json"
    options = (*QUICK[:-1], "8", "--json", str(path), "--quiet")
    assert main(["bench", bundles[0], *options]) == 0
    return path


def refused(capsys, *arguments) -> str:
    assert main(["bench", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    lines = [line for line in captured.err.splitlines() if "rror" in line]
    assert len(lines) == 1
    return lines[0]


def test_a_sweep_measures_every_combination_in_turns(bundles, tmp_path, capsys):
    names = {kind: tmp_path / f"sweep.{kind}" for kind in ("json", "html", "md")}
    status = main(
        ["bench", bundles[0], *QUICK, "--scenario", "offline", "--sweep", "batch=1,2",
         "--sweep", "threads=1,2", "--json", str(names["json"]), "--html", str(names["html"]),
         "--markdown", str(names["md"])]
    )  # fmt: skip
    assert status == 0
    shown = capsys.readouterr().out
    assert "Best throughput:" in shown
    sweep = Sweep.model_validate_json(names["json"].read_text())
    assert sweep.axes == {"batch": (1, 2), "threads": (1, 2)}
    assert [tuple(p.setting.values()) for p in sweep.points] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    for point in sweep.points:
        assert point.result.settings.threads == point.setting["threads"]
        assert point.result.samples.clips_per_query == point.setting["batch"]
        assert len(point.result.samples.rounds) == 2
        assert point.result.settings.rounds == 2
        assert point.accuracy.value == pytest.approx(1.0)
    begun = [
        (p.result.started + timedelta(seconds=r.started_s), place)
        for place, p in enumerate(sweep.points)
        for r in p.result.samples.rounds
    ]
    assert [place for _, place in sorted(begun)] == [0, 1, 2, 3, 3, 2, 1, 0]
    assert "<svg" in names["html"].read_text()
    assert names["md"].read_text().count("\n| ") == 6


def test_a_setting_that_cannot_be_measured_is_left_out(bundles, tmp_path, capsys):
    path = tmp_path / "sweep.json"
    options = [*QUICK, "--sweep", "engine=onnxruntime,nonesuch", "--json", str(path)]
    assert main(["bench", bundles[0], *options]) == 0
    sweep = Sweep.model_validate_json(path.read_text())
    assert [point.setting for point in sweep.points] == [{"engine": "onnxruntime"}]
    assert [skipped.setting for skipped in sweep.skipped] == [{"engine": "nonesuch"}]
    assert "not measured: engine nonesuch: " in capsys.readouterr().out


def test_two_bundles_are_compared_round_by_round(bundles, tmp_path, capsys):
    path = tmp_path / "both.json"
    options = (*QUICK[:-1], "6", "--fail-if-slower", "90")
    assert main(["bench", *bundles, *options, "--json", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "rounds took turns and were paired" in shown
    sweep = Sweep.model_validate_json(path.read_text())
    assert sweep.axes == {"model": ("old", "new")}
    ratio = sweep.points[1].against_first
    assert ratio.paired
    assert ratio.low < 1.5
    assert ratio.high > 0.67


def test_bundles_are_called_by_what_tells_them_apart():
    assert short_names(["a/x.edgevid", "b/y.edgevid"]) == ["x", "y"]
    assert short_names(["a/x.edgevid", "b/x.edgevid"]) == ["a/x.edgevid", "b/x.edgevid"]
    assert short_names(["x.edgevid", "x.edgevid", "y"]) == ["x.edgevid", "x.edgevid (2)", "y"]


def slower(path, times: float, target):
    """The same result, some time later and so many times as slow."""
    result = load(path)
    figures = {
        name: f.model_copy(
            update={
                "value": f.value * times, "low": f.low * times, "high": f.high * times,
                "rounds": tuple(v * times for v in f.rounds),
            }
        )
        for name, f in result.figures.items()
        if f.unit == "ms"
    }  # fmt: skip
    later = {"started": result.started + timedelta(hours=1), "figures": figures, "marks": ()}
    save(result.model_copy(update=later), target)
    return target


def test_results_are_compared_by_what_they_state(written, tmp_path, capsys):
    calm = slower(written, 1.0, tmp_path / "calm.json")
    slow = slower(written, 100.0, tmp_path / "slow.json")
    assert main(["bench", "--compare", str(calm), str(slow)]) == 0
    assert "slow.json is slower than calm.json" in capsys.readouterr().out
    later = slower(calm, 1.0, tmp_path / "later.json")
    options = ["--fail-if-slower", "5", "--quiet"]
    assert main(["bench", "--compare", str(calm), str(later), *options]) == 0
    assert main(["bench", "--compare", str(calm), str(slow), *options]) == 4
    assert main(["bench", "--compare", str(slow), str(calm), "--fail-if-slower"]) == 0
    page, data = tmp_path / "c.html", tmp_path / "c.json"
    files = ["--html", str(page), "--json", str(data)]
    assert main(["bench", "--compare", str(calm), str(slow), *files]) == 0
    assert Comparison.model_validate_json(data.read_text()).main.ratio.verdict == "slower"
    assert "<svg" in page.read_text()


def test_a_verdict_that_cannot_be_relied_on_has_a_status_of_its_own(written, tmp_path, capsys):
    result = load(written)
    other = result.model_copy(
        update={
            "environment": result.environment | {"system": "another one"},
            "started": result.started + timedelta(hours=1),
        }
    )
    save(other, tmp_path / "other.json")
    pair = ["bench", "--compare", str(written), str(tmp_path / "other.json")]
    assert main(pair) == 0
    assert main([*pair, "--fail-if-slower"]) == 3
    assert "the verdict cannot be relied on: " in capsys.readouterr().err


def test_files_that_are_no_results_are_one_line(written, tmp_path, capsys):
    bad = tmp_path / "bad.json"
    for text, said in (
        ("{", "cannot be read"),
        ("[1, 2]", "schema_version"),
        ('{"schema_version": 7}', "has schema_version 7; this edgevid reads 1"),
        ('{"schema_version": 1}', "is missing"),
        ('{"schema_version": 1, "axes": {}, "points": []}', "is a sweep"),
    ):
        bad.write_text(text)
        assert said in refused(capsys, "--compare", written, bad)
    assert "No such file" in refused(capsys, "--compare", written, tmp_path / "none.json")
    data = json.loads(written.read_text())
    data["figures"] = {}
    bad.write_text(json.dumps(data))
    assert "figure" in refused(capsys, "--compare", written, bad)
    data = json.loads(written.read_text())
    data["scenario"] = "offline"
    bad.write_text(json.dumps(data))
    assert "different questions" in refused(capsys, "--compare", written, bad)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sweep", "size=1"], "unknown axis 'size'"),
        (["--sweep", "precision=int8,fp32"], "the precision is fixed in a bundle"),
        (["--sweep", "threads=0"], "not a whole number from 1 on"),
        (["--sweep", "batch=1,2"], "--batch does not apply to single"),
        (["--sweep", "threads=1,2,3", "--fail-if-slower"], "there are 3 points to measure"),
        (["--fail-if-slower"], "--fail-if-slower needs two to judge"),
        (["--sweep", "engine=none"], "engine"),
    ],
)
def test_impossible_sweeps_are_refused_before_anything_is_measured(
    bundles, capsys, arguments, said
):
    assert said in refused(capsys, bundles[0], *QUICK, *arguments)


def test_nothing_to_measure_and_too_much_are_refused(bundles, written, capsys):
    assert "there is no bundle to measure" in refused(capsys)
    message = refused(capsys, bundles[0], "--compare", written, written)
    assert "has no place beside it" in message
    assert "--threads has no place" in refused(
        capsys, "--compare", written, written, "--threads", "2"
    )


def test_ctrl_c_ends_a_sweep_with_what_was_measured(bundles, tmp_path):
    path = tmp_path / "sweep.json"
    command = [sys.executable, "-m", "edgevid", "bench", bundles[0], "--engine-only", "--engine",
               "onnxruntime", "--duration", "60", "--rounds", "30", "--sweep", "threads=1,2",
               "--json", str(path)]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if b"Measuring:" in line:
                break
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    sweep = Sweep.model_validate_json(path.read_text())
    assert sweep.points
    assert all(point.result.marked("interrupted") for point in sweep.points)
