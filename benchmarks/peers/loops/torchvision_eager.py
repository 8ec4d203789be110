"""PyTorch in eager mode: OpenCV's frames, torchvision's transforms, the same weights.

The graph is read into PyTorch modules by onnx2torch. Resizing is without antialiasing, as the
contract says; torchvision's own default is with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .torch_cpu import import_torchvision


def prepare(job: dict[str, Any]) -> Callable[[], list[int]]:
    """Load the model; a function that labels the video once."""
    import cv2
    import numpy as np

    import_torchvision(job["threads"])
    import torch
    from onnx2torch import convert
    from torchvision.transforms import v2

    model = convert(job["model"]).eval()
    scale = job["scale"] * 255
    transform = v2.Compose(
        [
            v2.Resize(job["size"], antialias=False),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([m / scale for m in job["mean"]], [s / scale for s in job["std"]]),
        ]
    )

    def label(frame: Any) -> int:
        if job["color"] == "rgb":
            frame = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        picture = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)
        with torch.inference_mode():
            return int(model(transform(picture)[None]).argmax())

    def run() -> list[int]:
        capture = cv2.VideoCapture(job["video"])
        labels: list[int] = []
        index = 0
        while capture.grab():
            if index % job["stride"] == 0:
                labels.append(label(capture.retrieve()[1]))
            index += 1
        return labels

    return run
