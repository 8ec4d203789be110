"""Plots: what is given lies where its values say."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.pages.drawing import Axis, log_ticks
from edgevid.pages.plots import Band, Column, Curve, Dots, Guide, Scale, plot


def points(chart, class_):
    (path,) = (p for p in chart.iter("path") if class_ in (p.get("class") or "") and len(p))
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path.get("d"))]


def test_a_curve_runs_where_its_values_lie():
    chart = plot(
        "t", Scale("x", 0, 10), Scale("y", 0, 4), curves=[Curve("c", [0, 5, 10], [0, 4, 2])]
    )
    (x0, y0), (x1, y1), (x2, y2) = points(chart, "curve")
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(2 * (y0 - y2), abs=0.3)


def test_a_logarithmic_axis_gives_every_power_the_same_room():
    x = Scale("x", 1, 1000, log=True)
    chart = plot("t", x, Scale("y", 0, 1), dots=[Dots("d", [1, 10, 100, 1000], [0, 0, 1, 1])])
    xs = [x for x, _ in points(chart, "dots")]
    steps = [b - a for a, b in pairwise(xs)]
    assert max(steps) - min(steps) < 0.3
    assert [t.text for t in chart.iter("text")][:4] == ["1", "10", "100", "1000"]


@given(st.floats(1e-6, 1e6), st.floats(1, 1e6))
def test_logarithmic_ticks_enclose_both_ends(low, times):
    ticks = log_ticks(low, low * times)
    assert ticks[0] <= low * (1 + 1e-6)
    assert ticks[-1] >= low * times * (1 - 1e-6)
    assert 2 <= len(ticks) <= 14
    assert list(ticks) == sorted(ticks)
    axis = Axis("", ticks, 0, 100, log=True)
    assert len({axis.text(t) for t in ticks}) == len(ticks)


def test_columns_stand_on_the_axis_and_guides_say_where_they_are():
    chart = plot(
        "t", Scale("x", 0, 10), Scale("y", 0, 10),
        columns=[Column(0, 5, 10, "ten"), Column(5, 10, 5, "five")],
        guides=[Guide(2, "p50"), Guide(9.9, "p99"), Guide(5, "target", at_y=True)],
        bands=[Band(0, 1, "warm")],
    )  # fmt: skip
    tall, low = (r for r in chart.iter("rect") if r.get("class") == "mark")
    assert float(tall.get("height")) == pytest.approx(2 * float(low.get("height")))
    words = {t.text: t for t in chart.iter("text")}
    assert words["p50"].get("text-anchor") == "start"
    assert words["p99"].get("text-anchor") == "end", "no room to its right"
    assert "warm" not in words, "a single entry needs no legend"


def test_a_legend_that_is_too_long_for_one_row_takes_more():
    curves = [Curve(f"a long name of curve {i}", [0, 1], [0, 1], i) for i in range(5)]
    chart = plot("t", Scale("x", 0, 1), Scale("y", 0, 1), curves=curves)
    words = [t for t in chart.iter("text") if "long" in (t.text or "")]
    assert len(words) == 5
    assert len({t.get("y") for t in words}) > 1
    assert float(chart.get("viewBox").split()[3]) > 250


def test_names_stand_at_their_ticks():
    scale = Scale("p", 0, 2, names=((0.0, "0"), (1.0, "90 %"), (2.0, "99 %")))
    chart = plot("t", scale, Scale("y", 0, 1), curves=[Curve("", [], [])])
    assert [t.text for t in chart.iter("text")][:3] == ["0", "90 %", "99 %"]
