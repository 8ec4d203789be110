"""Whether what a caller feeds fits what a graph takes: the same check for every engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

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
    missing = [info.name for info in inputs if info.name not in feeds]
    if missing or len(feeds) != len(inputs):
        expected = sorted(info.name for info in inputs)
        raise EngineError(
            f"the graph takes the inputs {expected}; fed were {sorted(feeds)}",
            "Feed every input by its name",
        )
    batches: dict[str, int] = {}
    for info in inputs:
        batch = _check_one(info, feeds[info.name])
        if batch is not None:
            batches[info.name] = batch
    if len(batches) > 1 and len(set(batches.values())) > 1:
        raise EngineError(f"the inputs differ in batch: {batches}", "Feed one batch for all inputs")
    if batches:
        return next(iter(batches.values()))
    first = inputs[0].shape if inputs else ()
    return first[0] or 1 if first else 1


def _check_one(info: TensorInfo, array: Array) -> int | None:
    """The batch, where the input has an open axis."""
    shape = array.shape
    fits, batch = len(shape) == len(info.shape), None
    for want, have in zip(info.shape, shape, strict=False):
        if want is None:
            batch = have if batch is None else batch
        elif want != have:
            fits = False
    if array.dtype != _dtype(info.dtype):
        raise EngineError(
            f"input {info.name!r} takes dtype {info.dtype}; fed was {array.dtype.name}",
            f"Convert it: array.astype({info.dtype!r})",
        )
    if not fits:
        raise EngineError(
            f"input {info.name!r} takes shape {show_shape(info.shape)}; "
            f"fed was {show_shape(shape)}",
            "Feed it batch first, as the manifest's size and num_frames say",
        )
    if 0 in shape:
        raise EngineError(f"input {info.name!r} is empty: shape {show_shape(shape)}")
    if not array.flags.c_contiguous:
        raise EngineError(
            f"input {info.name!r} is not C-contiguous (strides {array.strides})",
            "Feed numpy.ascontiguousarray(array)",
        )
    return batch


_dtype = cache(np.dtype)


class FeedCheck:
    """`check_feeds` for an engine that is called all the time, mostly with the same shapes.

    Args:
        inputs: What the graph takes.
    """

    def __init__(self, inputs: Sequence[TensorInfo]) -> None:
        self._inputs = inputs
        self._fitted: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        self._batch = 0

    def __call__(self, feeds: Mapping[str, Array]) -> int:
        """As `check_feeds`."""
        if not self._is_as_before(feeds):
            self._batch = check_feeds(self._inputs, feeds)
            self._fitted = {name: (array.shape, array.dtype) for name, array in feeds.items()}
        return self._batch

    def _is_as_before(self, feeds: Mapping[str, Array]) -> bool:
        if len(feeds) != len(self._fitted):
            return False
        for name, array in feeds.items():
            if self._fitted.get(name) != (array.shape, array.dtype):
                return False
            if not array.flags.c_contiguous:
                return False
        return True


def filled(shape: Sequence[int | None], batch: int) -> tuple[int, ...]:
    """A shape at this batch."""
    return tuple(batch if d is None else d for d in shape)


def show_shape(shape: Sequence[int | None]) -> str:
    """A shape for people: dynamic dimensions are `?`."""
    return "[" + ", ".join("?" if d is None else str(d) for d in shape) + "]"
