"""The shipped model keeps its promise, and the script that made it still runs."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner

from edgevid import demo
from edgevid.benchmarks import demo_model
from edgevid.benchmarks.demo_data import demo_spec, held_out_clips, to_model, training_clips
from edgevid.errors import MissingDependencyError
from edgevid.sources.moving_shapes import MOTIONS, REVERSED

FRESH = range(5_000_000, 5_000_320)
"""Seeds that neither training nor the published figure used."""

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is not installed"
)


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(demo.MODEL, options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def fresh() -> tuple[np.ndarray, np.ndarray]:
    return held_out_clips(FRESH, demo_spec())


def classes(session: onnxruntime.InferenceSession, clips: np.ndarray) -> np.ndarray:
    spec = demo_spec().inputs[0]
    answers = [
        session.run(["logits"], {"clip": to_model(part, spec)})[0]
        for part in np.array_split(clips, max(1, len(clips) // 32))
    ]
    return np.concatenate(answers).argmax(axis=1)


def test_the_model_is_right_on_at_least_97_of_100_clips_it_never_saw(
    session: onnxruntime.InferenceSession, fresh: tuple[np.ndarray, np.ndarray]
) -> None:
    clips, labels = fresh
    assert np.bincount(labels).tolist() == [40] * 8
    right = classes(session, clips) == labels
    assert right.mean() >= 0.97
    # No class is bought with another one.
    assert min(right[labels == c].mean() for c in range(8)) >= 0.9


def test_clips_played_backwards_are_the_reverse_motion(
    session: onnxruntime.InferenceSession, fresh: tuple[np.ndarray, np.ndarray]
) -> None:
    clips, labels = fresh
    reversed_labels = np.array([MOTIONS.index(REVERSED[m]) for m in MOTIONS])[labels]
    assert np.mean(classes(session, clips[:, ::-1]) == reversed_labels) >= 0.97


def test_a_frozen_clip_leaves_the_model_at_chance(
    session: onnxruntime.InferenceSession, fresh: tuple[np.ndarray, np.ndarray]
) -> None:
    clips, labels = fresh
    frozen = np.repeat(clips[:, :1], clips.shape[1], axis=1)
    assert np.mean(classes(session, frozen) == labels) < 0.125 + 4.5 * np.sqrt(0.11 / 320)


def test_the_model_file_fits_its_contract(session: onnxruntime.InferenceSession) -> None:
    spec = demo_spec()
    (given,), (answer,) = session.get_inputs(), session.get_outputs()
    assert demo.MODEL.stat().st_size <= 1_000_000
    assert spec.labels == MOTIONS
    assert (given.name, given.type) == ("clip", "tensor(float)")
    assert given.shape == ["batch", 3, spec.clip.num_frames, *spec.inputs[0].size]
    assert (answer.name, answer.shape) == ("logits", ["batch", len(MOTIONS)])


def test_the_published_figure_is_of_clips_that_training_did_not_see() -> None:
    report = json.loads(demo.ACCURACY.read_text())
    trained, held_out = range(*report["training_seeds"]), range(*report["held_out_seeds"])
    assert report["top1"] >= 0.97
    assert report["clips"] == len(held_out) >= 1000
    assert not set(trained) & set(held_out)
    assert trained == demo_model.Recipe().training_seeds
    assert held_out == demo_model.Recipe().held_out_seeds


def test_augmentation_gives_what_the_new_class_looks_like(
    session: onnxruntime.InferenceSession,
) -> None:
    clips, labels = training_clips(range(200), demo_spec())
    changed, changed_labels = demo_model.augment(np.random.default_rng(0), clips, labels)
    assert np.mean(labels != changed_labels) > 0.5
    assert np.mean(classes(session, changed) == changed_labels) >= 0.95


@needs_torch
def test_the_script_runs_end_to_end_and_learns(tmp_path: Path) -> None:
    outcome = demo_model.build(tmp_path, demo_model.QUICK)
    assert outcome.losses[-1] < outcome.losses[0] - 0.3
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == ["accuracy.json", "clips.csv", "demo.mp4", "model.onnx", "truth.json"]
    report = json.loads((tmp_path / "accuracy.json").read_text())
    assert report["top1"] == outcome.top1
    model = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (logits,) = model.run(None, {"clip": np.zeros((3, 3, 8, 64, 64), np.float32)})
    assert logits.shape == (3, 8)


def test_without_pytorch_the_script_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    result = CliRunner().invoke(demo_model.main, ["--out", str(tmp_path / "new"), "--quick"])
    assert isinstance(result.exception, MissingDependencyError)
    assert "pip install 'edgevid[torch]'" in str(result.exception)
    assert not (tmp_path / "new").exists()
