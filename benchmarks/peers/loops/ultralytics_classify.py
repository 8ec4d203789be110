"""Ultralytics' classifier on an ONNX file, with `vid_stride`.

Its own preprocessing: the last of every n frames, antialiased, the shorter side to the input's,
its centre. The graph that it gets takes what that gives (RGB in [0, 1]) and normalises itself;
ONNX Runtime gets as many threads as the others.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

from .torch_cpu import import_torchvision


def prepare(job: dict[str, Any]) -> Callable[[], list[int]]:
    """Load the model; a function that labels the video once."""
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_VERBOSE="false")
    os.environ.setdefault("YOLO_CONFIG_DIR", job["scratch"])
    import_torchvision(job["threads"])
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = job["threads"]
    session = ort.InferenceSession

    @functools.wraps(session)
    def with_threads(model: Any, given: Any = None, **more: Any) -> Any:
        return session(model, given or options, **more)

    ort.InferenceSession = with_threads
    from ultralytics import YOLO

    model = YOLO(job["unit_model"], task="classify")

    def run() -> list[int]:
        results = model.predict(
            job["video"], stream=True, vid_stride=job["stride"], imgsz=job["size"],
            device="cpu", verbose=False,
        )  # fmt: skip
        return [int(result.probs.top1) for result in results]

    return run
