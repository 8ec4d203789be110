"""The best classes of a prediction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgevid.types import Prediction


def best(prediction: Prediction, labels: Sequence[str], count: int) -> list[tuple[str, float]]:
    """The `count` best classes after smoothing, best first; equal scores in class order.

    Raises:
        ValueError: There is not one label for every score.
    """
    scores = prediction.smoothed
    if len(scores) != len(labels):
        raise ValueError(f"{len(scores)} scores, but {len(labels)} labels")
    lowest_first = -scores
    places = np.arange(len(scores))
    if count < len(scores):
        # Only those as good as the last one shown need sorting; NaN is as good as none.
        last = np.partition(lowest_first, count - 1)[count - 1]
        near = np.flatnonzero(lowest_first <= last)
        places = near if len(near) >= count else places
    order = places[np.argsort(lowest_first[places], kind="stable")[:count]]
    return [(labels[i], float(scores[i])) for i in order.tolist()]
