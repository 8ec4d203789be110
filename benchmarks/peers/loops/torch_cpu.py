"""torchvision beside a CPU build of PyTorch."""

from __future__ import annotations

from typing import Any

_LIBRARIES: list[Any] = []


def import_torchvision(threads: int) -> Any:
    """torchvision, with so many threads for PyTorch.

    Its wheels are built against another build of PyTorch, so its own operators do not load; none
    is used here, and their signatures are enough for it to be imported.
    """
    import torch

    torch.set_num_threads(threads)
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _LIBRARIES.append(library)
    import torchvision

    return torchvision
