"""The check that remembers what fitted says the same as the one that looks at everything."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgevid.engines.feeds import FeedCheck, check_feeds
from edgevid.errors import EngineError
from edgevid.types import TensorInfo

INPUTS = (TensorInfo("clip", (None, 2, 3), "uint8"), TensorInfo("state", (None, 4), "float32"))


def said(check, feeds: Mapping[str, np.ndarray]) -> int | str:
    try:
        return check(feeds)
    except EngineError as exc:
        return str(exc)


batches = st.integers(0, 3)
clips = st.tuples(batches, st.integers(2, 3), st.booleans(), st.sampled_from(["uint8", "int8"]))
states = st.tuples(batches, st.sampled_from([3, 4]))


@st.composite
def feeds(draw) -> dict[str, np.ndarray]:
    batch, rows, turned, dtype = draw(clips)
    shape = (batch, rows, 3)
    clip = np.zeros(shape[::-1], dtype).T if turned else np.zeros(shape, dtype)
    found = {"clip": clip, "state": np.zeros(draw(states), np.float32)}
    gone = draw(st.sampled_from([None, None, None, "clip", "state"]))
    found.pop(gone, None)
    if draw(st.booleans()) and gone:
        found["other"] = np.zeros(3)
    return found


@given(st.lists(feeds(), min_size=1, max_size=6), st.lists(st.integers(0, 5), max_size=12))
def test_it_says_what_the_whole_check_says_whatever_came_before(different, order):
    check = FeedCheck(INPUTS)
    for i in order:
        asked = different[i % len(different)]
        assert said(check, asked) == said(lambda f: check_feeds(INPUTS, f), asked)


def test_what_fitted_once_is_told_by_its_shape_and_type():
    check = FeedCheck(INPUTS)
    good = {"clip": np.zeros((2, 2, 3), np.uint8), "state": np.zeros((2, 4), np.float32)}
    assert [check(good), check(good)] == [2, 2]
    turned = {**good, "clip": np.zeros((3, 2, 2), np.uint8).T}
    assert "not C-contiguous" in str(said(check, turned))
    assert "differ in batch" in str(said(check, {**good, "state": np.zeros((1, 4), np.float32)}))
    assert check(good) == 2
