"""Labels over time of one video: true, raw, smoothed, and events below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgevid.evaluation import Segment
from edgevid.pages.timelines import Stretch
from edgevid.pipeline import DecisionRules
from edgevid.smoothing import Unsmoothed
from edgevid.traces import Trace
from edgevid.tuning.search import Smoothed, detect, shown_labels, smooth
from edgevid.tuning.videos import ScoredVideo
from edgevid.types import Event


def untrue(trace: Trace, source: str) -> ScoredVideo:
    """A source of a trace of which nobody said what is true."""
    rows = trace.rows_of(source)
    starts_s, ends_s = trace.columns["start_s"][rows], trace.columns["end_s"][rows]
    return ScoredVideo(
        source, (), trace.scores[rows], starts_s, ends_s, trace.columns["restart"][rows],
        float(ends_s[-1]), np.zeros(0),
    )  # fmt: skip


def time_rows(
    video: ScoredVideo, rules: DecisionRules, names: Sequence[str]
) -> dict[str, list[Stretch]]:
    """Rows of stretches, from above to below; events that overlap lie in rows of their own."""
    raw = smooth(video, Unsmoothed)
    smoothed = smooth(video, rules.new_smoother)
    rows: dict[str, list[Stretch]] = {}
    if video.truth:
        rows["true"] = stretches(video.truth, names)
    rows["raw"] = _shown(raw, names)
    if rules.smooth != "none":
        rows["smoothed"] = _shown(smoothed, names)
    if rules.event_rules is not None:
        ended = [e for e in detect(smoothed, rules.event_rules) if e.end_s is not None]
        for number, events in enumerate(_packed(ended) or [[]]):
            # Rows below the first have no name of their own.
            rows["events" if number == 0 else " " * number] = [
                Stretch(names[int(e.label)], e.start_s, e.end_s or e.start_s) for e in events
            ]
    return rows


def stretches(segments: Sequence[Segment], names: Sequence[str]) -> list[Stretch]:
    """Segments as they are drawn; the background is not."""
    return [Stretch(names[s.label], s.start_s, s.end_s) for s in segments if s.label >= 0]


def _shown(smoothed: Smoothed, names: Sequence[str]) -> list[Stretch]:
    return stretches(shown_labels(smoothed, None).shown.segments, names)


def _packed(events: Sequence[Event]) -> list[list[Event]]:
    """Events in as few rows as hold them without overlap, the earliest first."""
    rows: list[list[Event]] = []
    for event in sorted(events, key=lambda e: (e.start_s, e.index)):
        free = (row for row in rows if (row[-1].end_s or 0.0) <= event.start_s)
        row = next(free, None)
        if row is None:
            rows.append(row := [])
        row.append(event)
    return rows
