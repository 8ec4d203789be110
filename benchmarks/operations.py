"""The operations that edgevid counts in an ONNX file, against PyTorch's own counter.

    python -m edgevid.benchmarks.operations r3d_18 mobilenet_v3_large ...

Each torchvision model is counted by `torch.utils.flop_counter` on tensors without data, and
exported and counted from its shapes. Both count a multiply-add as two, and matrix products alone.
Needs torchvision (`pip install --no-deps torchvision`) and Pillow.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from typing import Any

from edgevid.benchmarks.harness.graph_cost import count_graph
from edgevid.benchmarks.model_zoo import MODELS, declare_operators

_PICTURES = ("resnet18", "mobilenet_v3_large", "efficientnet_b0", "convnext_tiny", "vit_b_16")


def main(arguments: list[str] | None = None) -> int:
    """Print the table; the last line is the largest difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nets", nargs="*", default=(*_PICTURES, *MODELS), help="torchvision models")
    args = parser.parse_args(arguments)
    print(
        f"{'model':20} {'input':>18} {'PyTorch':>16} {'edgevid':>16} {'ratio':>8} {'count (s)':>9}"
    )
    worst = 0.0
    for name in args.nets:
        shape = MODELS.get(name, (1, 3, 224, 224))
        theirs = _counted_by_torch(name, shape)
        ours, seconds = _counted_here(name, shape)
        worst = max(worst, abs(ours / theirs - 1))
        print(
            f"{name:20} {'×'.join(map(str, shape)):>18} {theirs:16,d} {ours:16,.0f} "
            f"{ours / theirs:8.6f} {seconds:9.1f}",
            flush=True,
        )
    print(f"largest difference {worst:.2e}")
    return 0


def _net(name: str) -> Any:
    declare_operators()
    import torchvision

    return torchvision.models.get_model(name, weights=None).eval()


def _counted_by_torch(name: str, shape: tuple[int, ...]) -> int:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    net = _net(name).to("meta")
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        net(torch.empty(shape, device="meta"))
    return int(counter.get_total_flops())


def _counted_here(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _net(name), (torch.zeros(shape),), dynamo=True, verbose=False, input_names=["x"]
        )
    begun = time.perf_counter()
    cost = count_graph(program.model_proto, {"x": shape})
    if cost.uncounted:
        print(f"{name}: not counted: {dict(cost.uncounted)}", file=sys.stderr)
    return cost.flops, time.perf_counter() - begun


if __name__ == "__main__":
    sys.exit(main())
