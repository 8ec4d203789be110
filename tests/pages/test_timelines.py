"""Time lines and reliability diagrams: marks are where and as large as their values say."""

from __future__ import annotations

import pytest

from edgevid.pages.reliability import Reliability, reliability
from edgevid.pages.timelines import COLOURS, Stretch, time_lines


def marks(chart):
    return list(chart.iter("rect"))


def words(chart):
    return [t.text for t in chart.iter("text")]


def test_stretches_are_as_long_as_their_time_and_keep_their_colour():
    rows = {
        "true": [Stretch("wave", 0.0, 6.0), Stretch("nod", 6.0, 8.0)],
        "raw": [Stretch("nod", 0.0, 2.0), Stretch(None, 2.0, 3.0), Stretch("wave", 3.0, 8.0)],
    }
    chart = time_lines("t", rows, 8.0)
    widths = [float(r.get("width")) for r in marks(chart)]
    assert widths == pytest.approx([w * widths[1] / 2 for w in (6, 2, 2, 1, 5)], abs=0.1)
    assert [r.get("class") for r in marks(chart)] == ["c0", "c1", "c1", "blank", "c0"]
    assert len({r.get("y") for r in marks(chart)}) == 2
    titles = [t.text for t in chart.iter("title")][1:]
    assert titles[0] == "wave: 0.00 to 6.00 s"
    assert titles[3] == "nothing: 2.00 to 3.00 s"
    assert words(chart).count("wave") == 2


def test_the_axis_ends_with_the_video():
    chart = time_lines("t", {"true": [Stretch("a", 0.0, 42.16)]}, 42.16)
    axis = [w for w in words(chart) if w and w.endswith(" s")]
    assert axis == ["0 s", "5 s", "10 s", "15 s", "20 s", "25 s", "30 s", "35 s", "40 s", "42 s"]
    (stretch,) = marks(chart)
    lines = [float(line.get("x1")) for line in chart.iter("line")]
    assert max(lines) == pytest.approx(float(stretch.get("x")) + float(stretch.get("width")))


def test_a_name_is_written_only_where_it_can_be_read():
    stretches = [Stretch("counter-clockwise", 0.0, 0.1), Stretch("counter-clockwise", 5.0, 10.0)]
    assert words(time_lines("t", {"r": stretches}, 10.0)).count("counter-clockwise") == 1


def test_more_labels_than_colours_share_them():
    stretches = [Stretch(f"label {i}", i, i + 1) for i in range(COLOURS + 2)]
    classes = [r.get("class") for r in marks(time_lines("t", {"r": stretches}, 12.0))]
    assert classes[0] == classes[COLOURS]
    assert len(set(classes)) == COLOURS


def test_reliability_bars_are_as_high_as_the_accuracy():
    bins = [Reliability(0.4, 0.6, 0.5, 0.25, 4), Reliability(0.8, 1.0, 0.9, 1.0, 8)]
    chart = reliability("t", bins)
    low, high = marks(chart)
    assert float(high.get("height")) == pytest.approx(4 * float(low.get("height")), rel=0.01)
    assert float(high.get("fill-opacity")) > float(low.get("fill-opacity"))
    titles = [t.text for t in chart.iter("title")][1:]
    assert titles == [
        "4 clips at 50.0% confidence: 25.0% right",
        "8 clips at 90.0% confidence: 100.0% right",
    ]
    assert marks(reliability("t", [])) == []
