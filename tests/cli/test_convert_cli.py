"""`edgevid convert` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgevid.cli import main
from edgevid.manifest import Bundle


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A classifier of three classes on 16x16 pictures: the mean of each colour."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.eye(3, dtype=np.float32), "w")],
    )
    path = tmp_path / "colours.onnx"
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    monkeypatch.chdir(tmp_path)
    return path


def test_with_no_flag_it_works_and_says_what_it_assumed(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", "colours.onnx", "--target", "onnx"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("colours.edgevid: fp32, 0.0 MB; scores differ from the model's by")
    assert err.count("assumption: ") == 2
    assert "--preset NAME" in err
    assert "--labels FILE" in err
    assert Bundle.load(model.with_suffix(".edgevid")).manifest.precision == "fp32"


def test_every_option(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = model.parent
    (folder / "labels.txt").write_text("red\ngreen\nblue\n")
    (folder / "spec.toml").write_text('[[outputs]]\nkind = "sigmoid"\n')
    arguments = ["colours.onnx", "--out", "c.edgevid", "--precision", "fp16", "--preset", "unit"]
    arguments += ["--spec", "spec.toml", "--labels", "labels.txt", "--target", "onnx"]
    arguments += ["--no-reference", "--json", "-"]
    assert main(["convert", *arguments]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert (report["precision"], report["assumptions"]) == ("fp16", [])
    assert "assumption" not in err
    bundle = Bundle.load(folder / "c.edgevid")
    assert bundle.labels == ("red", "green", "blue")
    assert bundle.manifest.outputs[0].kind == "sigmoid"
    assert main(["convert", *arguments, "--force"]) == 0


def test_the_report_goes_to_a_file(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", model.name, "--target", "onnx", "--json", "r.json"]) == 0
    assert capsys.readouterr().out.startswith("colours.edgevid")
    report = json.loads((model.parent / "r.json").read_text())
    assert report["parity"]["top1_agreement"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.onnx"], "no such model file: nowhere.onnx"),
        (["pointer.onnx"], "is a git-lfs pointer"),
        (["colours.onnx", "--labels", "two.txt"], "2 labels, but the model has 3 classes"),
        (["colours.onnx", "--labels", "none.txt"], "none.txt cannot be read"),
        (["colours.onnx", "--preset", "imagnet"], "unknown preset 'imagnet'"),
        (["colours.onnx", "--spec", "bad.toml"], "unknown key 'inputs.0.colour'"),
        (["colours.onnx", "--out", "no/b.edgevid"], "no folder no"),
        (["colours.onnx", "--out", "two.txt"], "two.txt exists and is not a bundle"),
        (["colours.onnx", "--frames", "none.mp4"], "none.mp4"),
        (["colours.onnx", "--frames", "two.txt"], "two.txt"),
        (["colours.onnx", "--compute-capability", "8.6"], "belongs to TensorRT"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    model: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    folder = model.parent
    (folder / "two.txt").write_text("a\nb\n")
    (folder / "bad.toml").write_text('[[inputs]]\ncolour = "bgr"\n')
    (folder / "pointer.onnx").write_text("version https://git-lfs.github.com/spec/v1\n")
    before = sorted(p.name for p in folder.iterdir())
    assert main(["convert", *arguments, "--target", "onnx"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("edgevid: error: ")
    assert message in err
    assert sorted(p.name for p in folder.iterdir()) == before


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "--help"]) == 0
    text = capsys.readouterr().out
    for option in ("--out", "--precision", "--spec", "--preset", "--labels", "--target"):
        assert option in text
    for option in ("--compute-capability", "--frames", "--no-reference", "--force", "--json"):
        assert option in text
