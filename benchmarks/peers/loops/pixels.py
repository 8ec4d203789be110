"""What tutorials do to a frame: resize, reorder, normalise, channels first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def preprocessing(job: dict[str, Any]) -> Callable[[Any], Any]:
    """A function from `(H, W, 3)` uint8 BGR to what the job's graph takes, batch first."""
    import cv2
    import numpy as np

    height, width = job["size"]
    mean, std = np.array(job["mean"], np.float32), np.array(job["std"], np.float32)

    def resized(frame: Any) -> Any:
        return cv2.resize(frame, (width, height))

    def normalised(frame: Any) -> Any:
        picture = resized(frame)
        if job["color"] == "rgb":
            picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        values = (picture.astype(np.float32) * job["scale"] - mean) / std
        return np.ascontiguousarray(values.transpose(2, 0, 1))[np.newaxis]

    # A bundle's own graph takes bytes, and does the rest itself.
    return (lambda frame: resized(frame)[np.newaxis]) if job["bytes"] else normalised


def onnx_session(job: dict[str, Any]) -> Callable[[Any], int]:
    """A function from what `preprocessing` gives to the best class, in ONNX Runtime."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = job["threads"]
    session = ort.InferenceSession(job["model"], options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda batch: int(session.run(None, {name: batch})[0][0].argmax())
