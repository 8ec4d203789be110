"""What a careful user writes: one thread reads, another labels, a queue between them.

Frames that are not labelled are grabbed, not retrieved.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from .pixels import onnx_session, preprocessing

_AHEAD = 64


def prepare(job: dict[str, Any]) -> Callable[[], list[int]]:
    """Load the model; a function that labels the video once."""
    import cv2

    pixels, label = preprocessing(job), onnx_session(job)

    def read(waiting: queue.Queue[Any]) -> None:
        capture = cv2.VideoCapture(job["video"])
        index = 0
        while capture.grab():
            if index % job["stride"] == 0:
                waiting.put(pixels(capture.retrieve()[1]))
            index += 1
        waiting.put(None)

    def run() -> list[int]:
        waiting: queue.Queue[Any] = queue.Queue(_AHEAD)
        reader = threading.Thread(target=read, args=(waiting,))
        reader.start()
        labels = []
        while (batch := waiting.get()) is not None:
            labels.append(label(batch))
        reader.join()
        return labels

    return run
