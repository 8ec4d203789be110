"""A result as a table, as Markdown and as a page: the figures that it holds, and no others."""

from __future__ import annotations

import io
import re
from xml.etree.ElementTree import fromstring

import numpy as np
import pytest
from made_results import full_result, made_result
from rich.console import Console

from edgevid.benchmarks.harness import html, markdown
from edgevid.benchmarks.harness.pictures import (
    latency_histogram,
    percentile_curves,
    samples_over_time,
    steady_latencies,
)
from edgevid.benchmarks.harness.results import Mark, Model, Result, Round, Samples
from edgevid.benchmarks.harness.table import print_result
from edgevid.benchmarks.harness.wording import amount, rough


def printed(result: Result) -> str:
    out = io.StringIO()
    print_result(result, Console(file=out, width=100, highlight=False))
    return out.getvalue()


@pytest.mark.parametrize("render", [printed, markdown.render, html.render])
def test_every_form_says_the_same(render):
    result = full_result()
    text = render(result).replace("\\_", "_")
    p90, rate = result.figures["p90_ms"], result.figures["rate"]
    for words in (
        amount(p90.value, "ms"), f"{amount(p90.low)} to {amount(p90.high)}",
        f"{amount(rate.low)} to {amount(rate.high)}",
        "INT8", "onnxruntime 1.23 (CPU, 1 thread)", "1 thread", "9.34 W", "132 mJ", "70.0 °C",
        "412 MB", "12 %", "the CPU was throttled", "p99.9 needs 3688 clips", "preprocess",
        "95 % sure",
    ):  # fmt: skip
        assert words in text, words


def test_the_table_is_plain_where_nobody_sees_colours():
    assert "\x1b" not in printed(full_result())


def test_names_that_look_like_markup_are_shown_as_they_are():
    model = made_result().model.model_dump() | {"name": "[red]a|b*<script>"}
    result = made_result(model=Model(**model))
    assert "[red]a|b*<script>" in printed(result)
    assert "\\[red]a|b\\*\\<script>" in markdown.render(result)
    page = html.render(result)
    assert "<script" not in page
    assert "[red]a|b*&lt;script&gt;" in page


def test_the_page_stands_alone():
    page = html.render(full_result())
    assert "default-src 'none'" in page
    assert not re.findall(r'(?:src|href)="', page)
    for heading in ("Figures", "Latency", "What was tried", "Stages", "Power and heat", "Memory",
                    "Roofline", "How this was measured"):  # fmt: skip
        assert f"<h2>{heading}</h2>" in page
    assert page.count("<svg") == 11
    for chart in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        fromstring(chart)


def test_a_bare_result_has_only_what_it_knows():
    bare = made_result(stages={}, machine_before={}, machine_after={})
    page = html.render(bare)
    for heading in ("What was tried", "Stages", "Power and heat", "Memory", "Roofline"):
        assert f"<h2>{heading}</h2>" not in page
    assert "throttled" not in printed(bare)


def test_a_histogram_counts_every_query_once():
    result = made_result()
    titles = [t.text or "" for t in latency_histogram(result).iter("title")]
    counts = [int(t.rsplit(": ", 1)[1]) for t in titles if "ms:" in t]
    assert sum(counts) == len(steady_latencies(result)) == 8 * 170
    assert sum("and more" in t for t in titles) == 1


def test_outliers_and_the_warm_up_are_shown():
    result = made_result()
    chart = samples_over_time(result)
    marks = {p.get("class"): p.get("d", "").count("M") for p in chart.iter("path")}
    far = sum(len(r.outliers) for r in result.samples.rounds)
    assert far >= 8
    large = [p for p in chart.iter("path") if p.get("class") == "large s1"]
    assert large[0].get("d", "").count("M") == far
    assert marks["dots s0"] >= 1
    bands = [r for r in chart.iter("rect") if r.get("class") == "band"]
    assert len(bands) == 8 + 1, "one a round, and one in the legend"


def test_long_runs_are_thinned_but_keep_their_extremes():
    rng = np.random.default_rng(0)
    n = 60_000
    ms = np.exp(rng.normal(2, 0.1, n))
    ms[41_234] = 400.0
    round_ = Round(
        started_s=0, at_s=tuple(np.arange(n) / 100), latency_ms=tuple(ms), outliers=(41_234,)
    )
    result = made_result(samples=Samples(rounds=(round_,)))
    page = html.render(result)
    assert len(page) < 250_000
    dots = next(p for p in samples_over_time(result).iter("path") if "dots" in p.get("class", ""))
    assert 700 < dots.get("d", "").count("M") <= 2800
    ys = [float(y) for y in re.findall(r"L[\d.]+ ([\d.]+)", percentile_curves({"": result}).find(
        "path").get("d"))]  # fmt: skip
    assert ys == sorted(ys, reverse=True), "a percentile never falls"


def test_results_with_next_to_nothing_are_shown():
    one = Round(started_s=0, at_s=(0.0,), latency_ms=(5.0,))
    for rounds in ((), (Round(started_s=0, at_s=(), latency_ms=()),), (one,)):
        result = made_result(samples=Samples(rounds=rounds))
        assert "<h2>Figures</h2>" in html.render(result)
    same = Round(started_s=0, at_s=(0.0, 1.0, 2.0), latency_ms=(5.0, 5.0, 5.0), steady_from=3)
    assert "<h2>Latency</h2>" not in html.render(made_result(samples=Samples(rounds=(same,))))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.000"), (12.345, "12.35"), (9.9999, "10.00"), (1234.5, "1234"), (0.01234, "0.01234"),
     (123456.0, "123456"), (None, "–"), (-2.5, "-2.500")],
)  # fmt: skip
def test_amounts_have_four_digits_that_count(value, text):
    assert amount(value) == text
    assert rough(9.996, "ms") == "10.0 ms"


def test_a_mark_is_one_item_however_it_is_worded():
    result = made_result(marks=(Mark(kind="note", text="a\nb"),))
    assert "- **note**: a b" in markdown.render(result)
