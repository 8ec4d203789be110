"""Whether what a caller feeds fits what a graph takes: the same check for every engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from edgevid.errors import EngineError
from edgevid.types import Array, TensorInfo


def check_feeds(inputs: Sequence[TensorInfo], feeds: Mapping[str, Array]) -> int:
    """Check names, dtypes, shapes and contiguity of `feeds`.

    Returns:
        The batch: the length of the open axis, which every input that has one must share.

    Raises:
        EngineError: A feed is missing, unknown or does not fit; expected and actual are named.
    """
    if len(feeds) != len(inputs) or any(info.name not in feeds for info in inputs):
        expected = sorted(info.name for info in inputs)
        raise EngineError(
            f"the graph takes the inputs {expected}; fed were {sorted(feeds)}",
            "Feed every input by its name",
        )
    batches: dict[str, int] = {}
    for info in inputs:
        array = feeds[info.name]
        _check_one(info, array)
        if info.batch_axis is not None:
            batches[info.name] = array.shape[info.batch_axis]
    if len(set(batches.values())) > 1:
        raise EngineError(f"the inputs differ in batch: {batches}", "Feed one batch for all inputs")
    if batches:
        return next(iter(batches.values()))
    first = inputs[0].shape if inputs else ()
    return first[0] or 1 if first else 1


def _check_one(info: TensorInfo, array: Array) -> None:
    if array.dtype != _dtype(info.dtype):
        raise EngineError(
            f"input {info.name!r} takes dtype {info.dtype}; fed was {array.dtype.name}",
            f"Convert it: array.astype({info.dtype!r})",
        )
    if array.shape != info.shape and not _fits(info, array):
        raise EngineError(
            f"input {info.name!r} takes shape {show_shape(info.shape)}; "
            f"fed was {show_shape(array.shape)}",
            "Feed it batch first, as the manifest's size and num_frames say",
        )
    if 0 in array.shape:
        raise EngineError(f"input {info.name!r} is empty: shape {show_shape(array.shape)}")
    if not array.flags.c_contiguous:
        raise EngineError(
            f"input {info.name!r} is not C-contiguous (strides {array.strides})",
            "Feed numpy.ascontiguousarray(array)",
        )


_dtype = cache(np.dtype)


def _fits(info: TensorInfo, array: Array) -> bool:
    if len(array.shape) != len(info.shape):
        return False
    for want, have in zip(info.shape, array.shape, strict=True):
        if want is not None and want != have:
            return False
    return True


def show_shape(shape: Sequence[int | None]) -> str:
    """A shape for people: dynamic dimensions are `?`."""
    return "[" + ", ".join("?" if d is None else str(d) for d in shape) + "]"
