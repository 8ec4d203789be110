"""Which of the windows that a video holds are drawn: arithmetic on their starts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from edgevid.clips.timeline import WHOLE


def choose(available: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    """`count` of the starts, spread evenly over time: one at random from each equal share.

    Args:
        available: Ascending. `WHOLE`, where there, is always chosen.
        count: All of them where it is more.
    """
    if not available or count < 1:
        return []
    if available[0] == WHOLE:
        return [WHOLE, *choose(available[1:], count - 1, rng)]
    count = min(count, len(available))
    edges = [len(available) * i // count for i in range(count + 1)]
    return [available[int(rng.integers(low, high))] for low, high in pairwise(edges)]


def fair_shares(total: int, room: Sequence[int]) -> list[int]:
    """Share `total` among parties as equally as their room allows.

    Args:
        total: At least 0.
        room: The most that each can take.

    Returns:
        The share of each; together `total`, or all the room where that is less.
    """
    shares = [0] * len(room)
    ascending = sorted(range(len(room)), key=lambda i: room[i])
    for rank, i in enumerate(ascending):
        shares[i] = min(room[i], total // (len(room) - rank))
        total -= shares[i]
    return shares
