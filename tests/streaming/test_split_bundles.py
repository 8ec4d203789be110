"""Split models as bundles: what is written, told, checked and opened."""

import io
import json
import warnings

import numpy as np
import pytest
from clip_nets import SIZE, Clip, Full3d, Recurrent, clips, nn, spec_of, torch

from edgevid.cli import main
from edgevid.convert import convert
from edgevid.convert.journal import Journal
from edgevid.convert.settle import Final
from edgevid.convert.streaming import procedure
from edgevid.convert.streaming.procedure import split_for_streams
from edgevid.engines import open_engine
from edgevid.engines.split_engine import SplitEngine
from edgevid.errors import BundleError, IntegrityError, ManifestError
from edgevid.manifest import Bundle
from edgevid.spec import ClipSpec

SPEC = {
    "clip": {"num_frames": 6, "fps": 10.0, "hop_s": 0.2},
    "inputs": [{"name": "clip", "layout": "NTCHW", "size": [SIZE, SIZE]}],
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """ONNX files of a CNN + LSTM and of a 3D CNN."""
    folder = tmp_path_factory.mktemp("models")
    shapes = {"lstm": (Clip(Recurrent(nn.LSTM)), (2, 6, 3, SIZE, SIZE))}
    shapes["volume"] = (Full3d(), (2, 3, 6, SIZE, SIZE))
    for name, (net, shape) in shapes.items():
        torch.manual_seed(1)
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                net.eval(), (torch.randn(shape),), file, dynamo=False, input_names=["clip"],
                output_names=["logits"], dynamic_axes={"clip": {0: "n"}, "logits": {0: "n"}},
            )  # fmt: skip
        (folder / f"{name}.onnx").write_bytes(file.getvalue())
    return folder


@pytest.fixture(scope="module")
def split(files):
    """The CNN + LSTM, split."""
    out = files / "split.edgevid"
    return convert(files / "lstm.onnx", out, spec=SPEC, target="onnx")


def test_a_split_bundle_holds_two_graphs_and_says_so(split):
    bundle = Bundle.load(split.bundle)
    bundle.verify_all()
    manifest = bundle.manifest
    assert [(a.path, a.stage) for a in manifest.models] == [
        ("backbone.onnx", "backbone"),
        ("head.onnx", "head"),
    ]
    assert manifest.features.model_dump() == {
        "name": "features",
        "shape": (12,),
        "dtype": "float32",
    }
    [note] = [note for note in split.report.notes if "Split for streams" in note]
    assert "6 x [12] float32 features" in note
    sizes = [(split.bundle / name).stat().st_size for name in ("backbone.onnx", "head.onnx")]
    assert split.report.converted.megabytes == round(sum(sizes) / 1e6, 3)
    with pytest.raises(BundleError, match=r"holds no whole graph.*--streaming off"):
        bundle.file("model")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_both_stages_open_as_one_engine_with_the_whole_models_scores(files, tmp_path, precision):
    bundles = [
        convert(
            files / "lstm.onnx", tmp_path / streaming, spec=SPEC, precision=precision,
            target="onnx", streaming=streaming,
        ).bundle
        for streaming in ("auto", "off")
    ]  # fmt: skip
    assert (bundles[1] / "model.onnx").is_file()
    assert not (bundles[0] / "model.onnx").exists()
    pair, whole = (open_engine(Bundle.load(b), "onnxruntime") for b in bundles)
    assert isinstance(pair, SplitEngine)
    assert pair.inputs == whole.inputs
    assert pair.head.inputs[0].dtype == {"fp32": "float32", "fp16": "float16"}[precision]
    assert pair.name.endswith(", split")
    feeds = {"clip": np.concatenate([c["clip"] for c in clips(6)])}
    difference = np.abs(pair.infer(feeds)["scores"] - whole.infer(feeds)["scores"]).max()
    assert difference <= {"fp32": 1e-5, "fp16": 1e-3}[precision]
    pair.close()


def test_a_3d_cnn_stays_whole_and_the_reason_is_told(files, tmp_path):
    spec = SPEC | {"inputs": [{"name": "clip", "layout": "NCTHW", "size": [SIZE, SIZE]}]}
    result = convert(files / "volume.onnx", tmp_path / "b", spec=spec, target="onnx")
    assert (result.bundle / "model.onnx").is_file()
    assert Bundle.load(result.bundle).manifest.features is None
    [note] = [note for note in result.report.notes if "streams" in note]
    assert "no layer sees each frame alone: Conv '/conv/Conv' spans 3 frames" in note


