"""OpenVINO's Model API: `ActionClassificationModel`, on clips of one frame.

The graph that it gets takes `(1, 1, 3, T, H, W)` with T = 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def prepare(job: dict[str, Any]) -> Callable[[], list[int]]:
    """Load the model; a function that labels the video once."""
    import cv2
    from model_api.adapters import OpenvinoAdapter, create_core
    from model_api.models import ActionClassificationModel

    settings = {
        "INFERENCE_NUM_THREADS": job["threads"],
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    adapter = OpenvinoAdapter(create_core(), job["clip_model"], plugin_config=settings)
    # It computes (x - mean) / scale.
    configuration = {
        "labels": [str(i) for i in range(job["classes"])],
        "mean_values": [m / job["scale"] for m in job["mean"]],
        "scale_values": [s / job["scale"] for s in job["std"]],
        "reverse_input_channels": job["color"] == "rgb",
        "resize_type": "standard",
    }
    model = ActionClassificationModel(adapter, configuration, preload=True)

    def run() -> list[int]:
        capture = cv2.VideoCapture(job["video"])
        labels: list[int] = []
        index = 0
        while capture.grab():
            if index % job["stride"] == 0:
                frame = capture.retrieve()[1]
                labels.append(int(model(frame[None]).top_labels[0].id))
            index += 1
        return labels

    return run
