"""The bundle on disk: loading, hashes, cached plans, atomic writes."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import edgevid.manifest as manifest_module
from edgevid.errors import BundleError, IntegrityError, ManifestError, OutputError
from edgevid.files import sha256_file, write_atomic
from edgevid.manifest import Artifact, Bundle, dump, read_labels, verify


def test_a_bundle_loads_what_was_written(handmade_bundle):
    path = handmade_bundle()
    bundle = Bundle.load(str(path))
    assert bundle.labels == ("left", "right", "up")
    assert bundle.manifest.clip.num_frames == 16
    assert bundle.manifest.inputs[0].mean == (0.43216, 0.394666, 0.37645)
    assert bundle.file("model").read_bytes() == b"the graph"
    assert bundle.file("reference") == path / "reference.onnx"
    bundle.verify_all()


def test_what_is_dumped_loads_as_the_same_manifest(handmade_bundle):
    path = handmade_bundle()
    loaded = Bundle.load(path).manifest
    (path / "manifest.json").write_bytes(dump(loaded))
    assert Bundle.load(path).manifest == loaded


def test_a_kind_that_is_not_there(handmade_bundle):
    with pytest.raises(BundleError, match="holds no file of kind 'report'"):
        Bundle.load(handmade_bundle()).file("report")


def test_the_graph_is_checked_on_load_and_the_rest_when_asked_for(handmade_bundle):
    path = handmade_bundle()
    (path / "reference.onnx").write_bytes(b"other")
    bundle = Bundle.load(path)
    with pytest.raises(
        IntegrityError, match=r"reference\.onnx was changed: sha256 is d9298a10d1b0"
    ):
        bundle.file("reference")
    with pytest.raises(IntegrityError):
        bundle.verify_all()
    (path / "model.onnx").write_bytes(b"other")
    with pytest.raises(IntegrityError, match=r"model\.onnx was changed"):
        Bundle.load(path)


def test_a_graph_changed_after_loading_is_not_handed_out(handmade_bundle):
    path = handmade_bundle()
    bundle = Bundle.load(path)
    (path / "model.onnx").write_bytes(b"other")
    with pytest.raises(IntegrityError):
        bundle.file("model")


def test_a_file_that_cannot_be_read_is_an_integrity_error(handmade_bundle, monkeypatch):
    def refuse(_: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    path = handmade_bundle()
    monkeypatch.setattr(manifest_module, "sha256_file", refuse)
    with pytest.raises(IntegrityError, match=r"model\.onnx cannot be read: Permission denied"):
        Bundle.load(path)


def test_plans_are_kept_listed_and_found_again(handmade_bundle):
    path = handmade_bundle()
    bundle = Bundle.load(path)
    assert bundle.plan("key-1") is None
    written = bundle.add_plan("key-1", b"plan one")
    assert written == path / "engines" / "key-1.plan"
    assert bundle.plan("key-1") == written
    again = Bundle.load(path)
    assert again.plan("key-1") == written
    assert again.plan("key-2") is None
    again.verify_all()


def test_a_plan_built_anew_replaces_the_old_one(handmade_bundle):
    bundle = Bundle.load(handmade_bundle())
    bundle.add_plan("key", b"old")
    bundle.add_plan("key", b"new")
    plans = [a for a in bundle.manifest.artifacts if a.kind == "plan"]
    assert [a.sha256 for a in plans] == [hashlib.sha256(b"new").hexdigest()]
    assert Bundle.load(bundle.path).plan("key").read_bytes() == b"new"


@pytest.mark.parametrize("damage", ["change", "remove", "foreign"])
def test_a_plan_is_code_and_never_returned_damaged(handmade_bundle, damage):
    path = handmade_bundle(plan_keys=("key",))
    plan = path / "engines" / "key.plan"
    if damage == "change":
        plan.write_bytes(b"evil")
    elif damage == "remove":
        plan.unlink()
    else:
        (path / "engines" / "other.plan").write_bytes(b"not listed")
    bundle = Bundle.load(path)
    assert bundle.plan("other") is None
    assert (bundle.plan("key") is None) == (damage != "foreign")


def test_plans_do_not_disturb_the_manifest_s_other_fields(handmade_bundle):
    path = handmade_bundle()
    before = Bundle.load(path).manifest
    Bundle.load(path).add_plan("key", b"plan")
    after = Bundle.load(path).manifest
    assert after.model_copy(update={"artifacts": before.artifacts}) == before


_PARTS = st.sampled_from(["..", ".", "a", "b.onnx", "", "/", "engines"])


@given(st.lists(_PARTS, max_size=5).map("/".join))
def test_no_accepted_path_leaves_the_bundle(path):
    try:
        artifact = Artifact(path=path, sha256="0" * 64, kind="plan")
    except ValidationError:
        return
    inside = os.path.normpath(os.path.join("/bundle", artifact.path))
    assert inside.startswith("/bundle/")


@pytest.mark.parametrize(
    ("data", "labels"),
    [
        (b"a\nb\n", ("a", "b")),
        (b"\xef\xbb\xbfa\r\nb\r\n\r\n", ("a", "b")),
        ("Zürich\nÅbo".encode(), ("Zürich", "Åbo")),
        (b"a\n\nc\n", ("a", "", "c")),
    ],
)
def test_labels_files(tmp_path, data, labels):
    (tmp_path / "l.txt").write_bytes(data)
    assert read_labels(tmp_path / "l.txt") == labels


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xff\xfe\x00"])
def test_labels_files_that_cannot_be(tmp_path, data):
    (tmp_path / "l.txt").write_bytes(data)
    with pytest.raises(BundleError, match=r"l\.txt"):
        read_labels(tmp_path / "l.txt")
    with pytest.raises(BundleError, match=r"none\.txt cannot be read"):
        read_labels(tmp_path / "none.txt")


def test_a_file_s_hash_is_that_of_its_bytes(tmp_path):
    data = os.urandom((1 << 20) + 17)
    (tmp_path / "f").write_bytes(data)
    assert sha256_file(tmp_path / "f") == hashlib.sha256(data).hexdigest()
    artifact = Artifact(path="f", sha256=hashlib.sha256(data).hexdigest(), kind="model")
    assert verify(tmp_path, artifact) == tmp_path / "f"


def test_an_atomic_write_makes_its_folder_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "deep" / "er" / "file"
    write_atomic(target, b"one")
    write_atomic(target, b"two")
    assert target.read_bytes() == b"two"
    assert [p.name for p in target.parent.iterdir()] == ["file"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_temporary_one(tmp_path, monkeypatch, step):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    target = tmp_path / "file"
    write_atomic(target, b"old")
    monkeypatch.setattr(os, step, full)
    with pytest.raises(OutputError, match=r"cannot write .*file: No space left on device"):
        write_atomic(target, b"new")
    monkeypatch.undo()
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_while_a_plan_is_kept_leaves_the_bundle_valid(handmade_bundle, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = handmade_bundle()
    bundle = Bundle.load(path)
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError):
        bundle.add_plan("key", b"plan")
    monkeypatch.undo()
    assert Bundle.load(path).plan("key") is None
    assert bundle.plan("key") is None


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"Not a directory|File exists"):
        write_atomic(tmp_path / "file" / "x", b"")


def test_another_schema_version_is_told_before_anything_else(handmade_bundle):
    path = handmade_bundle(lambda m: (m.clear(), m.update(schema_version=2, future=True)))
    with pytest.raises(ManifestError, match="has schema_version 2; this edgevid reads 1"):
        Bundle.load(path)
