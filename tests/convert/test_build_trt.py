"""TensorRT engines in bundles: the real TensorRT-RTX builder, which needs no GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_models import classifier

from edgevid.convert import build_trt, convert
from edgevid.errors import BuildError, MissingDependencyError, SpecError
from edgevid.manifest import Bundle


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("layout", ["NHWC", "NCTHW"])
def test_an_engine_that_was_asked_for_is_in_the_bundle(
    tmp_path: Path, layout: str, precision: Any
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    result = convert(
        classifier(tmp_path / "net.onnx", layout),
        tmp_path / "b",
        precision=precision,
        target="tensorrt-rtx",
        compute_capabilities=["8.6", "8.9"],
    )
    bundle = Bundle.load(result.bundle)
    bundle.verify_all()
    assert [p.compute_capability for p in result.report.plans] == ["8.6", "8.9"]
    for plan in result.report.plans:
        assert plan.key is not None
        assert f"-{precision}-" in plan.key
        assert bundle.plan(plan.key) == result.bundle / "engines" / f"{plan.key}.plan"


def test_an_engine_that_cannot_be_built_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    model = classifier(tmp_path / "net.onnx")
    with pytest.raises(BuildError, match=r"compute capability '1\.0'"):
        convert(model, tmp_path / "b", target="tensorrt-rtx", compute_capabilities=["1.0"])
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


def test_onnx_alone_has_no_compute_capability(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="--compute-capability belongs to TensorRT"):
        convert(
            classifier(tmp_path / "net.onnx"),
            tmp_path / "b",
            target="onnx",
            compute_capabilities=["8.6"],
        )


def _missing(flavour: str) -> Any:
    raise MissingDependencyError(flavour.replace("-", "_"), flavour, f"the engine {flavour}")


def test_a_package_that_is_missing_is_named_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_trt, "load_tensorrt", _missing)
    with pytest.raises(MissingDependencyError, match=r"edgevid\[tensorrt\]"):
        convert(tmp_path / "not even read.onnx", tmp_path / "b", target="tensorrt")


def test_auto_says_what_it_did_not_build_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_trt, "load_tensorrt", _missing)
    report = convert(classifier(tmp_path / "net.onnx"), tmp_path / "b").report
    assert [(p.flavour, p.key) for p in report.plans] == [
        ("tensorrt", None),
        ("tensorrt-rtx", None),
    ]
    assert report.plans[0].note == "the package 'tensorrt' is not installed"
    assert any("No tensorrt-rtx engine was built" in note for note in report.notes)


def test_auto_builds_the_first_flavour_that_this_machine_can_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a GPU that is only claimed: TensorRT is missing, TensorRT-RTX builds."""
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    real = build_trt.load_tensorrt
    monkeypatch.setattr(
        build_trt, "load_tensorrt", lambda f: _missing(f) if f == "tensorrt" else real(f)
    )
    monkeypatch.setattr(build_trt, "open_cuda", lambda: None)
    report = convert(classifier(tmp_path / "net.onnx"), tmp_path / "b").report
    missing, built = report.plans
    assert missing.key is None
    assert built.flavour == "tensorrt-rtx"
    assert built.key is not None
    assert built.megabytes


def test_auto_turns_a_failed_build_into_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise BuildError("TensorRT cannot build this graph: no reason", "Use fp32")

    monkeypatch.setattr(build_trt, "load_tensorrt", lambda _: None)
    monkeypatch.setattr(build_trt, "open_cuda", lambda: None)
    monkeypatch.setattr(build_trt, "build_plan", refuse)
    report = convert(classifier(tmp_path / "net.onnx"), tmp_path / "b").report
    assert "cannot build this graph" in report.plans[0].note
    assert any("cannot build this graph" in note for note in report.notes)
