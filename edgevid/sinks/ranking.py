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
    order = np.argsort(-scores, kind="stable")[:count]
    return [(labels[i], float(scores[i])) for i in order]
