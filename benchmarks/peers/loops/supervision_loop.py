"""Supervision's frames and classifications around ONNX Runtime.

`ahead` in the job is its `prefetch`: frames that a thread of its own decodes beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .pixels import preprocessing


def prepare(job: dict[str, Any]) -> Callable[[], list[int]]:
    """Load the model; a function that labels the video once."""
    import numpy as np
    import onnxruntime as ort
    import supervision as sv

    pixels = preprocessing(job)
    options = ort.SessionOptions()
    options.intra_op_num_threads = job["threads"]
    session = ort.InferenceSession(job["model"], options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run() -> list[int]:
        labels = []
        frames = sv.get_video_frames_generator(
            job["video"], stride=job["stride"], prefetch=job["ahead"]
        )
        for frame in frames:
            scores = session.run(None, {name: pixels(frame)})[0][0]
            found = sv.Classifications(np.arange(len(scores)), scores)
            labels.append(int(found.get_top_k(1)[0][0]))
        return labels

    return run
