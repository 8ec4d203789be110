"""What each smoother costs: microseconds of one thread for a prediction.

    python -m edgevid.benchmarks.smoothing [--classes 400] [--predictions 4000]

Windows come 0.1 s apart. Each figure is the median of five runs, taken in turn with the
others; the last column is the slowest of them.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from edgevid.smoothing import SmootherFactory, as_delayed, parse_smoother
from edgevid.smoothing.transitions import write_transitions
from edgevid.types import Float32Array

LIMIT_US = 10.0
"""Promised at 400 classes for smoothers that answer at once."""

SPECS = (
    "none", "mean:8", "mean:1.5s", "logmean:8", "ema:0.3", "ema:0.8s", "vote:9", "vote:2s",
    "median:5", "median:9", "hysteresis:0.1", "hysteresis:0.1,for=0.5s", "hmm:0.95", "hmm:4s",
    "mean:4+hysteresis:0.1", "hmm:0.95,lag=3", "hmm:0.95,lag=1s", "hmm:file=transitions.csv",
)  # fmt: skip

_HOP_S = 0.1
_ROUNDS = 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", type=int, default=400)
    parser.add_argument("--predictions", type=int, default=4000)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.full(options.classes, 0.05), options.predictions)
    labels = [str(i) for i in range(options.classes)]
    with tempfile.TemporaryDirectory() as folder:
        even = np.full((options.classes, options.classes), 1 / options.classes)
        Path(folder, "transitions.csv").write_bytes(write_transitions(even, labels))
        made = {spec: parse_smoother(spec, labels=labels, folder=Path(folder)) for spec in SPECS}
    taken: dict[str, list[float]] = {spec: [] for spec in SPECS}
    for _ in range(_ROUNDS):
        for spec, factory in made.items():
            taken[spec].append(_microseconds(factory, scores.astype(np.float32)))
    print(f"{options.classes} classes, {options.predictions} predictions, {_HOP_S} s apart")
    print(f"{'smoother':28}{'µs':>8}{'slowest':>10}")
    for spec, runs in taken.items():
        middle = statistics.median(runs)
        note = "" if middle <= LIMIT_US else f"  above {LIMIT_US:g}"
        print(f"{spec:28}{middle:8.2f}{max(runs):10.2f}{note}")


def _microseconds(factory: SmootherFactory, scores: Float32Array) -> float:
    """For one prediction, through the face that the pipeline uses."""
    smoother = as_delayed(factory())
    started = time.perf_counter()
    for i, row in enumerate(scores):
        smoother.push(row, i * _HOP_S)
    return (time.perf_counter() - started) / len(scores) * 1e6


if __name__ == "__main__":
    main()
