"""A page about what was tried: the trade as a chart and a table, and labels over time."""

from __future__ import annotations

from dataclasses import replace
from xml.etree.ElementTree import Element

from edgevid.pages.charts import Point, scatter
from edgevid.pages.parts import figure, page, paragraph, percent, section, table
from edgevid.pages.timelines import time_lines
from edgevid.pipeline import read_rules
from edgevid.tuning.search import Tried, front
from edgevid.tuning.timelines import time_rows
from edgevid.tuning.tune import Tuning, table_rows
from edgevid.tuning.videos import ScoredVideo

_MOST_VIDEOS = 20


def render(tuning: Tuning) -> str:
    """The whole page as HTML."""
    seconds = sum(v.end_s for v in tuning.videos)
    return page(
        "Smoothing and events",
        paragraph(
            f"{tuning.settings} settings tried on the scores of {len(tuning.videos)} video(s), "
            f"{seconds:.0f} s, in {tuning.seconds:.1f} s. Chosen: {tuning.choice.smooth}."
        ),
        section("Accuracy, flicker and delay", _chart(tuning), _label_table(tuning)),
        _event_section(tuning),
        section("Labels over time", *(_video(tuning, v) for v in tuning.videos[:_MOST_VIDEOS])),
    )


def _chart(tuning: Tuning) -> Element:
    worth = front(tuning.labels)
    points = [
        Point(
            str(number) if t in worth else "",
            t.delay_s, t.accuracy, t.delay_s, t.delay_s, hollow=t not in worth,
        )
        for number, t in enumerate(table_rows(tuning), 1)
        if t.figures.onset_delay_s is not None
    ]  # fmt: skip
    chart = scatter("Accuracy and delay", points, "mean onset delay (s)", "frame accuracy")
    caption = (
        "Filled, with their number in the table: nothing else beats them in accuracy, flicker and "
        "delay together. Hollow: some of each kind, to compare with."
    )
    return figure("Accuracy against delay", chart, caption=caption)


_HEAD = ("accuracy", "F1@50", "switches", "a minute", "mean delay (s)", "missed")


def _figures(tried: Tried) -> list[str]:
    figures = tried.figures
    return [
        percent(figures.frame_accuracy),
        f"{figures.f1[0.5]:.3f}",
        f"{figures.switches}",
        f"{figures.switches_per_minute or 0:.1f}",
        "–" if figures.onset_delay_s is None else f"{figures.onset_delay_s:.2f}",
        f"{figures.missed}",
    ]


def _label_table(tuning: Tuning) -> Element:
    rows = [
        [f"{number}  {t.smooth}", *_figures(t)] for number, t in enumerate(table_rows(tuning), 1)
    ]
    return table("Smoothers", ("smoothing", *_HEAD), rows, marked=0)


def _event_section(tuning: Tuning) -> Element | None:
    if tuning.event_choice is None:
        return None
    worth = [t for t in front(tuning.events) if t is not tuning.event_choice]
    rows = [[t.smooth, _words(t), *_figures(t)] for t in [tuning.event_choice, *worth]]
    head = ("smoothing", "events", *_HEAD)
    return section("Events", table("Events", head, rows, words=(1,), marked=0))


def _words(tried: Tried) -> str:
    return str(tried.events).replace(",", ", ")


def _video(tuning: Tuning, video: ScoredVideo) -> Element:
    events = tuning.event_choice
    rules = read_rules(
        "none", [str(events.events)] if events else [], tuning.bundle.labels, multi_label=True
    )
    factory = tuning.factory(tuning.choice.smooth)
    rules = replace(rules, smooth=tuning.choice.smooth, new_smoother=factory)
    chart = time_lines(
        f"Labels over time of {video.name}",
        time_rows(video, rules, tuning.bundle.labels),
        video.end_s,
    )
    return figure(video.name, chart, caption=tuning.choice.smooth, wide=True)
