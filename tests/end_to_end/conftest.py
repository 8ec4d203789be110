"""Bundles converted from real trained models, run on real clips."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from contracts import CONV3D, LRCN, MOBILENET

from edgevid.convert import convert

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"the shared test data is not at {os.path.relpath(DATA)}")
    return DATA


@pytest.fixture(scope="session")
def bundles(data, tmp_path_factory):
    """Converts a model once for each precision: `bundles("lrcn-ucf50", "fp32")`."""
    folder = tmp_path_factory.mktemp("bundles")
    # The file that comes with conv3d-ucf101 lacks one of its 101 classes.
    conv3d_labels = (data / "models/conv3d-ucf101/labels.txt").read_text().split()
    specs = {
        "lrcn-ucf50": LRCN,
        "conv3d-ucf101": CONV3D | {"labels": [*conv3d_labels, "unnamed"]},
        "mobilenet-v2-imagenet": MOBILENET
        | {"labels": str(data / "models/mobilenet-v2-imagenet/labels.txt")},
    }

    def make(name: str, precision: str) -> Path:
        out = folder / f"{name}-{precision}.edgevid"
        if not out.exists():
            model = data / "models" / name / "model.onnx"
            convert(model, out, spec=specs[name], precision=precision, target="onnx")
        return out

    return make


@pytest.fixture(scope="session")
def demo_bundle(tmp_path_factory) -> Path:
    """The model that ships with edgevid, converted once."""
    demo = Path(__file__).parents[2] / "edgevid" / "demo"
    out = tmp_path_factory.mktemp("demo") / "demo.edgevid"
    convert(demo / "model.onnx", out, spec=demo / "spec.toml", target="onnx")
    return out
