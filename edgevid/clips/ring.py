"""The ring that holds the last T samples of one input.

Each sample is written twice, T places apart, so that the window of the last T samples is
one contiguous view whatever the position:

    T = 4, after samples a b c d e f:

    place    0 1 2 3 4 5 6 7
    sample   e f c d e f c d
                 [-------]      the window starts at place 6 mod 4 = 2

A ring for one sample keeps the sample itself: there is nothing to join.
"""

from __future__ import annotations

import numpy as np

from edgevid.types import UInt8Array


class ClipRing:
    """The last T samples, oldest first, always as one contiguous view.

    Args:
        num_frames: T, at least 1.
        shape: Shape of one sample, such as (H, W, 3).
    """

    def __init__(self, num_frames: int, shape: tuple[int, ...]) -> None:
        self._num_frames = num_frames
        self._buffer = np.empty((2 * num_frames, *shape), np.uint8)
        self._pushed = 0

    def push(self, sample: UInt8Array) -> None:
        """Take one sample; the oldest one is forgotten."""
        if self._num_frames == 1:
            self._buffer = sample[np.newaxis]
            self._pushed += 1
            return
        place = self._pushed % self._num_frames
        self._buffer[place] = sample
        self._buffer[place + self._num_frames] = sample
        self._pushed += 1

    def window(self) -> UInt8Array:
        """`(T, ...)` uint8, oldest first: a view that the next `push` changes.

        Raises:
            ValueError: Fewer than T samples were pushed.
        """
        if self._pushed < self._num_frames:
            raise ValueError(f"the ring holds {self._pushed} of {self._num_frames} samples")
        start = self._pushed % self._num_frames
        return self._buffer[start : start + self._num_frames]

    def last(self) -> UInt8Array:
        """The newest sample, as a view.

        Raises:
            ValueError: The ring is empty.
        """
        if not self._pushed:
            raise ValueError("the ring is empty")
        newest: UInt8Array = self._buffer[(self._pushed - 1) % self._num_frames]
        return newest

    def clear(self) -> None:
        """Forget every sample."""
        self._pushed = 0

    def __len__(self) -> int:
        return min(self._pushed, self._num_frames)
