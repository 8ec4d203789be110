"""INT8 scales: symmetric, zero-point 0, amax / 127."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from edgevid.errors import ConversionError
from edgevid.types import Array, Float32Array

ScaleType = Literal["float32", "float16"]

LARGEST = 127
"""Of a weight -128 is not used, so that the range is symmetric."""


def activation_scale(peak: float, scale_dtype: ScaleType) -> np.float32:
    """Scale for magnitudes up to `peak`.

    Args:
        peak: Positive and finite.
        scale_dtype: Holds the scale exactly.
    """
    return np.float32(_scales(np.array([peak]), scale_dtype)[0])


def quantize_weight(
    values: Array, axis: int, scale_dtype: ScaleType, name: str
) -> tuple[npt.NDArray[np.int8], Float32Array]:
    """A weight in INT8, in [-127, 127], and its scales, one for each index along `axis`.

    Raises:
        ConversionError: A value is not finite; the message says `name`.
    """
    if not np.isfinite(values).all():
        raise ConversionError(
            f"weight {name!r} holds NaN or infinity",
            "Export the model again from a good checkpoint",
        )
    others = tuple(i for i in range(values.ndim) if i != axis % values.ndim)
    peaks = np.abs(values).max(axis=others)
    # A channel of zeros is exact with any scale.
    scales = _scales(np.where(peaks > 0, peaks, LARGEST), scale_dtype)
    wide = np.expand_dims(scales.astype(np.float64), others)
    rounded = np.clip(np.rint(values / wide), -LARGEST, LARGEST)
    return rounded.astype(np.int8), scales


def _scales(peaks: Array, scale_dtype: ScaleType) -> Float32Array:
    """peaks / 127, rounded to `scale_dtype` and never to 0 or infinity, in FP32."""
    limits = np.finfo(scale_dtype)
    exact = np.clip(peaks.astype(np.float64) / LARGEST, float(limits.tiny), float(limits.max))
    return exact.astype(scale_dtype).astype(np.float32)
