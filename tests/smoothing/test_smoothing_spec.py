"""The grammar of `--smooth`."""

from __future__ import annotations

import numpy as np
import pytest

from edgevid.errors import SpecError
from edgevid.smoothing import RollingMean, Unsmoothed, parse_smoother


def test_none_gives_scores_back() -> None:
    smoother = parse_smoother("none")()
    assert isinstance(smoother, Unsmoothed)
    scores = np.float32([0.1, 0.9])
    smoother.update(np.float32([1.0, 0.0]), 0.0)
    assert smoother.update(scores, 1.0).tolist() == scores.tolist()


@pytest.mark.parametrize(
    ("text", "window"), [("mean:1", 1), (" mean:8 ", 8), ("mean:10000", 10000)]
)
def test_mean_takes_its_window(text: str, window: int) -> None:
    smoother = parse_smoother(text)()
    assert isinstance(smoother, RollingMean)
    assert smoother.window == window


def test_every_stream_has_its_own_memory() -> None:
    make = parse_smoother("mean:2")
    one, other = make(), make()
    one.update(np.float32([1.0]), 0.0)
    assert other.update(np.float32([0.0]), 0.0).tolist() == [0.0]
    assert one.update(np.float32([0.0]), 1.0).tolist() == [0.5]


_BAD = """: median median:3 mean mean: mean:0 mean:x mean:-1 mean:+8 mean:1.5 mean:8:9
mean:1_0 mean:٨ mean:10001 Mean:8 none:1 mean,8"""


@pytest.mark.parametrize("text", ["", "mean 8", *_BAD.split()])
def test_bad_specs_name_the_value_and_what_is_allowed(text: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_smoother(text)
    assert repr(text) in str(caught.value)
    assert "none" in caught.value.hint
    assert "mean:8" in caught.value.hint
    assert "\n" not in str(caught.value)
