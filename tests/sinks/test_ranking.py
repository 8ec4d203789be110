"""The best classes of a prediction, against a plain sort."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.sinks.ranking import best
from edgevid.types import Prediction

SCORES = st.sampled_from([0.0, 0.25, 0.5, 1.0, math.nan, math.inf, -math.inf])


def predicted(scores: list[float]) -> Prediction:
    array = np.array(scores, np.float32)
    return Prediction("cam0", 0, 0.0, 0.0, array, array, "a", 0.0, "a", 0.0)


@given(st.lists(SCORES, min_size=1, max_size=12), st.integers(1, 6))
def test_best_first_equal_scores_in_class_order_and_nan_last(scores, count):
    names = [f"class {i}" for i in range(len(scores))]
    places = range(len(scores))
    nans = [i for i in places if math.isnan(scores[i])]
    order = sorted(set(places) - set(nans), key=lambda i: (-scores[i], i)) + nans
    found = best(predicted(scores), names, count)
    assert [label for label, _ in found] == [names[i] for i in order[:count]]
    assert [s for _, s in found] == pytest.approx([scores[i] for i in order[:count]], nan_ok=True)


def test_labels_must_fit():
    with pytest.raises(ValueError, match="2 scores, but 1 labels"):
        best(predicted([0.5, 0.5]), ["one"], 1)
