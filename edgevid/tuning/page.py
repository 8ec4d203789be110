"""A page about what was tried: the trade as a chart and a table, and labels over time."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from edgevid.evaluation import AnnotatedVideo, Segment
from edgevid.pages.charts import Point, scatter
from edgevid.pages.parts import figure, page, paragraph, percent, section, table
from edgevid.pages.timelines import Stretch, time_lines
from edgevid.tuning.search import Tried, front, shown_events, shown_labels, smooth
from edgevid.tuning.tune import Tuning, table_rows
from edgevid.tuning.videos import ScoredVideo

_MOST_VIDEOS = 20
_LONGEST_NAME = 24


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
    rows = [t for t in table_rows(tuning) if t.figures.onset_delay_s is not None]
    points = [
        Point(
            t.smooth if len(t.smooth) <= _LONGEST_NAME else f"{t.smooth[: _LONGEST_NAME - 1]}…",
            t.delay_s, t.accuracy, t.delay_s, t.delay_s, hollow=t not in worth,
        )
        for t in rows
    ]  # fmt: skip
    chart = scatter("Accuracy and delay", points, "mean onset delay (s)", "frame accuracy")
    caption = (
        "Filled: nothing else beats them in accuracy, flicker and delay together. Hollow: some "
        "of each kind, to compare with."
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
    rows = [[t.smooth, *_figures(t)] for t in table_rows(tuning)]
    return table("Smoothers", ("smoothing", *_HEAD), rows, marked=0)


def _event_section(tuning: Tuning) -> Element | None:
    if tuning.event_choice is None:
        return None
    worth = [t for t in front(tuning.events) if t is not tuning.event_choice]
    rows = [[t.smooth, str(t.events), *_figures(t)] for t in [tuning.event_choice, *worth]]
    head = ("smoothing", "events", *_HEAD)
    return section("Events", table("Events", head, rows, words=(1,), marked=0))


def _video(tuning: Tuning, video: ScoredVideo) -> Element:
    names = tuning.bundle.labels
    rows = {
        "true": stretches(video.truth, names),
        "raw": _shown(shown_labels(smooth(video, tuning.factory("none")), None), names),
    }
    smoothed = smooth(video, tuning.factory(tuning.choice.smooth))
    rows["smoothed"] = _shown(shown_labels(smoothed, None), names)
    if tuning.event_choice is not None and tuning.event_choice.events is not None:
        from edgevid.events import EventRules

        rules = EventRules([tuning.event_choice.events] * len(names))
        rows["events"] = _shown(shown_events(smoothed, rules, None), names)
    chart = time_lines(f"Labels over time of {video.name}", rows, video.end_s)
    return figure(video.name, chart, caption=tuning.choice.smooth, wide=True)


def _shown(video: AnnotatedVideo, names: Sequence[str]) -> list[Stretch]:
    return stretches(video.shown.segments, names)


def stretches(segments: Sequence[Segment], names: Sequence[str]) -> list[Stretch]:
    """Segments as they are drawn; the background is not."""
    return [Stretch(names[s.label], s.start_s, s.end_s) for s in segments if s.label >= 0]
