"""How near a run came to what its device can do.

Source: Williams, Waterman, Patterson 2009, "Roofline: an insightful visual performance model".
A call takes at least the time of its operations at the device's peak and the time of its bytes at
the memory's, whichever is longer.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from edgevid.benchmarks.harness.graph_cost import GraphCost, Numbers
from edgevid.benchmarks.harness.peaks import Peaks
from edgevid.strict import Strict


class Roofline(Strict):
    """How near a run came to what the device can do (Williams et al. 2009)."""

    gflop_per_clip: float = Field(
        description="10^9 operations of matrix products, a multiply-add counts two."
    )
    gflop_by_numbers: dict[Numbers, float] = Field(description="The same, by what computes them.")
    gflop_by_kind: dict[str, float] = Field(description="The same, by operator.")
    mb_per_clip: float = Field(
        description="10^6 bytes to and from memory, at least: weights, inputs, outputs once a call."
    )
    layers_mb_per_clip: float = Field(
        description="The same where all that lies between layers goes through memory too."
    )
    peak_gflop_s: float = Field(description="For these operations, in the numbers they are in.")
    peak_gb_s: float
    peaks_from: str = Field(description="The source of the two peaks.")
    bound: Literal["compute", "memory"] = Field(description="Which of the two limits it, at least.")
    limit_ms: float = Field(description="The least time a clip can take.")
    share: float = Field(description="Of the limit that the run reached: limit_ms / ms a clip.")
    layers_limit_ms: float = Field(
        description="Least time where each layer is bound by its own operations or its own bytes; "
        "less is possible where caches hold what lies between layers."
    )
    layers_share: float
    memory_bound_share: float = Field(
        description="Part of layers_limit_ms in layers that memory limits."
    )
    reached_gflop_s: float
    uncounted: dict[str, int] = Field({}, description="Operators that could not be counted.")


@dataclass(frozen=True)
class Calls:
    """A graph, and how often it is called for one clip: 1 / batch, or once for each new frame."""

    cost: GraphCost
    per_clip: float = 1.0


def roofline(parts: Sequence[Calls], peaks: Peaks, clip_s: float) -> Roofline:
    """Hold a run against its device.

    Args:
        parts: Every graph of the model.
        peaks: Of the device.
        clip_s: Seconds that a clip took: the engine's own time, or 1 / throughput.
    """
    numbers: dict[Numbers, float] = defaultdict(float)
    kinds: dict[str, float] = defaultdict(float)
    uncounted: Counter[str] = Counter()
    compute_s = layers_s = bound_s = least_bytes = layer_bytes = 0.0
    for part in parts:
        least_bytes += part.cost.least_bytes * part.per_clip
        layer_bytes += part.cost.layer_bytes * part.per_clip
        uncounted.update(part.cost.uncounted)
        for kind, flops in part.cost.flops_by_kind.items():
            kinds[kind] += flops * part.per_clip / 1e9
        for layer in part.cost.layers:
            numbers[layer.numbers] += layer.flops * part.per_clip / 1e9
            busy_s = layer.flops * part.per_clip / 1e9 / peaks.gflop_s[layer.numbers]
            moved_s = layer.bytes * part.per_clip / 1e9 / peaks.gb_s
            compute_s += busy_s
            layers_s += max(busy_s, moved_s)
            bound_s += moved_s if moved_s > busy_s else 0.0
    memory_s = least_bytes / 1e9 / peaks.gb_s
    limit_s = max(compute_s, memory_s)
    gflop = sum(kinds.values())
    return Roofline(
        gflop_per_clip=gflop,
        gflop_by_numbers={n: flop for n, flop in numbers.items() if flop},
        gflop_by_kind=dict(sorted(kinds.items(), key=lambda item: -item[1])),
        mb_per_clip=least_bytes / 1e6,
        layers_mb_per_clip=layer_bytes / 1e6,
        peak_gflop_s=gflop / compute_s if compute_s else max(peaks.gflop_s.values()),
        peak_gb_s=peaks.gb_s,
        peaks_from=peaks.source,
        bound="compute" if compute_s >= memory_s else "memory",
        limit_ms=limit_s * 1e3,
        share=limit_s / clip_s,
        layers_limit_ms=layers_s * 1e3,
        layers_share=layers_s / clip_s,
        memory_bound_share=bound_s / layers_s if layers_s else 0.0,
        reached_gflop_s=gflop / clip_s,
        uncounted=dict(uncounted),
    )
