"""Models converted on the fly are converted once."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_models import classifier

from edgevid.convert import cached
from edgevid.errors import SpecError
from edgevid.manifest import Bundle


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


def convert_and_listen(model: Path, **options: object) -> tuple[Path, list[str]]:
    heard: list[str] = []
    return cached(model, notify=heard.append, **options), heard  # type: ignore[arg-type]


def test_the_second_time_it_is_found(tmp_path: Path, cache: Path) -> None:
    model = classifier(tmp_path / "net.onnx")
    first, heard = convert_and_listen(model)
    assert first.name == "net.edgevid"
    assert cache in first.parents
    assert "Converting" in heard[0]
    assert any("are assumed" in text for text in heard)
    stamp = (first / "manifest.json").stat().st_mtime_ns
    second, heard = convert_and_listen(model)
    assert (second, heard) == (first, [])
    assert (second / "manifest.json").stat().st_mtime_ns == stamp


def test_another_model_spec_or_precision_is_another_bundle(tmp_path: Path) -> None:
    model = classifier(tmp_path / "net.onnx")
    labels = tmp_path / "labels.txt"
    labels.write_text("a\nb\nc\nd\ne\n")
    spec = tmp_path / "spec.toml"
    spec.write_text('preset = "unit"\nlabels = "labels.txt"\n')
    found = {
        cached(model),
        cached(model, preset="unit"),
        cached(model, spec=spec),
        cached(model, precision="fp16"),
    }
    labels.write_text("v\nw\nx\ny\nz\n")  # named by the spec, not by the call
    found.add(cached(model, spec=spec))
    classifier(tmp_path / "net.onnx", gain=2)
    found.add(cached(model))
    assert len(found) == 6


def test_a_damaged_bundle_is_made_again(tmp_path: Path) -> None:
    model = classifier(tmp_path / "net.onnx")
    bundle = cached(model)
    (bundle / "model.onnx").write_bytes(b"damaged")
    assert cached(model) == bundle
    Bundle.load(bundle).verify_all()
    (bundle / "manifest.json").unlink()
    Bundle.load(cached(model)).verify_all()


def test_a_mistake_leaves_no_bundle(tmp_path: Path, cache: Path) -> None:
    model = classifier(tmp_path / "net.onnx")
    with pytest.raises(SpecError, match="1 labels, but the model has 5 classes"):
        cached(model, spec={"labels": ["a"]})
    assert [p for p in cache.rglob("*") if p.is_file()] == []
