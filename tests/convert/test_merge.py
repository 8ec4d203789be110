"""Two streams in two files: one bundle that gives their weighted mean."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_models import classifier, probe, probe_scores

import edgevid
from edgevid.cli import main
from edgevid.convert import convert
from edgevid.errors import EdgevidError, ModelError, SpecError
from edgevid.manifest import Bundle

DEMO = str(resources.files("edgevid.demo") / "demo.mp4")
SIZE = (32, 40)
CLIP = {"num_frames": 6, "fps": 25.0, "hop_s": 0.4}
STRETCH = {"resize": "stretch", "scale": 1 / 255, "mean": [0, 0, 0], "std": [1, 1, 1]}


def two_models(folder: Path, classes: int = 4, name: str = "flow") -> tuple[Path, Path]:
    rgb = probe(folder / "rgb.onnx", {"rgb": (3, *SIZE)})
    other = probe(folder / "flow.onnx", {name: (10, *SIZE)}, classes=classes, gain=3.0)
    return rgb, other


def spec(**more: Any) -> dict[str, Any]:
    return {
        "clip": CLIP,
        "models": [{"file": "flow.onnx", "weight": 1.5}],
        "inputs": [
            {"name": "rgb", "frames": "first", **STRETCH},
            {"name": "flow", "resize": "stretch"},
        ],
        **more,
    }


def feeds_of(bundle: Path) -> list[dict[str, Any]]:
    """What the engine was fed, window by window."""
    opened = edgevid.load(bundle)
    fed: list[dict[str, Any]] = []

    from edgevid.engines import open_engine

    engine = open_engine(opened, "onnxruntime", threads=1)
    infer = engine.infer

    def spying(feeds: Any) -> Any:
        for window in range(len(feeds["rgb"])):
            fed.append({name: array[[window]] for name, array in feeds.items()})
        return infer(feeds)

    engine.infer = spying  # type: ignore[method-assign]
    scores = [p.scores for p in edgevid.stream(opened, DEMO, engine=engine, max_clips=3)]
    for feeds, given in zip(fed, scores, strict=False):
        feeds["scores"] = given
    return fed[:3]


def test_the_bundle_gives_the_weighted_mean_of_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rgb, other = two_models(tmp_path)
    result = convert(rgb, spec=spec(labels=["a", "b", "c", "d"]), target="onnx")
    manifest = Bundle.load(result.bundle).manifest
    assert manifest.model.source_file == "rgb.onnx + flow.onnx"
    assert [(i.name, i.modality) for i in manifest.inputs] == [("rgb", "rgb"), ("flow", "flow")]
    assert manifest.outputs[0].kind == "probabilities"
    for feeds in feeds_of(result.bundle):
        frame = feeds["rgb"][..., ::-1].transpose(0, 3, 1, 2) / 255
        fields = (feeds["flow"] * (40 / 255) - 20).transpose(0, 1, 4, 2, 3) / 20
        expected = probe_scores(rgb, {"rgb": frame}) + 1.5 * probe_scores(other, {"flow": fields})
        assert feeds["scores"] == pytest.approx(expected / 2.5, abs=1e-5)


def test_the_command_line_reads_the_models_beside_the_spec(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rgb, _ = two_models(tmp_path)
    (tmp_path / "two.toml").write_text(
        """
        [[models]]
        file = "flow.onnx"
        weight = 1.5
        [clip]
        fps = 25.0
        [[inputs]]
        name = "rgb"
        frames = "first"
        """
    )
    out = tmp_path / "two.edgevid"
    arguments = ["--spec", str(tmp_path / "two.toml"), "--out", str(out), "--target", "onnx"]
    assert main(["convert", str(rgb), *arguments]) == 0
    assert (
        "rgb.onnx + flow.onnx takes rgb (NCHW, 40x32), flow (flow, N(TC)HW"
        in capsys.readouterr().err
    )
    assert main(["inspect", str(out), "--json", "-"]) == 0
    taken = json.loads(capsys.readouterr().out)["takes"]
    assert taken["rgb"] == [{"frame": 0, "at_s": 0.0, "to_s": None}]
    assert taken["flow"][-1] == {"frame": 4, "at_s": 0.16, "to_s": 0.2}
    assert main(["inspect", str(out)]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^rgb   .-+$", re.sub("─", "-", shown), re.MULTILINE)
    assert "flow goes to" in shown
    assert "1 frame, the first of the window, 32 high, 40 wide, layout NCHW" in shown
    assert "5 flow fields, 32 high, 40 wide, layout N(TC)HW" in shown
    assert "optical flow in pixels of that picture (dis-fast), from each frame" in shown


def test_logits_of_both_get_a_softmax_and_names_that_clash_are_told_apart(tmp_path: Path) -> None:
    paths = [
        classifier(tmp_path / f"{n}.onnx", end=end, gain=gain, opset=opset)
        for n, end, gain, opset in (("one", "", 1.0, 17), ("two", "Softmax", 0.5, 19))
    ]
    said = {
        "labels": list("abcde"),
        "models": [{"file": str(paths[1])}],
        "inputs": [{"name": n, **STRETCH} for n in ("clip", "two_clip")],
    }
    result = convert(paths[0], tmp_path / "m.edgevid", spec=said, target="onnx")
    assert any("'clip' is called 'two_clip'" in note for note in result.report.notes)
    assert result.report.parity.max_abs_diff < 1e-5
    alone = [
        convert(p, tmp_path / f"{p.stem}.edgevid", spec={"inputs": [STRETCH]}, target="onnx").bundle
        for p in paths
    ]
    one, two, both = (
        [p.scores for p in edgevid.stream(b, DEMO, max_clips=2)] for b in (*alone, result.bundle)
    )
    assert np.array(both) == pytest.approx((np.array(one) + np.array(two)) / 2, abs=1e-5)


@pytest.mark.parametrize(
    ("table", "classes", "error", "message"),
    [
        ({}, 5, SpecError, r"flow.onnx gives 5 scores, and rgb.onnx gives 4: .*same classes"),
        (
            {"labels": ["a", "b", "c"]},
            4,
            SpecError,
            r"flow.onnx has 3 labels, and the model that it is averaged with has 4",
        ),
        (
            {"labels": ["a", "b", "x", "d"]},
            4,
            SpecError,
            r"class 2 is 'x' in flow.onnx, and 'c' in the model that it is averaged with",
        ),
        ({"file": "none.onnx"}, 4, ModelError, r"no such model file: .*none.onnx"),
        ({"weight": 0}, 4, SpecError, r"spec.toml: models.0.weight: .*greater than 0 \(got 0\)"),
        ({"wieght": 2}, 4, SpecError, r"unknown key 'models.0.wieght'"),
    ],
)
def test_models_that_do_not_go_together(
    tmp_path: Path, table: dict[str, Any], classes: int, error: type[EdgevidError], message: str
) -> None:
    rgb, _ = two_models(tmp_path, classes)
    said = {"file": "flow.onnx", **table}
    lines = [f"{key} = {value!r}" for key, value in said.items()]
    text = "\n".join(['labels = ["a", "b", "c", "d"]', "[[models]]", *lines])
    (tmp_path / "spec.toml").write_text(text)
    with pytest.raises(error, match=message):
        convert(rgb, tmp_path / "m.edgevid", spec=tmp_path / "spec.toml", target="onnx")
    assert not (tmp_path / "m.edgevid").exists()
