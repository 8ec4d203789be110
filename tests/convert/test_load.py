"""Model files that cannot be converted, and those that only look so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from made_models import classifier, save
from onnx import TensorProto, helper

from edgevid.convert.journal import Journal
from edgevid.convert.load import fingerprint, load
from edgevid.errors import ModelError


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("empty.onnx", b"", "is empty"),
        ("text.onnx", b"# a readme\n" * 50, "is not an ONNX model"),
        ("zeros.onnx", bytes(500), "is not an ONNX model"),
        (
            "pointer.onnx",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 5\n",
            "git lfs pull",
        ),
        ("net.pt", b"PK\x03\x04", "Export it: torch.onnx.export"),
    ],
)
def test_files_that_are_no_model_are_named_for_what_they_are(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ModelError, match=message) as caught:
        load(path, Journal())
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model file"):
        load(tmp_path / "nowhere.onnx", Journal())
    with pytest.raises(ModelError, match="is a folder"):
        load(tmp_path, Journal())


def test_a_model_cut_short(tmp_path: Path) -> None:
    whole = classifier(tmp_path / "whole.onnx").read_bytes()
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"is not an ONNX model|not a valid ONNX model"):
        load(cut, Journal())


@pytest.mark.parametrize("name", ["lfs_pointer_model.onnx", "trt_polygraphy_bad_graph.onnx"])
def test_bad_models_of_other_projects(shared: Path, name: str) -> None:
    with pytest.raises(ModelError, match=name):
        load(shared / "bad" / name, Journal())


def test_an_operator_that_onnx_runtime_lacks_is_named(tmp_path: Path) -> None:
    node = helper.make_node("FancyPool", ["x"], ["y"], domain="acme")
    path = save(tmp_path / "m.onnx", [node], [("x", [1, 3, 8, 8])], [("y", [1, 3])])
    model = onnx.load(str(path))
    model.opset_import.append(helper.make_opsetid("acme", 1))
    onnx.save(model, str(path))
    with pytest.raises(ModelError, match=r"ONNX Runtime cannot load .*FancyPool"):
        load(path, Journal())


def _with_external_weights(folder: Path) -> Path:
    path = classifier(folder / "m.onnx")
    onnx.save(
        onnx.load(str(path)),
        str(path),
        save_as_external_data=True,
        location="m.weights",
        size_threshold=0,
    )
    return path


def test_weights_in_a_second_file_are_read(tmp_path: Path) -> None:
    path = _with_external_weights(tmp_path)
    model = load(path, Journal())
    inline = load(classifier(tmp_path / "inline.onnx"), Journal())
    frames = {"clip": np.ones((1, 3, 24, 32), np.float32)}
    assert np.array_equal(model.session.run(frames)["probs"], inline.session.run(frames)["probs"])


def test_a_missing_weight_file_is_named(tmp_path: Path) -> None:
    path = _with_external_weights(tmp_path)
    (tmp_path / "m.weights").unlink()
    with pytest.raises(ModelError, match=r"m\.weights, which is missing"):
        load(path, Journal())


def test_a_weight_file_cut_short(tmp_path: Path) -> None:
    path = _with_external_weights(tmp_path)
    (tmp_path / "m.weights").write_bytes(b"\0\0")
    with pytest.raises(ModelError, match=r"m\.onnx"):
        load(path, Journal())


def test_the_fingerprint_covers_the_weight_file(tmp_path: Path) -> None:
    path = _with_external_weights(tmp_path)
    before = fingerprint(path)
    weights = tmp_path / "m.weights"
    weights.write_bytes(weights.read_bytes()[::-1])
    assert fingerprint(path) != before


def test_weights_listed_as_inputs_are_no_inputs(tmp_path: Path) -> None:
    path = classifier(tmp_path / "old.onnx")
    proto = onnx.load(str(path))
    for tensor in proto.graph.initializer:
        proto.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    proto.ir_version = 3
    onnx.save(proto, str(path))
    assert [t.name for t in load(path, Journal()).inputs] == ["clip"]


def test_an_old_opset_is_raised_and_said(tmp_path: Path) -> None:
    journal = Journal()
    model = load(classifier(tmp_path / "m.onnx", opset=11), journal)
    assert model.proto.opset_import[0].version == 17
    assert journal.notes == ["The graph was raised from opset 11 to 17."]


def test_the_interface_is_reported_with_dynamic_dimensions(tmp_path: Path) -> None:
    model = load(classifier(tmp_path / "m.onnx", "NTHWC", elem_type=TensorProto.UINT8), Journal())
    assert model.inputs[0].shape == (None, 4, 24, 32, 3)
    assert model.inputs[0].dtype == "uint8"
    assert model.outputs[0].shape == (None, 5)
