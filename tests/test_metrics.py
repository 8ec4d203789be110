import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.metrics import LatencyHistogram


@given(
    st.lists(st.floats(0.002, 1e5), min_size=1, max_size=300),
    st.sampled_from([1.0, 50.0, 90.0, 99.0, 99.9, 100.0]),
)
def test_percentiles_are_within_one_percent_of_nearest_rank(values, percent):
    histogram = LatencyHistogram()
    for value in values:
        histogram.add(value)
    exact = float(np.percentile(values, percent, method="inverted_cdf"))
    assert histogram.percentile(percent) == pytest.approx(exact, rel=0.011)
    assert histogram.count == len(values)
    assert histogram.mean_ms == pytest.approx(np.mean(values))
    assert histogram.max_ms == max(values)
    together = LatencyHistogram()
    together.add(values)
    assert together.percentile(percent) == histogram.percentile(percent)
    assert (together.count, together.max_ms) == (histogram.count, histogram.max_ms)
    assert together.mean_ms == pytest.approx(histogram.mean_ms)


def test_an_empty_histogram_is_all_zero():
    empty = LatencyHistogram()
    assert (empty.count, empty.mean_ms, empty.max_ms, empty.percentile(99)) == (0, 0.0, 0.0, 0.0)


def test_values_outside_the_range_still_count():
    histogram = LatencyHistogram()
    for value in (0.0, 1e-9, 1e9):
        histogram.add(value)
    assert histogram.count == 3
    assert histogram.percentile(50) == pytest.approx(1e-3, rel=0.02)
    assert histogram.max_ms == 1e9
