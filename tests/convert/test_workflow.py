"""The whole conversion, from a file to a bundle that loads and runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from made_models import classifier
from onnx import numpy_helper

from edgevid.convert import convert
from edgevid.convert.parity import compare, require_parity
from edgevid.convert.session import Session
from edgevid.engines import open_engine
from edgevid.errors import ModelError, OutputError, ParityError, SpecError
from edgevid.manifest import Bundle, Parity

CONTRACT: dict[str, Any] = {
    "labels": ["a", "b", "c", "d", "e"],
    "clip": {"sampling": "uniform"},
    "inputs": [{"color": "bgr", "scale": 1 / 255, "resize": "stretch"}],
}


def test_a_bundle_loads_runs_and_holds_its_contract(tmp_path: Path) -> None:
    model = classifier(tmp_path / "net.onnx", "NTCHW")
    result = convert(model, tmp_path / "b.edgevid", spec=CONTRACT, target="onnx")
    bundle = Bundle.load(result.bundle)
    bundle.verify_all()
    assert bundle.labels == ("a", "b", "c", "d", "e")
    assert bundle.manifest.clip.sampling == "uniform"
    assert bundle.manifest.inputs[0].layout == "NTCHW"
    assert bundle.manifest.model.source_file == "net.onnx"
    assert bundle.manifest.assumptions == ()
    engine = open_engine(bundle)
    assert engine.inputs[0].shape == (None, 4, 24, 32, 3)
    assert engine.inputs[0].dtype == "uint8"
    scores = engine.infer({"clip": np.zeros((2, 4, 24, 32, 3), np.uint8)})["scores"]
    assert scores.shape == (2, 5)
    assert scores.sum(axis=1) == pytest.approx(1)


def test_the_report_says_what_was_done(tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []
    model = classifier(tmp_path / "net.onnx", "NCTHW", frames=4, end="")
    result = convert(
        model, tmp_path / "b", progress=lambda *remark: heard.append(remark), target="onnx"
    )
    report = json.loads((result.bundle / "report.json").read_text())
    assert report == json.loads(result.report.model_dump_json())
    assert report["model"] == "net.onnx"
    assert report["dynamic_batch"] is True
    assert report["parity"]["clips"] >= 6
    assert report["parity"]["max_abs_diff"] <= 1e-5
    assert report["parity"]["top1_agreement"] == 1.0
    assert report["original"]["operators"]["Conv"] == 1
    assert report["converted"]["nodes"] == sum(report["converted"]["operators"].values())
    assert len(report["assumptions"]) == 3  # clip, preset, labels
    assert [text for kind, text in heard if kind == "assumption"] == report["assumptions"]
    assert Bundle.load(result.bundle).manifest.assumptions == tuple(report["assumptions"])


def test_fp16_keeps_its_reference_unless_told_not_to(tmp_path: Path) -> None:
    model = classifier(tmp_path / "net.onnx")
    kept = convert(model, tmp_path / "a", precision="fp16", target="onnx")
    bare = convert(model, tmp_path / "b", precision="fp16", target="onnx", reference=False)
    plain = convert(model, tmp_path / "c", target="onnx")
    window = {"clip": np.full((1, 24, 32, 3), 99, np.uint8)}
    graphs = [onnx.load(str(Bundle.load(kept.bundle).file(k))) for k in ("model", "reference")]
    half, full = (Session(g).run(window)["scores"] for g in graphs)
    assert np.abs(half - full).max() <= 1e-3
    assert not np.array_equal(half, full)
    assert kept.report.fp32_nodes
    for result in (bare, plain):  # an FP32 graph is its own reference
        assert Bundle.load(result.bundle).manifest.artifact("reference") is None


def test_the_default_name_is_the_models_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    model = classifier(tmp_path / "models" / "net.v2.onnx")
    monkeypatch.chdir(tmp_path)
    assert convert(model, target="onnx").bundle == Path("net.v2.edgevid")
    assert (tmp_path / "net.v2.edgevid" / "manifest.json").is_file()


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ({"labels": ["a", "b"]}, SpecError, "2 labels, but the model has 5 classes"),
        ({"preset": "unit", "inputs": [{"size": [1, 1]}]}, SpecError, "height 1 does not fit"),
        ({"outputs": [{"name": "x"}]}, SpecError, "none called 'x'"),
    ],
)
def test_mistakes_leave_nothing(
    tmp_path: Path, spec: dict[str, Any], error: type[Exception], message: str
) -> None:
    model = classifier(tmp_path / "net.onnx")
    with pytest.raises(error, match=message):
        convert(model, tmp_path / "b.edgevid", spec=spec, target="onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


def test_a_model_that_cannot_run_on_its_own_shape(tmp_path: Path) -> None:
    model = classifier(tmp_path / "net.onnx", shape=["N", 3, "h", "w"])
    with pytest.raises(ModelError, match="fails on frames of the size"):
        convert(model, tmp_path / "b", spec={"inputs": [{"size": [30, 30]}]}, target="onnx")


@pytest.mark.parametrize("stop_at", range(4))
def test_ctrl_c_at_any_step_leaves_nothing(tmp_path: Path, stop_at: int) -> None:
    model = classifier(tmp_path / "net.onnx")
    steps = 0

    def interrupt(kind: str, text: str) -> None:  # noqa: ARG001
        nonlocal steps
        if kind == "step":
            steps += 1
            if steps > stop_at:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(model, tmp_path / "b", precision="fp16", target="onnx", progress=interrupt)
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


def test_an_existing_bundle_is_refused_before_any_work(tmp_path: Path) -> None:
    model = classifier(tmp_path / "net.onnx")
    convert(model, tmp_path / "b", target="onnx")
    heard: list[str] = []
    with pytest.raises(OutputError, match="--force"):
        convert(model, tmp_path / "b", target="onnx", progress=lambda _, text: heard.append(text))
    assert heard == []
    convert(model, tmp_path / "b", target="onnx", force=True)


def test_a_graph_that_answers_otherwise_is_refused(tmp_path: Path) -> None:
    """The same network with other preprocessing inside, as after a mistake in baking it."""
    model = classifier(tmp_path / "net.onnx")
    bundles = [
        convert(model, tmp_path / preset, preset=preset, target="onnx").bundle
        for preset in ("unit", "inception")
    ]
    right, wrong = (Session(onnx.load(str(bundle / "model.onnx"))) for bundle in bundles)
    rng = np.random.default_rng(0)
    windows = [{"clip": rng.integers(0, 256, (1, 24, 32, 3)).astype(np.uint8)} for _ in range(3)]
    expected = right.run_each(windows, "scores")
    require_parity(compare(right, expected, windows, "noise"), "fp32")
    with pytest.raises(ParityError, match="scores differ from the model's by up to"):
        require_parity(compare(wrong, expected, windows, "noise"), "fp32")


def test_the_limits_of_parity() -> None:
    def parity(difference: float) -> Parity:
        return Parity(
            clips=1,
            max_abs_diff=difference,
            mean_abs_diff=0,
            top1_agreement=0.5,
            frames_from="1 window",
        )

    require_parity(parity(9e-4), "fp32")
    require_parity(parity(0.049), "fp16")
    with pytest.raises(ParityError):
        require_parity(parity(1.1e-3), "fp32")
    with pytest.raises(ParityError, match=r"50%.*--precision fp32"):
        require_parity(parity(0.051), "fp16")


def test_scores_that_are_no_numbers_are_no_parity() -> None:
    class Broken:
        def run_each(self, windows: Any, output: str) -> Any:  # noqa: ARG002
            return np.full((1, 5), np.nan, np.float32)

    broken: Any = Broken()
    assert compare(broken, np.full((1, 5), 0.2), [{}], "none").max_abs_diff == 1.0


def test_more_videos_are_looked_at(tmp_path: Path, shared: Path) -> None:
    model = classifier(tmp_path / "net.onnx")
    video = shared / "clips" / "v_Biking_g06_c03.avi"
    report = convert(model, tmp_path / "b", frames=[video], target="onnx").report
    assert report.parity.clips == 12
    assert "v_Biking_g06_c03.avi" in report.parity.frames_from


@pytest.mark.parametrize("name", ["light_shufflenet", "light_squeezenet"])
def test_real_architectures_of_an_old_opset(tmp_path: Path, shared: Path, name: str) -> None:
    """Weights made inside the graph, reshapes with a literal batch, four-dimensional output."""
    model = shared / "onnx-ops" / f"{name}.onnx"
    report = convert(model, tmp_path / "b", target="onnx").report
    assert report.dynamic_batch
    assert report.parity.max_abs_diff <= 1e-5
    assert report.converted.nodes < report.original.nodes


def test_weights_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    path = classifier(tmp_path / "net.onnx", "NTCHW")
    model = onnx.load(path)
    weight = next(w for w in model.graph.initializer if len(w.dims) > 1)
    values = numpy_helper.to_array(weight).copy()
    values.flat[0] = np.nan
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(model, path)
    with pytest.raises(
        ModelError, match=f"NaN or infinite .* its weight '{weight.name}' holds NaN"
    ):
        convert(path, tmp_path / "b.edgevid", spec=CONTRACT, target="onnx")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.onnx"]
