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


_GRID_TOLERANCE = 0.02
"""How far, in steps, values may lie beside a grid: FP32 rounding, and no more."""

_MOST_LEVELS = 512


def activation_scale(peak: float, scale_dtype: ScaleType) -> Float32Array:
    """Scale for magnitudes up to `peak`: a scalar array.

    Args:
        peak: Positive and finite.
        scale_dtype: Holds the scale exactly.
    """
    return _rounded(np.array(peak / LARGEST), scale_dtype)


def quantize_weight(
    values: Array, axis: int, scale_dtype: ScaleType, name: str
) -> tuple[npt.NDArray[np.int8], Float32Array]:
    """A weight in INT8, in [-127, 127], and its scales, one for each index along `axis`.

    A weight that was trained for integers lies on a grid already. Its channels keep that
    grid where they fit it, and lose nothing; a scale of their own would round them again.

    Raises:
        ConversionError: A value is not finite; the message says `name`.
    """
    if not np.isfinite(values).all():
        raise ConversionError(
            f"weight {name!r} holds NaN or infinity",
            "Export the model again from a good checkpoint",
        )
    others = tuple(i for i in range(values.ndim) if i != axis % values.ndim)
    peaks = np.abs(values.astype(np.float64)).max(axis=others)
    # A channel of zeros is exact with any scale.
    scales = np.where(peaks > 0, peaks, LARGEST) / LARGEST
    step = grid_step(values)
    if step is not None:
        fits = peaks <= (LARGEST + _GRID_TOLERANCE) * step
        scales = np.where(fits, step, scales)
    stored = _rounded(scales, scale_dtype)
    levels = np.rint(values / np.expand_dims(stored.astype(np.float64), others))
    return np.clip(levels, -LARGEST, LARGEST).astype(np.int8), stored


def grid_step(values: Array) -> float | None:
    """The step of which all `values` are multiples; None where there is none.

    Only what has few distinct values, and neighbours among them, can lie on an integer grid.
    """
    distinct = np.unique(values.astype(np.float64))
    if not 2 < len(distinct) <= _MOST_LEVELS:
        return None
    gaps = np.diff(distinct)
    # The same level may come out as two FP32 values; a step is never that small.
    gaps = gaps[gaps > np.abs(distinct).max() / (2 * _MOST_LEVELS)]
    if not len(gaps):
        return None
    multiples = np.rint(distinct / gaps.min())
    # Least squares: the smallest gap alone is off by FP32 rounding.
    step = float((multiples @ distinct) / (multiples @ multiples))
    return step if np.abs(distinct / step - multiples).max() <= _GRID_TOLERANCE else None


def _rounded(scales: Array, scale_dtype: ScaleType) -> Float32Array:
    """Scales that `scale_dtype` holds exactly, never 0 or infinite, in FP32."""
    limits = np.finfo(scale_dtype)
    bounded = np.clip(scales, float(limits.tiny), float(limits.max))
    return bounded.astype(scale_dtype).astype(np.float32)
