"""The loop of most tutorials: read every frame, and label every n-th before reading on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .pixels import onnx_session, preprocessing


def prepare(job: dict[str, Any]) -> Callable[[], list[int]]:
    """Load the model; a function that labels the video once."""
    import cv2

    pixels, label = preprocessing(job), onnx_session(job)

    def run() -> list[int]:
        capture = cv2.VideoCapture(job["video"])
        labels: list[int] = []
        index = 0
        while True:
            ok, frame = capture.read()
            if not ok:
                return labels
            if index % job["stride"] == 0:
                labels.append(label(pixels(frame)))
            index += 1

    return run
