"""What all tests share: bundles written by hand, and no deadlines on a busy machine."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from edgevid.manifest import MANIFEST_NAME

settings.register_profile("edgevid", deadline=None)
settings.load_profile("edgevid")

# A trial of engines for every small bundle would take longer than the tests.
os.environ["EDGEVID_ENGINE"] = "onnxruntime"

Change = Callable[[dict[str, Any]], None]


def _entry(folder: Path, path: str, kind: str, data: bytes, key: str | None) -> dict[str, Any]:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return {"path": path, "sha256": hashlib.sha256(data).hexdigest(), "kind": kind, "key": key}


@pytest.fixture
def handmade_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Write a valid bundle of a 16-frame model; `change` then edits its manifest."""

    def write(change: Change = lambda _: None, plan_keys: tuple[str, ...] = ()) -> Path:
        folder = tmp_path / "gesture.edgevid"
        files = [
            ("model.onnx", "model", b"the graph", None),
            ("reference.onnx", "reference", b"the graph in FP32", None),
            ("labels.txt", "labels", b"left\nright\nup\n", None),
            *((f"engines/{key}.plan", "plan", b"plan " + key.encode(), key) for key in plan_keys),
        ]
        manifest: dict[str, Any] = {
            "schema_version": 1,
            "edgevid_version": "0.1.0",
            "model": {"name": "gesture", "source_file": "g.onnx", "source_sha256": "ab" * 32},
            "task": "classification",
            "labels_file": "labels.txt",
            "clip": {"num_frames": 16, "frame_interval": 4, "fps": 30.0, "hop_s": 0.5},
            "inputs": [
                {
                    "name": "clip",
                    "layout": "NCTHW",
                    "size": [112, 112],
                    "resize": "short_side",
                    "short_side": 128,
                    "crop": "center",
                    "scale": 1 / 255,
                    "mean": [0.43216, 0.394666, 0.37645],
                    "std": [0.22803, 0.22145, 0.216989],
                }
            ],
            "outputs": [{"name": "scores", "kind": "logits"}],
            "precision": "fp16",
            "assumptions": ["Layout NCTHW: dimension 1 of (N, 3, 16, 112, 112) is 3."],
            "parity": {
                "clips": 4,
                "max_abs_diff": 2.5e-4,
                "mean_abs_diff": 3e-5,
                "top1_agreement": 1.0,
                "frames_from": "the demo clip",
            },
            "artifacts": [_entry(folder, *file) for file in files],
        }
        change(manifest)
        (folder / MANIFEST_NAME).write_text(json.dumps(manifest))
        return folder

    return write