def test_off_looks_for_nothing(files, tmp_path, capsys):
    spec = tmp_path / "spec.toml"
    spec.write_text(
        '[clip]\nnum_frames = 6\nfps = 10.0\n[[inputs]]\nname = "clip"\nlayout = "NTCHW"\n'
        f"size = [{SIZE}, {SIZE}]\n"
    )
    command = ["convert", str(files / "lstm.onnx"), "--spec", str(spec), "--target", "onnx"]
    assert main([*command, "--out", str(tmp_path / "b"), "--streaming", "off"]) == 0
    assert "streams" not in capsys.readouterr().err
    assert main([*command, "--out", str(tmp_path / "c")]) == 0
    assert "Split for streams: the backbone runs once a frame" in capsys.readouterr().err
    assert main([*command, "--out", str(tmp_path / "d"), "--streaming", "yes"]) == 2
    assert "'yes' is not one of 'auto', 'off'" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def test_inspect_shows_the_features(split, capsys):
    assert main(["inspect", str(split.bundle)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "a backbone once a frame, 12 float32 features; a head once a window" in out
    assert "model, backbone backbone.onnx" in out
    assert "model, head head.onnx" in out
    assert main(["inspect", str(split.bundle), "--json", "-"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert [f["stage"] for f in files if f["kind"] == "model"] == ["backbone", "head"]


def test_a_changed_head_is_refused(split, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in split.bundle.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "head.onnx").write_bytes(b"other")
    with pytest.raises(IntegrityError, match=r"head\.onnx was changed"):
        Bundle.load(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.pop("features"), "a model with stages needs `features`"),
        (lambda m: m["artifacts"].pop(1), "has two graphs, a backbone and a head"),
        (lambda m: m["artifacts"][1].pop("stage"), "has two graphs, a backbone and a head"),
        (lambda m: m["artifacts"][1].update(stage="neck"), "artifacts.1.stage"),
        (lambda m: m["features"].update(shape=[]), "features.shape"),
        (lambda m: m["features"].update(dtype="int8"), "features.dtype"),
        (lambda m: m["inputs"].append({**m["inputs"][0], "name": "b"}), "one input"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(split, tmp_path, change, message):
    manifest = json.loads((split.bundle / "manifest.json").read_text())
    change(manifest)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ManifestError, match=message):
        Bundle.load(tmp_path)


def told(spec):
    """What a conversion notes of a contract that cannot be split."""
    journal = Journal()
    final = Final(None, None, "fp32", None, {})
    assert split_for_streams(final, spec, [], journal) is None
    return journal.notes


def test_contracts_that_cannot_be_split_are_told_apart():
    spec = spec_of(6)
    (picture,) = spec.inputs
    slow = picture.model_copy(update={"name": "slow", "every": 3})
    two = spec.model_copy(update={"inputs": (picture, slow)})
    assert "it has 2 inputs, which take different frames" in told(two)[0]
    flow = picture.model_copy(update={"modality": "flow"})
    assert (
        "optical flow belongs to two frames" in told(spec.model_copy(update={"inputs": (flow,)}))[0]
    )
    one = spec.model_copy(update={"clip": ClipSpec(num_frames=1)})
    assert told(one) == []


def test_scores_that_differ_leave_the_model_whole(files, tmp_path, monkeypatch):
    monkeypatch.setattr(procedure, "difference", lambda *_: 2e-5)
    result = convert(files / "lstm.onnx", tmp_path / "b", spec=SPEC, target="onnx")
    assert (result.bundle / "model.onnx").is_file()
    [note] = [note for note in result.report.notes if "streams" in note]
    assert "scores differ by 2e-05 of the best one (allowed: 1e-05)" in note


def test_a_part_that_does_not_run_leaves_the_model_whole(files, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("a node has no kernel")

    monkeypatch.setattr(procedure, "difference", fail)
    result = convert(files / "lstm.onnx", tmp_path / "b", spec=SPEC, target="onnx")
    assert (result.bundle / "model.onnx").is_file()
    assert any("does not run (a node has no kernel)" in note for note in result.report.notes)
