"""What the bytes of a plan show, for machines that cannot load it.

A heuristic. The parts of a plan that TensorRT's graph compiler made describe themselves in
text, as seen in plans of TensorRT-RTX 1.7:

    tensor={ alignment=128 const_payload_size=4608 dims={ 32 16 3 3 } name="..." ... type=int8 }
    [ONNX Layer: stem/conv]

NVIDIA documents neither; another release may write them otherwise, or not at all.
`PlanSummary.readable` says whether anything was recognised. What a plan really runs, only a
GPU can tell: `edgevid.engines.engine_layers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_CONSTANT = re.compile(rb"tensor=\{[^\n]*?const_payload_size=(\d+)[^\n]*? type=(\w+) \}")
_LAYER = re.compile(rb"\[ONNX Layer: ([^\x00-\x1f\"]+)\]")


@dataclass(frozen=True)
class Constants:
    """Constants of one type: how many, and the bytes they take together."""

    count: int = 0
    nbytes: int = 0


@dataclass(frozen=True)
class PlanSummary:
    """What a plan's text shows.

    Attributes:
        bytes: Size of the plan.
        int8_constants, half_constants, float_constants: Weights and the like, as the engine
            holds them (channels may be padded, and scales are folded into weights).
        layer_names: Of the ONNX nodes that the engine computes, in the order in which they
            first stand in the plan.
    """

    bytes: int
    int8_constants: Constants
    half_constants: Constants
    float_constants: Constants
    layer_names: tuple[str, ...]

    @property
    def readable(self) -> bool:
        """Whether anything was recognised; where not, all counts are 0 and mean nothing."""
        return bool(
            self.layer_names
            or self.int8_constants.count
            or self.half_constants.count
            or self.float_constants.count
        )

    def doubt(self, precision: str) -> str:
        """Why this does not look like a plan in `precision`, in a sentence; empty if it does.

        Args:
            precision: Of the graph: "fp32", "fp16", "int8", "mixed".
        """
        if not self.readable:
            return ""
        if precision in ("int8", "mixed") and self.int8_constants.count == 0:
            return f"The graph is {precision}, but no INT8 weights were found in the plan."
        if precision == "fp16" and self.half_constants.count == 0:
            return "The graph is fp16, but no FP16 weights were found in the plan."
        return ""


def plan_constants(data: bytes) -> Iterator[tuple[str, int]]:
    """(type, bytes) of every constant in a plan's text, such as ("int8", 4608)."""
    for size, kind in _CONSTANT.findall(data):
        yield kind.decode(), int(size)


def plan_summary(data: bytes) -> PlanSummary:
    """Read what a plan's bytes show of it."""
    sizes: dict[str, list[int]] = {"int8": [], "half": [], "float": []}
    for kind, size in plan_constants(data):
        sizes.setdefault(kind, []).append(size)
    int8, half, single = (
        Constants(len(sizes[kind]), sum(sizes[kind])) for kind in ("int8", "half", "float")
    )
    names = dict.fromkeys(name.decode("utf-8", "replace") for name in _LAYER.findall(data))
    return PlanSummary(len(data), int8, half, single, tuple(names))
