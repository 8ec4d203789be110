"""Histograms against their definitions, thresholds against brute force, ranges on graphs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper, numpy_helper

from edgevid.convert.quantize.histogram import NUM_BINS, Histogram
from edgevid.convert.quantize.ranges import collect_ranges
from edgevid.convert.quantize.thresholds import (
    LEVELS,
    divergences,
    entropy_threshold,
    mse_grid,
    mse_threshold,
    percentile_threshold,
    squared_errors,
)
from edgevid.errors import ConversionError

Values = npt.NDArray[np.float32]

ARRAYS = hnp.arrays(
    np.float32,
    st.integers(1, 200),
    elements=st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=True),
)


def histogram_of(*pieces: Values) -> Histogram:
    histogram = Histogram()
    for piece in pieces:
        histogram.add(piece)
    return histogram


def heavy_tailed(seed: int, count: int = 20_000) -> Values:
    """What a ReLU lets through, with a few values far out."""
    rng = np.random.default_rng(seed)
    values = np.maximum(rng.normal(size=count), 0) * rng.lognormal(size=count)
    return values.astype(np.float32)


# Histogram


@given(ARRAYS)
def test_every_value_lies_in_the_bin_that_its_magnitude_says(values: Values):
    histogram = histogram_of(values)
    magnitudes = [abs(float(v)) for v in values]
    expected = np.zeros(NUM_BINS, int)
    for magnitude in magnitudes:
        if magnitude:
            expected[math.floor(magnitude / histogram.bin_width)] += 1
    assert histogram.counts.tolist() == expected.tolist()
    assert histogram.zeros == sum(m == 0 for m in magnitudes)
    assert math.log2(histogram.limit).is_integer()
    assert histogram.limit > max(magnitudes)
    if not histogram.degenerate:
        assert histogram.limit <= 2 * max(magnitudes)


@given(st.lists(ARRAYS, min_size=1, max_size=6))
def test_no_count_is_lost_while_the_range_grows(pieces: list[Values]):
    histogram = Histogram()
    for number, piece in enumerate(pieces, 1):
        histogram.add(piece)
        assert histogram.total == sum(p.size for p in pieces[:number])


@given(st.lists(ARRAYS, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_a_stream_in_pieces_of_any_order_is_the_whole_at_once(pieces: list[Values], random: Any):
    once = histogram_of(np.concatenate(pieces))
    random.shuffle(pieces)
    assert_same(histogram_of(*pieces), once)


def test_long_arrays_are_binned_like_short_ones():
    values = heavy_tailed(1, 300_003)
    assert_same(histogram_of(values.reshape(3, -1)), histogram_of(*np.split(values, [7, 100_000])))


def assert_same(a: Histogram, b: Histogram) -> None:
    assert a.counts.tolist() == b.counts.tolist()
    assert (a.zeros, a.low, a.high, a.limit) == (b.zeros, b.low, b.high, b.limit)


def test_low_and_high_keep_their_sign():
    histogram = histogram_of(np.float32([3, 5]), np.float32([4]))
    assert (histogram.low, histogram.high, histogram.amax) == (3, 5, 5)
    histogram.add(np.float32([-7, 0]))
    assert (histogram.low, histogram.high, histogram.amax) == (-7, 5, 7)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_is_refused_and_changes_nothing(bad: float):
    histogram = histogram_of(np.float32([1, 2]))
    with pytest.raises(ValueError, match="NaN or infinite"):
        histogram.add(np.float32([100, bad]))
    assert_same(histogram, histogram_of(np.float32([1, 2])))


def test_an_empty_array_changes_nothing():
    histogram = histogram_of(np.float32([1, 2]))
    histogram.add(np.empty((0, 3), np.float32))
    assert_same(histogram, histogram_of(np.float32([1, 2])))


# Thresholds


@given(ARRAYS, st.sampled_from([50.0, 90.0, 99.9, 99.99, 100.0]))
def test_percentile_is_within_one_bin_of_numpys(values: Values, percentile: float):
    histogram = histogram_of(values)
    magnitudes = np.abs(values.astype(np.float64))
    exact = np.percentile(magnitudes, percentile, method="inverted_cdf")
    threshold = percentile_threshold(histogram, percentile)
    assert exact <= threshold <= exact + histogram.bin_width


def nvidia_divergence(counts: npt.NDArray[np.int64], kept: int) -> float:
    """KL(P, Q) bin by bin, as in the calibrators that follow the GTC 2017 talk."""
    edges = np.linspace(0, kept, LEVELS + 1)
    level_of = np.digitize(np.arange(kept), edges) - 1
    p = counts[:kept].astype(np.float64)
    q = np.zeros(kept)
    for level in range(LEVELS):
        members = (level_of == level) & (p > 0)
        if members.any():
            q[members] = p[members].sum() / members.sum()
    p[-1] += counts[kept:].sum()
    if q[-1] == 0 < p[-1]:
        q[-1] = 1
    p, q = p / p.sum(), q / q.sum()
    return float(sum(a * np.log(a / b) for a, b in zip(p, q, strict=True) if a > 0))


@pytest.mark.parametrize("seed", range(3))
def test_divergences_equal_those_computed_bin_by_bin(seed: int):
    histogram = histogram_of(heavy_tailed(seed))
    kept, divergence = divergences(histogram.counts)
    assert kept[0] == LEVELS
    assert histogram.counts[kept[-1] :].sum() == 0
    assert kept[-1] - kept[0] + 1 == len(kept) == len(divergence)
    for i in range(0, len(kept), 37):
        expected = nvidia_divergence(histogram.counts, int(kept[i]))
        assert divergence[i] == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(st.lists(st.tuples(st.integers(LEVELS, NUM_BINS - 1), st.integers(1, 9)), min_size=1))
def test_divergences_of_sparse_counts_are_finite_and_equal_those_bin_by_bin(
    filled: list[tuple[int, int]],
):
    counts = np.zeros(NUM_BINS, np.int64)
    for place, count in filled:
        counts[place] = count
    kept, divergence = divergences(counts)
    assert np.isfinite(divergence).all()
    for i in {kept[0], kept[-1], *(place + 1 for place, _ in filled[:5])}:
        expected = nvidia_divergence(counts, int(i))
        assert divergence[i - LEVELS] == pytest.approx(expected, abs=1e-9)


def test_entropy_clips_a_lone_outlier_and_takes_the_smallest_divergence():
    values = np.append(heavy_tailed(4), np.float32(1000))
    histogram = histogram_of(values)
    threshold = entropy_threshold(histogram)
    kept, divergence = divergences(histogram.counts)
    assert divergence[kept.tolist().index(threshold / histogram.bin_width)] == divergence.min()
    assert threshold < 200


def test_entropy_keeps_all_of_a_flat_distribution():
    values = np.arange(1, 1025, dtype=np.float32) / 1024
    assert entropy_threshold(histogram_of(np.repeat(values, 20))) == 1.0


def test_entropy_of_fewer_values_than_levels_is_the_largest():
    assert entropy_threshold(histogram_of(np.float32([2.5]))) == 2.5


def brute_squared_error(histogram: Histogram, threshold: float) -> float:
    step = threshold / 127
    error = 0.0
    for j, count in enumerate(histogram.counts.tolist()):
        centre = (j + 0.5) * histogram.bin_width
        error += count * (centre - min(round(centre / step), 127) * step) ** 2
    return error


@pytest.mark.parametrize("seed", range(3))
def test_mse_is_the_best_of_its_grid(seed: int):
    histogram = histogram_of(heavy_tailed(seed))
    grid = mse_grid(histogram)
    brute = [brute_squared_error(histogram, t) for t in grid]
    np.testing.assert_allclose(squared_errors(histogram, grid), brute, rtol=1e-9)
    assert mse_threshold(histogram) == grid[int(np.argmin(brute))]
    assert grid[-1] == histogram.amax


def test_mse_comes_near_the_best_threshold_for_the_values_themselves():
    values = heavy_tailed(9, 200_000)
    histogram = histogram_of(values)

    def error(threshold: float) -> float:
        step = threshold / 127
        quantised = np.clip(np.rint(values / step), -127, 127) * step
        return float(np.square(values - quantised).mean())

    best = min(error(t) for t in np.linspace(0.05, 1, 400) * histogram.amax)
    assert error(mse_threshold(histogram)) < 1.02 * best
    assert error(mse_threshold(histogram)) < 0.8 * error(histogram.amax)


# Graphs


def graph(bias: tuple[float, ...] = (0.0, 1.0)) -> Any:
    """x (1, C) -> double = 2 x, shifted = double + bias, positive = Relu(shifted), nothing = 0."""
    length = len(bias)
    weights = {"two": np.float32(2), "bias": np.float32(bias), "none": np.float32(0)}
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["double"]),
        helper.make_node("Add", ["double", "bias"], ["shifted"]),
        helper.make_node("Relu", ["shifted"], ["positive"]),
        helper.make_node("Mul", ["x", "none"], ["nothing"]),
        helper.make_node("Sum", ["positive", "nothing"], ["y"]),
    ]
    x, y = (
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", length]) for n in ("x", "y")
    )
    made = helper.make_graph(
        nodes, "g", [x], [y], [numpy_helper.from_array(v, k) for k, v in weights.items()]
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def clips(*rows: list[float]) -> list[dict[str, Any]]:
    return [{"x": np.float32([row])} for row in rows]


def test_minmax_ranges_of_a_graph_by_hand():
    feeds = clips([1, -3], [-5, 0.5])
    ranges = collect_ranges(graph(), ["double", "shifted", "positive", "y"], feeds, "minmax")
    found = {name: (r.low, r.high, r.amax, r.degenerate) for name, r in ranges.items()}
    assert found == {
        "double": (-10, 2, 10, False),
        "shifted": (-10, 2, 10, False),
        "positive": (0, 2, 2, False),
        "y": (0, 2, 2, False),
    }


@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy", "mse"])
def test_a_tensor_of_zeros_is_degenerate(method: Any):
    ranges = collect_ranges(graph(), ["nothing", "double"], clips([1, 2], [3, 4]), method)
    assert ranges["nothing"].degenerate
    assert ranges["nothing"].amax == 0
    assert not ranges["double"].degenerate
    assert 0 < ranges["double"].amax <= 8


@pytest.mark.parametrize("method", ["percentile", "entropy", "mse"])
def test_ranges_are_those_of_one_histogram_over_all_clips(method: Any):
    data = heavy_tailed(3, 6000).reshape(6, 1000)
    feeds = [{"x": row[None]} for row in data]
    ranges = collect_ranges(graph((0.0,) * 1000), ["double"], feeds, method, percentile=99.0)
    histogram = histogram_of(2 * data)
    chosen = {
        "percentile": lambda h: percentile_threshold(h, 99.0),
        "entropy": entropy_threshold,
        "mse": mse_threshold,
    }[method]
    assert ranges["double"].amax == chosen(histogram)
    assert ranges["double"].amax < ranges["double"].high


def test_several_passes_give_the_same_ranges_and_report_their_progress():
    tensors = ["double", "shifted", "positive", "nothing", "y"]
    feeds = clips([1, -3], [-5, 0.5], [2, 2])
    calls: list[tuple[int, int]] = []
    # Room for two tensors of 8 bytes: three passes over three clips.
    apart = collect_ranges(
        graph(), tensors, feeds, "mse", max_bytes=16, progress=lambda *a: calls.append(a)
    )
    assert apart == collect_ranges(graph(), tensors, feeds, "mse")
    assert list(apart) == tensors
    assert calls == [(i, 9) for i in range(1, 10)]


def test_the_model_is_left_as_it_is():
    model = graph()
    before = model.SerializeToString()
    collect_ranges(model, ["double"], clips([1, 2]), "minmax")
    assert model.SerializeToString() == before


@pytest.mark.parametrize("method", ["minmax", "entropy"])
def test_an_activation_that_is_no_number_is_named(method: Any):
    feeds = clips([1, 2], [3e38, 1])
    with pytest.raises(ConversionError, match=r"'double' on clip 2 is NaN or infinite\. Check"):
        collect_ranges(graph(), ["double"], feeds, method)


def test_no_clips_and_unknown_tensors_are_refused():
    with pytest.raises(ConversionError, match="no clips to calibrate on"):
        collect_ranges(graph(), ["double"], [], "minmax")
    with pytest.raises(ValueError, match="no node makes 'x', 'z'"):
        collect_ranges(graph(), ["x", "double", "z"], clips([1, 2]), "minmax")


def test_a_feed_that_does_not_fit_is_one_clear_error():
    with pytest.raises(ConversionError, match="fails on a calibration clip"):
        collect_ranges(graph(), ["double"], [{"wrong": np.float32([[1, 2]])}], "minmax")


def test_a_fused_tensor_is_still_seen():
    """ONNX Runtime fuses Conv and Relu; what lies between is asked for and must be there."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
    value = helper.make_tensor_value_info
    made = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "kernel"], ["conv"]),
            helper.make_node("Relu", ["conv"], ["y"]),
        ],
        "g",
        [value("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [value("y", TensorProto.FLOAT, [1, 4, 6, 6])],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    feeds = [{"x": rng.normal(size=(1, 3, 8, 8)).astype(np.float32)}]
    ranges = collect_ranges(model, ["conv", "y"], feeds, "minmax")
    assert ranges["conv"].low < 0
    assert (ranges["y"].low, ranges["y"].high) == (0, ranges["conv"].high)
