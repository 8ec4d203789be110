"""The features of one stream's frames, kept as long as a window may need them again."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from edgevid.types import Array

Frames = npt.NDArray[np.int64]
"""`(K,)` the frames that a window is made of, by their numbers in `Clip.frames`."""


class FeatureStore:
    """Features by frame.

    For windows of four, two samples apart:

        held       frames  3 4 5 6
        window             5 6 7 7
        missing    place   2 alone: 5 and 6 are held, and 7 is computed once
    """

    def __init__(self) -> None:
        self._rows: dict[int, Array] = {}

    def missing(self, frames: Frames) -> list[int]:
        """Places in a window whose features have to be computed, in order, each frame once."""
        unique, places = np.unique(frames, return_index=True)
        new = zip(unique.tolist(), places.tolist(), strict=True)
        return sorted(place for frame, place in new if frame not in self._rows)

    def add(self, frames: Frames, rows: Iterable[Array]) -> None:
        """Keep features, one row a frame."""
        for frame, row in zip(frames.tolist(), rows, strict=True):
            # A copy: the row may be part of a large batch, which would be kept with it.
            self._rows[frame] = row.copy()

    def window(self, frames: Frames) -> Array:
        """`(K, ...)` the features of a window, in its order.

        Raises:
            KeyError: One of them is missing.
        """
        return np.stack([self._rows[frame] for frame in frames.tolist()])

    def forget_before(self, frame: int) -> None:
        """Let go of frames that no later window holds."""
        self._rows = {kept: row for kept, row in self._rows.items() if kept >= frame}

    def clear(self) -> None:
        """Forget every frame: the stream begins anew."""
        self._rows.clear()

    def __len__(self) -> int:
        return len(self._rows)
