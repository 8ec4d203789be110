"""Reading a spec.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgevid.convert.journal import Journal
from edgevid.convert.labels import class_labels
from edgevid.convert.spec_file import UserSpec, read_spec
from edgevid.errors import BundleError, SpecError


def _read(folder: Path, text: str, labels: Path | None = None) -> UserSpec:
    path = folder / "spec.toml"
    path.write_text(text)
    return read_spec(path, labels=labels, preset=None)


def test_everything_a_file_may_say(tmp_path: Path) -> None:
    user = _read(
        tmp_path,
        """
        preset = "unit"
        labels = ["a", "b"]
        clip = { num_frames = 8 }
        [[inputs]]
        name = "clip"
        size = [4, 6]
        [[outputs]]
        kind = "logits"
        """,
    )
    assert (user.preset, user.labels, user.clip) == ("unit", ("a", "b"), {"num_frames": 8})
    assert user.inputs == ({"name": "clip", "size": [4, 6]},)
    assert user.outputs == ({"kind": "logits"},)


def test_a_labels_file_is_looked_up_beside_the_spec(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("left\nright\n")
    assert _read(tmp_path, 'labels = "names.txt"').labels == ("left", "right")


def test_labels_given_apart_come_first(tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("x\ny\nz\n")
    assert _read(tmp_path, 'labels = ["a"]', labels=other).labels == ("x", "y", "z")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("preset = ", "is not a TOML file"),
        ("window = 3", "unknown key 'window'.*Known keys: labels"),
        ("labels = 3", "labels: must be a file name or a list"),
        ("labels = []", "labels: must be a file name or a list"),
        ("preset = 3", "preset: must be a name"),
        ("clip = 3", "clip: must be a table"),
        ("inputs = { name = 'x' }", "inputs: must be a list of tables"),
        ("outputs = [1]", "outputs: must be a table"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        _read(tmp_path, text)
    assert "spec.toml" in str(caught.value)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such spec file"):
        read_spec(tmp_path / "none.toml", labels=None, preset=None)
    with pytest.raises(BundleError, match=r"none\.txt"):
        read_spec(None, labels=tmp_path / "none.txt", preset=None)


def test_labels_must_be_as_many_as_the_classes() -> None:
    with pytest.raises(SpecError, match="2 labels, but the model has 3 classes"):
        class_labels(UserSpec(labels=("a", "b")), 3, Journal())
    with pytest.raises(SpecError, match="label 1 is ''"):
        class_labels(UserSpec(labels=("a", "")), 2, Journal())


def test_labels_that_nobody_gave_are_numbered_and_said() -> None:
    journal = Journal()
    assert class_labels(UserSpec(), 3, journal) == ("class_0", "class_1", "class_2")
    assert "class_0 to class_2" in journal.assumptions[0]
