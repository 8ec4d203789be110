"""Optical flow from one picture to another, in bytes.

A field holds, for each pixel of the first picture, how far its point has moved in the second:
x to the right, then y down, in pixels of these pictures. It is clipped to 20 pixels either
way and rounded to a byte, as two-stream networks are trained on (Simonyan & Zisserman 2014,
arXiv:1406.2199; TSN, Wang et al. 2016, arXiv:1608.00859):

    byte = round((flow + 20) * 255 / 40)        flow = byte * 40 / 255 - 20

128 stands for no motion (0.08 pixels). The inverse is in the bundle's graph.

- `dis-ultrafast`, `dis-fast`, `dis-medium`: OpenCV's Dense Inverse Search with that preset
  (Kroeger et al. 2016, arXiv:1603.03590).
- `farneback`: OpenCV's, with the parameters of its tutorial (Farnebäck 2003).
- `nvidia`: the GPU's own optical flow unit, where OpenCV was built with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import cv2
import numpy as np

from edgevid.errors import EngineError
from edgevid.inputs import FlowMethod
from edgevid.tracks import FLOW_BOUND, NO_MOTION
from edgevid.types import Float32Array, UInt8Array

Flow = Callable[[UInt8Array, UInt8Array], Float32Array]
"""From two grey pictures `(H, W)` uint8, C-contiguous, to a field `(H, W, 2)` float32 in pixels."""

_PRESETS = {
    "dis-ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "dis-fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "dis-medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
_PATCH = 8
"""Side of the patches that DIS compares, in pixels."""

_FARNEBACK = (0.5, 3, 15, 3, 5, 1.2, 0)
"""Scale and number of pyramid levels, window, iterations, neighbourhood and its sigma, flags."""


def open_flow(method: FlowMethod) -> Flow:
    """The function that computes flow by `method`; for one thread at a time.

    Raises:
        EngineError: This machine's OpenCV does not have it.
    """
    if method == "nvidia":
        return _Nvidia()
    if method == "farneback":
        return _farneback
    return _Dis(_PRESETS[method])


def encode(flow: Float32Array) -> UInt8Array:
    """Bytes of a field of any shape; NaN is no motion."""
    clipped = np.clip(np.nan_to_num(flow, nan=0.0), -FLOW_BOUND, FLOW_BOUND)
    return cast(UInt8Array, np.rint((clipped + FLOW_BOUND) * (127.5 / FLOW_BOUND)).astype(np.uint8))


def grey(picture: UInt8Array) -> UInt8Array:
    """`(H, W)` brightness of a `(H, W, 3)` BGR picture."""
    return cast(UInt8Array, cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))


def no_motion(height: int, width: int) -> UInt8Array:
    """The bytes of a field in which nothing moves, `(H, W, 2)`."""
    return np.full((height, width, 2), NO_MOTION, np.uint8)


class _Dis:
    def __init__(self, preset: int) -> None:
        self._preset = preset
        self._size: tuple[int, ...] = ()
        self._dis: Any = None

    def __call__(self, first: UInt8Array, second: UInt8Array) -> Float32Array:
        if first.shape != self._size:
            self._size = first.shape
            self._dis = cv2.DISOpticalFlow.create(self._preset)
            self._dis.setFinestScale(min(self._dis.getFinestScale(), _scales(*first.shape)))
        return cast(Float32Array, self._dis.calc(first, second, None))


def _scales(height: int, width: int) -> int:
    """The coarsest scale that OpenCV's DIS takes for pictures of that size.

    With a finest scale above it DIS chooses others, keeps them for the next pictures, and on
    low, wide ones reads beyond its buffers (OpenCV 5.0).
    """
    by_length = math.log2(max(height, width) / (4 * _PATCH)) + 0.5
    by_patches = math.log2(min(height, width) / _PATCH)
    return max(int(min(by_length, by_patches)), 0)


def _farneback(first: UInt8Array, second: UInt8Array) -> Float32Array:
    # The stubs ask for an array where OpenCV makes one itself.
    none = cast(Any, None)
    return cast(Float32Array, cv2.calcOpticalFlowFarneback(first, second, none, *_FARNEBACK))


class _Nvidia:
    """NVIDIA's Optical Flow SDK 2.0 through OpenCV's module cudaoptflow."""

    def __init__(self) -> None:
        unit: Any = getattr(getattr(cv2, "cuda", None), "NvidiaOpticalFlow_2_0", None)
        if unit is None:
            raise EngineError(
                'flow_method = "nvidia" needs an OpenCV built with CUDA and cudaoptflow, which '
                "this one is not",
                'Build that OpenCV, or say flow_method = "dis-fast" in the spec, or run with '
                "--flow dis-fast",
            )
        self._create: Callable[[tuple[int, int]], Any] = unit.create
        self._unit: Any = None
        self._size: tuple[int, ...] = ()

    def __call__(self, first: UInt8Array, second: UInt8Array) -> Float32Array:
        height, width = first.shape
        try:
            if self._size != first.shape:
                self._unit = self._create((width, height))
                self._size = first.shape
            raw = self._unit.calc(first, second, None)[0]
            field = self._unit.convertToFloat(raw, None)
        except cv2.error as exc:
            raise EngineError(
                f"NVIDIA's optical flow fails on pictures of {width}x{height}: {exc}",
                'Say flow_method = "dis-fast" in the spec, or run with --flow dis-fast',
            ) from None
        field = field.download() if hasattr(field, "download") else field
        if field.shape[:2] != first.shape:
            # Older GPUs have a coarser grid than one vector a pixel.
            field = cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR)
        return cast(Float32Array, np.asarray(field, np.float32))
