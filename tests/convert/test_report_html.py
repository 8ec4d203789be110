"""The page: well-formed, alone, complete, and safe from what names may hold."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from made_reports import (
    candidate,
    clip_set,
    fp32,
    groups,
    plain,
    quantisation,
    run,
    scores,
)

import edgevid.demo
from edgevid.convert import convert
from edgevid.convert.quantize.report import Answers
from edgevid.convert.report import Report
from edgevid.convert.report_html import render
from edgevid.pages.markup import clean, tag, to_html
from edgevid.pages.timelines import COLOURS

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """A page taken apart; fails where tags do not nest."""

    def __init__(self, html: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.style = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["style"]:
            self.style += data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\u00a0", " ").split())

    def all(self, name, class_=None):
        return [a for t, a in self.tags if t == name and class_ in (None, a.get("class"))]


def page(*args, **kwargs) -> Page:
    html = render(*args, **kwargs)
    assert html.startswith("<!DOCTYPE html>\n<html")
    # No figure is missing or broken.
    assert not re.search(r"\b(nan|inf|None|Infinity)\b", Page(html).text)
    return Page(html)


FULL = page(plain(), run(), quantisation())


def test_the_verdict_comes_first():
    assert FULL.text.index("model.onnx: mixed kept") < 60
    where = [FULL.text.index(part) for part in ("INT8 fails the gate", "The candidates", "Layer")]
    assert where == sorted(where)
    (verdict,) = FULL.all("p", "verdict")
    assert verdict == {"class": "verdict"}


def test_nothing_comes_from_elsewhere():
    for name, attributes in FULL.tags:
        assert name not in {"script", "link", "img", "iframe", "object", "use", "image", "a"}
        assert not {"src", "href", "srcset", "xlink:href", "style"} & set(attributes)
        assert not any(key.startswith("on") for key in attributes)
    assert not re.search(r"url\(|@import|https?:", FULL.style)
    policy = [a["content"] for a in FULL.all("meta") if "http-equiv" in a]
    assert policy[0] is not None
    assert policy[0].startswith("default-src 'none'")


def expected_figures():
    """Every figure of the report, as a reader of the page meets it."""
    report = quantisation()
    for c in report.candidates:
        yield c.name
        yield f"{c.megabytes:.3g} MB"
        assert c.timing is not None
        yield f"{c.timing.median_ms:.3g} ms"
        ratio = c.timing.speedup
        yield f"{ratio.median:.2f} times {ratio.low:.2f} to {ratio.high:.2f}"
        if c.comparison is None or c.verdict is None:
            continue
        yield c.verdict.reason
        x = c.comparison
        yield f"{100 * x.top1_agreement:.4g} % {100 * x.agreement_low:.4g} %"
        yield f"{x.mean_kl:.2g} {x.mean_cosine:.5f} {x.mean_sqnr_db:.1f} dB"
    for group in report.groups:
        assert group.sensitivity is not None
        yield f"{group.name} {group.op_type} {group.sensitivity.mean_sqnr_db:.1f} dB"
    for clips in (report.calibration, report.evaluation):
        yield from (clips.sha256, *clips.videos, *clips.notes, f"{clips.clips}, {clips.labelled}")
    yield from (*report.left_alone, *report.left_alone.values(), *report.not_built.values())


@pytest.mark.parametrize("figure", sorted({*expected_figures()}))
def test_every_figure_of_quantising_is_told(figure):
    assert figure in FULL.text


@pytest.mark.parametrize(
    "figure",
    [
        "Frame rate 30: nothing said at which the model was trained.",
        "2 nodes stay in FP32.",
        "6 windows of edgevid's demo clip",
        "0.00213",
        "0.000151",
        "14.1 MB",
        "7.07 MB",
        "153 operators before, 108 after; batch any.",
        "Conv 52 52 Add 10 0 Cast 0 3",
        "/pool/Pow values up to 4e5",
        "tensorrt-rtx 8.6 trtrtx-1.7.0-sm86-int8-b1-4-0a1b2c3d 4.57 MB 81.2 s The graph fixes",
        "tensorrt – not built – – the package 'tensorrt' is not installed",
        "2031-05-04 13:02:01 +0200",
        "187 s",
        "edgevid convert model.onnx --spec spec.toml --calib clips --target tensorrt-rtx",
        "Quick CPU, 2 cores",
        "3.11.9",
        "edgevid 0.1.0",
    ],
)
@pytest.mark.parametrize("with_int8", [True, False])
def test_every_figure_of_the_conversion_is_told(figure, with_int8):
    text = FULL.text if with_int8 else page(plain(), run()).text
    assert figure in text


def test_where_it_was_timed_is_said_plainly():
    assert "That is not the device" in FULL.text
    assert "They did not decide" in FULL.text
    on_device = page(plain(), None, quantisation(is_device=True, by_speed=True, engine="trt 10.3"))
    assert "not the device:" not in on_device.text
    assert "Timed on trt 10.3; bars are" in on_device.text
    asked = page(plain(), None, quantisation(by_speed=True))
    assert "They decided all the same" in asked.text
    int8, *others = quantisation().candidates
    untimed = int8.model_copy(update={"timing": None})
    partly = page(plain(), None, quantisation(candidates=(untimed, *others)))
    assert "95 % intervals. Not timed: INT8." in partly.text


def test_every_chart_has_a_name_and_every_mark_a_figure():
    charts = FULL.all("svg")
    assert [c["aria-label"] for c in charts] == [
        "Agreement against speed",
        "Size of the model",
        "Differences of the scores, INT8",
        "Differences of the scores, mixed",
        "Differences of the scores, FP16",
        "Answers of mixed against FP32",
        "Sensitivity by layer",
        "Size of the file, original and converted",
    ]
    assert all(c["role"] == "img" for c in charts)
    marks = [a for t, a in FULL.tags if t in {"rect", "circle"}]
    titles = FULL.all("title")
    assert len(titles) == len(marks) + len(charts) + 1


def test_kept_layers_and_failed_candidates_are_outlines():
    sizes, layers = 1, 2
    points = [a["class"] for a in FULL.all("circle")]
    assert points == ["hollow", "mark", "mark", "mark"]
    assert len([a for a in FULL.all("rect") if a["class"] == "hollow"]) == sizes + layers
    assert FULL.text.count("· in float") == 4, "beside the bar and in its title"


def test_the_page_speaks_to_those_who_do_not_see_it():
    assert FULL.all("html")[0]["lang"] == "en"
    assert all(a.get("scope") in {"row", "col"} for a in FULL.all("th"))
    regions = FULL.all("div", "scroll")
    assert len(regions) >= 5
    assert all(a["role"] == "region" and a["aria-label"] and a["tabindex"] == "0" for a in regions)
    assert [t for t, _ in FULL.tags].count("h1") == 1


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_colours_can_be_told_apart(mode):
    """WCAG AA: 4.5 for text, 3 for marks."""
    blocks = [b for b in re.findall(r":root \{([^}]*)\}", FULL.style) if "--paper" in b]
    colours = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", blocks[mode]))
    for ground in ("paper", "panel"):
        for ink in ("ink", "quiet", "good", "bad", "mark", "other"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    assert contrast(colours["on-dark"], colours["mark"]) >= 4.5
    assert contrast(colours["on-dark"], colours["other"]) >= 4.5
    for number in range(COLOURS):
        assert contrast(colours["on-dark"], colours[f"c{number}"]) >= 4.5, number


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style><b>",
    "a & b &lt; c",
    "turned \u202eround\u2066 \x00\x1b[31m \ud800",
)


def test_names_cannot_break_out():
    hostile = quantisation(
        labels=HOSTILE,
        kept=HOSTILE[1],
        candidates=(candidate(HOSTILE[1], "fp16", scores(HOSTILE, 20, 0.0, 0), 1.0, 1.0), fp32()),
        groups=groups(3)[:2],
        left_alone=dict.fromkeys(HOSTILE, HOSTILE[0]),
        not_built={HOSTILE[2]: HOSTILE[0]},
        reason=HOSTILE[0],
        calibration=clip_set(1, 1, videos=HOSTILE, notes=HOSTILE),
        answers=Answers(labels=HOSTILE, confusion=((1, 2, 0, 0, 0),) * 5),
    )
    report = plain(
        model=HOSTILE[2], assumptions=HOSTILE, notes=HOSTILE, fp32_nodes={HOSTILE[0]: "x"}
    )
    found = page(report, run(), hostile)
    names = {name for name, _ in found.tags}
    assert not {"script", "img", "b"} & names
    assert "<script>alert(1)</script>" in found.text
    assert "a & b &lt; c" in found.text
    assert found.all("style") == [{}]
    html = render(report, run(), hostile)
    assert not re.search("[\u202e\u2066\x00\x1b\ud800]", html)
    html.encode("utf-8")


# Parsers turn carriage returns into line feeds.
WORDS = st.text(st.characters(exclude_characters="\r"))


@given(WORDS, WORDS)
@example("\ud800", "\x00\ufffe\u202e")
def test_text_comes_back_as_it_went_in(inside, behind):
    html = to_html(tag("div", tag("p", inside, title=behind), behind))
    parser = Page(html.removeprefix("<!DOCTYPE html>\n").removesuffix("\n"))
    assert "".join(parser.words) == clean(inside) + clean(behind)
    assert parser.all("p") == [{"title": clean(behind)}]


def test_one_candidate_no_flip_no_layer():
    bare = quantisation(
        kept="FP32",
        reason="nothing can be INT8: FP32 kept",
        candidates=(fp32().model_copy(update={"timing": None}),),
        engine="",
        groups=(),
        trials=(),
        answers=None,
        left_alone={},
        not_built={},
    )
    found = page(plain(), None, bare)
    assert "model.onnx: FP32 kept" in found.text
    assert "0 layers can be INT8" in found.text
    assert "Nothing: every layer can be INT8." in found.text
    assert "Agreement against speed" not in found.text
    assert "Times were taken" not in found.text


def test_400_classes_list_the_changes():
    labels = tuple(f"action {i}" for i in range(400))
    found = page(plain(), run(), quantisation(labels=labels, flips=2))
    assert "FP32 says now clips" in found.text
    assert found.text.count(" action ") >= 4
    calm = quantisation(labels=labels, flips=0)
    assert calm.answers == Answers()
    assert "No clip changes its answer." in page(plain(), run(), calm).text


def test_the_worst_30_of_60_layers_are_drawn_and_all_are_listed():
    assert "The 30 worst of 60." in FULL.text
    drawn = re.findall(r"conv\.\d/Conv: [\d.]+ %", FULL.text)
    assert len(drawn) == 30
    assert FULL.text.count("/backbone/features/features.0/conv/conv.0/Conv") == 1
    few = page(plain(), run(), quantisation(layers=3))
    assert "worst of" not in few.text


def test_layers_beyond_measure_and_not_measured():
    broken = groups(2)
    hopeless = broken[0].sensitivity.model_copy(update={"mean_sqnr_db": -150.0})
    report = quantisation(
        groups=(
            broken[0].model_copy(update={"sensitivity": hopeless}),
            broken[1].model_copy(update={"sensitivity": None}),
        )
    )
    text = page(plain(), run(), report).text
    assert "over 200 % · in float" in text
    assert f"{broken[1].name} Gemm – – – yes" in text
    bare = tuple(g.model_copy(update={"sensitivity": None}) for g in broken)
    text = page(plain(), run(), quantisation(groups=bare)).text
    assert "No layer was measured alone" in text


def test_the_real_report_of_the_demo(tmp_path):
    result = convert(
        edgevid.demo.MODEL, tmp_path / "demo.edgevid", spec=edgevid.demo.SPEC, target="onnx"
    )
    found = page(result.report)
    assert "gives the original's answer on 6 of 6 windows" in found.text
    assert f"{result.report.converted.megabytes:.3g} MB" in found.text
    again = Report.model_validate_json((tmp_path / "demo.edgevid/report.json").read_text())
    assert render(again) == render(result.report)
