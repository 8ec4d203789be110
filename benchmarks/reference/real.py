"""What the real models of the shared test data were trained with, in the words of a spec."""

from __future__ import annotations

from typing import Any

_STRETCH: dict[str, Any] = {
    "resize": "stretch",
    "crop": "full",
    "mean": [0.0] * 3,
    "std": [1.0] * 3,
}
LRCN: dict[str, Any] = {
    "labels": ["Biking", "Diving", "GolfSwing", "Punch", "Rowing"],
    "clip": {"num_frames": 20, "sampling": "uniform", "window_s": 4.0},
    "inputs": [
        {"name": "clip", "layout": "NTCHW", "size": [128, 128], "color": "bgr", **_STRETCH}
        | {"scale": 1 / 255}
    ],
}
CONV3D: dict[str, Any] = {
    "clip": {"num_frames": 2, "sampling": "uniform", "window_s": 4.0},
    "inputs": [
        {"name": "clip", "layout": "NTCHW", "size": [32, 32], "color": "bgr", **_STRETCH}
        | {"scale": 1.0}
    ],
}
MOBILENET: dict[str, Any] = {
    "inputs": [
        {"name": "input", "layout": "NCHW", "size": [224, 224], "color": "rgb", **_STRETCH}
        | {"scale": 1.0, "mean": [128.0] * 3, "std": [128.0] * 3}
    ],
}
MOVINET: dict[str, Any] = {"preset": "unit", "clip": {"fps": 10.0}}
