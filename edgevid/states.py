"""What a streaming model remembers of one stream, between two calls of its graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgevid.spec import StateSpec
from edgevid.types import Array


class States:
    """The states of one stream: zeros at first, then what each call of the graph gave.

    Of a model without states it is empty, and costs nothing.

    Args:
        specs: The model's states.
    """

    def __init__(self, specs: Sequence[StateSpec]) -> None:
        self._specs = tuple(specs)
        self._arrays: dict[str, Array] = {}
        self.reset()

    def reset(self) -> None:
        """Forget the stream: zeros again."""
        self._arrays = {s.input: np.zeros(s.shape, s.dtype) for s in self._specs}

    @property
    def feeds(self) -> dict[str, Array]:
        """Input name to array, for the next call."""
        return dict(self._arrays)

    def take(self, outputs: Mapping[str, Array]) -> bool:
        """Keep what a call gave, for the next one.

        Args:
            outputs: Every output by name; those of the states are looked up.

        Returns:
            False where a value is NaN or infinite, which would stay for good: the states are
            zeros again then.
        """
        new = {s.input: outputs[s.output] for s in self._specs}
        # NumPy knows finite integers too.
        if not all(np.isfinite(array).all() for array in new.values()):
            self.reset()
            return False
        self._arrays = new
        return True
