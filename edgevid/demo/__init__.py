"""The model and the clip that ship with edgevid: eight motions of a shape.

`edgevid.benchmarks.demo_model` makes all of it again; docs/demo-model.md tells how.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_FOLDER = Path(__file__).parent

MODEL: Final = _FOLDER / "model.onnx"
"""FP32 ONNX, `clip` `(N, 3, 8, 64, 64)` float32 to `logits` `(N, 8)`."""

SPEC: Final = _FOLDER / "spec.toml"
"""The model's contract, as `edgevid convert --spec` reads it."""

CLIP: Final = _FOLDER / "demo.mp4"
"""Several motions one after the other."""

TRUTH: Final = _FOLDER / "truth.json"
"""What `CLIP` shows when: `segments` with `label`, `start_s` and `end_s`."""

CLIPS: Final = _FOLDER / "clips.csv"
"""The same as labelled clips: `path`, `label`, `start_s` and `end_s`."""

ACCURACY: Final = _FOLDER / "accuracy.json"
"""How often `MODEL` was right on clips that it was not trained on."""
