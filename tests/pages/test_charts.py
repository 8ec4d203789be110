"""Charts: marks are where and as large as their values say."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgevid.pages.charts import Bar, Point, bars, heat_map, histogram, scatter, without_folder
from edgevid.pages.drawing import Axis, shorten, ticks


def heights(chart):
    return [float(r.get("height", 0)) for r in chart.iter("rect")]


def widths(chart):
    return [float(r.get("width", 0)) for r in chart.iter("rect")]


def test_bars_are_as_long_as_their_values():
    chart = bars("t", [Bar("a", 1.0, "1"), Bar("b", 4.0, "4"), Bar("c", 0.0, "0")])
    short, long, none = widths(chart)
    assert long == pytest.approx(4 * short, rel=0.01)
    assert none == 1.5, "a hair, so that it is seen"
    cut = widths(bars("t", [Bar("a", 9.0, "9"), Bar("b", 2.0, "2")], longest=4.0))
    assert cut[0] == pytest.approx(2 * cut[1], rel=0.01)


@pytest.mark.parametrize("label", ["INT8", "FP16", "mixed", "original", "a" * 20])
def test_short_labels_are_whole(label):
    texts = [t.text for t in bars("t", [Bar(label, 1.0, "1 MB")]).iter("text")]
    assert texts == [label, "1 MB"]
    shown = [t.text for t in heat_map("t", [label], [[1]], "x", "y").iter("text")]
    assert shown.count(shorten(label, 19)) == 2


def test_a_histogram_counts_every_value_once():
    values = [0.0, 1e-9, 1e-5, 0.0099, 0.5, 1.0]
    titles = [t.text or "" for t in histogram("t", values, "x").iter("title")][1:]
    assert titles == [
        "1e-05 to 1.8e-05: 3 clips",
        "0.0056 to 0.01: 1 clips",
        "0.32 to 0.56: 1 clips",
        "0.56 to 1: 1 clips",
    ]
    tall = heights(histogram("t", [0.5, 0.5, 0.01], "x"))
    assert tall[1] == pytest.approx(2 * tall[0], rel=0.01)


def test_a_heat_map_shows_each_count_in_its_cell():
    chart = heat_map("t", ["x", "y"], [[3, 1], [0, 4]], "before", "after")
    titles = [t.text for t in chart.iter("title")][1:]
    assert titles == [
        "x to x: 3 of 4 clips",
        "x to y: 1 of 4 clips",
        "y to x: 0 of 4 clips",
        "y to y: 4 of 4 clips",
    ]
    assert [r.get("fill-opacity") for r in chart.iter("rect")] == ["0.78", "0.34", "0", "1"]
    assert heat_map("t", ["GolfSwing"] * 5, [[0] * 5] * 5, "a", "b").get("viewBox") == "0 0 420 311"


def test_labels_of_points_hide_nothing():
    """Six points in a heap: no label lies on a mark or on another label."""
    points = [Point(f"point {i}", 1 + i / 50, 1.0, 1 + i / 50, 1 + i / 50) for i in range(6)]
    chart = scatter("t", points, "x", "y", limit=0.998)
    boxes = [
        (float(t.get("x", 0)), float(t.get("y", 0)))
        for t in chart.iter("text")
        if (t.text or "").startswith("point")
    ]
    assert len(boxes) == 6
    (limit,) = (
        float(line.get("y1", 0)) for line in chart.iter("line") if line.get("class") == "limit"
    )
    for i, (x, y) in enumerate(boxes):
        for x2, y2 in boxes[:i]:
            assert abs(y - y2) >= 13.9 or abs(x - x2) >= 7 * 7.2 - 0.1
        assert not y - 12 < limit < y + 2


@given(
    st.floats(-1e3, 1e3, allow_subnormal=False),
    st.floats(1e-3, 1e6, allow_subnormal=False),
    st.integers(3, 10),
)
@example(0.0, 1.0, 6)
@example(0.9458, 1 - 0.9458, 6)
def test_ticks_enclose_and_are_round(low, span, most):
    found = ticks(low, low + span, most)
    assert 2 <= len(found) <= most + 1
    step = found[1] - found[0]
    assert found[0] <= low + 1e-6 * step
    assert found[-1] >= low + span - 1e-6 * step
    digits = f"{step:.0e}"
    assert digits[0] in "125"


def test_ticks_of_one_value_and_how_axes_write_them():
    assert ticks(0.0, 0.0) == pytest.approx((0.0, 0.2, 0.4, 0.6, 0.8, 1.0))
    share = Axis("", ticks(0.994, 1.0), 0.0, 100.0, percent=True)
    assert [share.text(t) for t in share.ticks][:2] == ["99.4 %", "99.6 %"]
    assert share.at(0.0) == 0.0
    assert share.at(1.0) == pytest.approx(100.0)
    times = Axis("", ticks(0.0, 2.4), 0.0, 100.0)
    assert [times.text(t) for t in times.ticks] == ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"]


def test_long_names_keep_what_tells_them_apart():
    assert shorten("/layer4/layer4.1/conv2/Conv", 15) == "/layer4…v2/Conv"
    assert shorten("short", 5) == "short"
    assert without_folder(["/a/b/x", "/a/b/y/z", "/a/b/"]) == ["x", "y/z", ""]
    assert without_folder(["one", "two"]) == ["one", "two"]
    assert without_folder(["/a/same", "/a/same"]) == ["same", "same"]
