"""Bundles and clips for the tests of engines on a GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import edgevid.demo
from edgevid.convert import convert
from edgevid.manifest import Bundle

TOLERANCE = {"fp32": 0.005, "fp16": 0.02}
"""Largest difference in a probability; convolutions on a GPU may use TF32."""


def demo_bundle(folder: Path, precision: str) -> Bundle:
    """The model that ships with edgevid, converted."""
    out = folder / f"{precision}.edgevid"
    convert(edgevid.demo.MODEL, out, spec=edgevid.demo.SPEC, precision=precision, target="onnx")
    return Bundle.load(out)


def clips(bundle: Bundle, batch: int) -> dict[str, np.ndarray]:
    """Random grey levels in large blocks: the scores differ from clip to clip."""
    spec = bundle.manifest.inputs[0]
    height, width = spec.size
    rng = np.random.default_rng(batch)
    shape = (batch, bundle.manifest.clip.num_frames, height // 8, width // 8, 3)
    blocks = rng.integers(0, 256, shape, dtype=np.uint8)
    return {spec.name: np.ascontiguousarray(blocks.repeat(8, axis=2).repeat(8, axis=3))}
