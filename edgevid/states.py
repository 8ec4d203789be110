"""What streaming models remember of a stream, between two calls of their graph.

Several streams share a call where every state has a batch axis:

    stream 1  h (2, 1, 64) ─┐                                ┌─ h (2, 1, 64)  stream 1
    stream 2  h (2, 1, 64) ─┼─► gather ─► h (2, 3, 64) ─► scatter ─┼─ h (2, 1, 64)  stream 2
    stream 3  h (2, 1, 64) ─┘     batch_axis 1               └─ NaN: zeros    stream 3
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from edgevid.spec import StateSpec
from edgevid.types import Array

_LOOK_BYTES = 1 << 20
"""Of states that are looked through for NaN after one call."""


class States:
    """The states of one stream: zeros at first, then what each call of the graph gave.

    Of a model without states it is empty, and costs nothing.

    Args:
        specs: The model's states.
    """

    def __init__(self, specs: Sequence[StateSpec]) -> None:
        self.specs = tuple(specs)
        self._shares = _shares(specs)
        self._calls = 0
        self._arrays: dict[str, Array] = {}
        self.reset()

    def reset(self) -> None:
        """Forget the stream: zeros again."""
        self._arrays = {s.input: np.zeros(s.shape, s.dtype) for s in self.specs}

    @property
    def feeds(self) -> dict[str, Array]:
        """Input name to array, for the next call."""
        return dict(self._arrays)

    def take(self, outputs: Mapping[str, Array]) -> bool:
        """Keep what a call gave, for the next one.

        Of states larger than 1 MiB together a part is looked at after each call, in turns, as
        looking at all of them would cost more than passing them. What is NaN and reaches the
        scores meanwhile is for the caller to find there.

        Args:
            outputs: Every output by name; those of the states are looked up.

        Returns:
            False where a value is NaN or infinite, which would stay for good: the states are
            zeros again then.
        """
        share = self._shares[self._calls % len(self._shares)]
        self._calls += 1
        if not all(np.isfinite(outputs[spec.output]).all() for spec in share):
            self.reset()
            return False
        self._arrays = {s.input: outputs[s.output] for s in self.specs}
        return True


def can_batch(specs: Sequence[StateSpec]) -> bool:
    """True where several streams may share a call."""
    return all(spec.batch_axis is not None for spec in specs)


def gather(streams: Sequence[States]) -> dict[str, Array]:
    """What one call for all `streams` is fed: their states, joined along the batch axes.

    Args:
        streams: At least one; several only where `can_batch` says so.

    Returns:
        Input name to C-contiguous array; of a single stream its own arrays, not copied.
    """
    feeds = [stream.feeds for stream in streams]
    if len(streams) == 1:
        return {name: np.ascontiguousarray(array) for name, array in feeds[0].items()}
    return {
        spec.input: np.concatenate([feed[spec.input] for feed in feeds], axis=spec.batch_axis or 0)
        for spec in streams[0].specs
    }


def scatter(outputs: Mapping[str, Array], streams: Sequence[States]) -> list[bool]:
    """Let each stream keep its part of what a call for all of them gave; nothing is copied.

    Args:
        outputs: Every output by name.
        streams: In the order in which they were gathered.

    Returns:
        For each stream what `States.take` says: False where its own states were broken and
        are zeros again; the others keep theirs.
    """
    if len(streams) == 1:
        return [streams[0].take(outputs)]
    return [stream.take(_part(outputs, stream.specs, i)) for i, stream in enumerate(streams)]


def _part(outputs: Mapping[str, Array], specs: Sequence[StateSpec], i: int) -> dict[str, Array]:
    """Views of the states of the i-th stream."""
    return {
        spec.output: outputs[spec.output][
            (slice(None),) * (spec.batch_axis or 0) + (slice(i, i + 1),)
        ]
        for spec in specs
    }


def _shares(specs: Sequence[StateSpec]) -> list[list[StateSpec]]:
    """Float states in groups of at most `_LOOK_BYTES`; one that is larger stands alone."""
    shares: list[list[StateSpec]] = [[]]
    room = _LOOK_BYTES
    for spec in specs:
        if np.dtype(spec.dtype).kind != "f":
            continue
        size = math.prod(spec.shape) * np.dtype(spec.dtype).itemsize
        if size > room and shares[-1]:
            shares.append([])
            room = _LOOK_BYTES
        shares[-1].append(spec)
        room -= size
    return shares
