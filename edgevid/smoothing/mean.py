"""The mean of the last n score vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgevid.types import Float32Array


class RollingMean:
    """Mean of the last `window` score vectors; of those there are until so many came.

    Windows are cut into blocks of n. `_rows` holds, at and after the current position, what
    is left of the block before (as sums from a row to that block's end); the current block
    is summed as it comes (van Herk 1992, Gil and Werman 1993). With n = 4, after score 5:

        scores   0 1 2 3 | 4 5        rows    4  5  2+3  3  0
                     └───────┘        mean = ((2+3) + (4+5)) / 4

    Nothing is ever subtracted: every answer is a fresh float64 sum of at most n float32
    values, so errors cannot pile up over months and a NaN leaves with its window. Two
    additions per score and update, spread over a block.

    Args:
        window: How many score vectors are averaged (n), at least 1.
    """

    def __init__(self, window: int) -> None:
        if window < 1:
            raise ValueError(f"window {window} must be at least 1")
        self.window = window
        self._seen = 0
        self._rows: npt.NDArray[np.float64] = np.zeros((window + 1, 0))
        self._block: npt.NDArray[np.float64] = np.zeros(0)

    def update(self, scores: Float32Array, time_s: float) -> Float32Array:  # noqa: ARG002
        """The mean `(C,)` float32 of `scores` `(C,)` and those of up to n - 1 windows before.

        Raises:
            ValueError: The number of classes changed without a `reset`.
        """
        if self._seen == 0:
            self._rows = np.zeros((self.window + 1, *scores.shape))
        if scores.shape != self._rows.shape[1:]:
            raise ValueError(f"scores are {self._rows.shape[1:]}; got {scores.shape}")
        slot = self._seen % self.window
        if slot == 0:
            backwards = self._rows[-2::-1]
            backwards[:] = backwards.cumsum(axis=0)
            self._block = np.zeros(scores.shape)
        self._rows[slot] = scores
        self._block += scores
        self._seen += 1
        mean: Float32Array = (
            (self._rows[slot + 1] + self._block) / min(self._seen, self.window)
        ).astype(np.float32)
        return mean

    def reset(self) -> None:
        """Forget all windows."""
        self._seen = 0
