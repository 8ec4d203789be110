"""How long optical flow takes, and how far off it is, by method.

    python -m edgevid.benchmarks.flow_methods [--size 224] [--fields 60]

A smooth texture is moved by a known way; the error is the mean distance between the way found
and the true one over the middle half of the picture, through the bytes that a model is fed. The
methods take turns, field by field, so that a drift of the machine touches all; their medians
are compared with that of the default.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass

import cv2
import numpy as np

from edgevid.errors import EngineError
from edgevid.inputs import FLOW_METHODS
from edgevid.preprocess.flow import Flow, encode, open_flow
from edgevid.spec import InputSpec as Input
from edgevid.spec import parse
from edgevid.tracks import FLOW_BOUND
from edgevid.types import UInt8Array

WAYS = ((1, 0), (3, -2), (8, 5), (15, -9))
"""Pixels to the right and down."""

_DEFAULT = "dis-fast"


@dataclass(frozen=True)
class Figures:
    """Of one method: median time of a field, and mean error for each of `WAYS` in pixels."""

    method: str
    ms: float
    errors: tuple[float, ...]


def texture(height: int, width: int, seed: int = 0) -> UInt8Array:
    """`(height, width)` uint8: noise without detail finer than about six pixels."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    stretched = (smooth - smooth.min()) / np.ptp(smooth.astype(np.float32)) * 255
    return np.asarray(stretched, np.uint8)


def measure(size: int, fields: int) -> list[Figures]:
    """Compare the methods that this machine has, on pictures of `size` by `size`."""
    methods = {m: flow for m in FLOW_METHODS if (flow := _open(m, size)) is not None}
    times: dict[str, list[float]] = {method: [] for method in methods}
    errors: dict[str, list[float]] = {method: [] for method in methods}
    margin = 32
    for i in range(fields):
        right, down = WAYS[i % len(WAYS)]
        whole = texture(size + 2 * margin, size + 2 * margin, i)
        first = whole[margin : margin + size, margin : margin + size].copy()
        top, left = margin - down, margin - right
        second = whole[top : top + size, left : left + size].copy()
        for method, flow in methods.items():
            started = time.perf_counter()
            found = encode(flow(first, second))
            times[method].append((time.perf_counter() - started) * 1e3)
            quarter = size // 4
            middle = found[quarter:-quarter, quarter:-quarter] * (2 * FLOW_BOUND / 255) - FLOW_BOUND
            errors[method].append(float(np.linalg.norm(middle - (right, down), axis=-1).mean()))
    return [
        Figures(
            method,
            statistics.median(times[method][1:]),
            tuple(statistics.mean(errors[method][i :: len(WAYS)]) for i in range(len(WAYS))),
        )
        for method in methods
    ]


def _open(method: str, size: int) -> Flow | None:
    fields = {"name": "flow", "layout": "NCHW", "size": (size, size), "modality": "flow"}
    spec: Input = parse(Input, {**fields, "flow_method": method}, "--size")
    try:
        return None if spec.flow_method is None else open_flow(spec.flow_method)
    except EngineError:
        return None


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--fields", type=int, default=60)
    options = parser.parse_args()
    figures = measure(options.size, options.fields)
    usual = next(f.ms for f in figures if f.method == _DEFAULT)
    ways = "  ".join(f"{way!s:>8}" for way in WAYS)
    print(f"{options.size}x{options.size}, {options.fields} fields; error in pixels by way")
    print(f"{'method':<14} {'ms':>6} {'times':>6}  {ways}")
    for f in figures:
        shown = "  ".join(f"{error:8.2f}" for error in f.errors)
        print(f"{f.method:<14} {f.ms:6.2f} {f.ms / usual:6.2f}  {shown}")


if __name__ == "__main__":
    main()
