"""The page of `edgevid eval --html`: figures, charts, and every answer that was wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from edgevid.pages.charts import Bar, bars, heat_map
from edgevid.pages.markup import Child, tag
from edgevid.pages.parts import (
    facts,
    figure,
    folded,
    listing,
    page,
    paragraph,
    section,
    table,
    tiles,
)
from edgevid.pages.reliability import Reliability, reliability
from edgevid.pages.timelines import Stretch, time_lines
from edgevid.validation.results import (
    ClassResult,
    ClipResults,
    Evaluation,
    SegmentResults,
    Span,
    VideoResult,
)
from edgevid.validation.wording import percent, protocol_words, segment_figures

_MOST_CELLS = 30
_MOST_BARS = 40
_MOST_WRONG = 200
_MOST_VIDEOS = 50


def render(found: Evaluation) -> str:
    """The page: a whole HTML document that needs nothing from elsewhere."""
    head: list[Child] = []
    body: list[Child] = []
    if found.clips is not None:
        head += _clip_head(found.clips)
        body += _clip_sections(found.clips)
    if found.segments is not None:
        head += _segment_head(found.segments, found.protocol.smooth)
        body += _segment_sections(found.segments, found.protocol.smooth)
    problems = [f"{p.video}: {p.reason}" for p in found.problems]
    return page(
        f"{found.bundle.name} on {found.manifest.name}",
        *head,
        *body,
        section("What was not evaluated", listing(problems)) if problems else None,
        section("Remarks", listing(found.notes)) if found.notes else None,
        _made(found),
    )


def _clip_head(clips: ClipResults) -> Iterator[Element]:
    if clips.multi_label:
        yield paragraph(
            f"The mean average precision over {clips.clips} clips is {percent(clips.mean_ap)}.",
            class_="verdict",
        )
        return
    right = sum(a.rank == 1 for a in clips.answers)
    yield paragraph(f"{right} of {clips.clips} clips got the right answer.", class_="verdict")
    shown = {
        "top-1": percent(clips.top1),
        "top-5": percent(clips.top5),
        "mean class accuracy": percent(clips.mean_class_accuracy),
        "calibration error": percent(clips.calibration_error),
    }
    yield tiles({name: value for name, value in shown.items() if value != "–"})


def _clip_sections(clips: ClipResults) -> Iterator[Element]:
    seen = [c for c in clips.classes if c.support or c.predicted]
    charts: list[Element] = []
    if clips.confusion is not None:
        charts.append(_confusion(clips))
    if clips.calibration:
        charts.append(_calibration(clips))
    charts.append(_class_bars(seen))
    yield section("Answers", tag("div", *charts, class_="charts"))
    yield section("Every class", _class_table(seen, clips.multi_label))
    if not clips.multi_label:
        yield section("Clips with a wrong answer", _wrong(clips))


def _confusion(clips: ClipResults) -> Element:
    assert clips.confusion is not None
    seen = [i for i, c in enumerate(clips.classes) if c.support or c.predicted]
    title = "Confusion of classes"
    if len(seen) <= _MOST_CELLS:
        counts = [[clips.confusion[i][j] for j in seen] for i in seen]
        labels = [clips.classes[i].label for i in seen]
        chart = heat_map(title, labels, counts, "true", "taken for")
        return figure(title, chart, caption="Off the diagonal: clips with a wrong answer.")
    wrong = sorted(
        ((clips.confusion[i][j], i, j) for i in seen for j in seen if i != j), reverse=True
    )
    rows: list[list[Child]] = [
        [clips.classes[i].label, clips.classes[j].label, str(count)]
        for count, i, j in wrong[:_MOST_CELLS]
        if count
    ]
    body = table(title, ["true", "taken for", "clips"], rows, words=[1])
    return figure(title, body, caption="The most frequent ones.")


def _calibration(clips: ClipResults) -> Element:
    bins = [
        Reliability(b.low, b.high, b.confidence, b.accuracy, b.count)
        for b in clips.calibration
        if b.confidence is not None and b.accuracy is not None
    ]
    return figure(
        "Calibration",
        reliability("How often answers of each confidence are right", bins),
        caption="Below the dashed line the model is surer than it is right. The fuller the "
        f"colour, the more clips. Expected calibration error {percent(clips.calibration_error)}.",
    )


def _class_bars(seen: Sequence[ClassResult]) -> Element:
    worst = sorted(seen, key=lambda c: (c.f1 or 0.0, c.label))[:_MOST_BARS]
    rows = [Bar(c.label, c.f1 or 0.0, percent(c.f1)) for c in worst]
    caption = "Worst first."
    if len(worst) < len(seen):
        caption = f"The worst {len(worst)} of {len(seen)}."
    return figure("F1 of each class", bars("F1 of each class", rows, 1.0), caption=caption)


def _class_table(seen: Sequence[ClassResult], multi_label: bool) -> Element:
    head = ["class", "clips", "predicted", "precision", "recall", "F1"]
    head += ["average precision"] if multi_label else []
    rows: list[list[Child]] = []
    for c in seen:
        shares = [c.precision, c.recall, c.f1, *([c.average_precision] if multi_label else [])]
        rows.append([c.label, str(c.support), str(c.predicted), *map(percent, shares)])
    return table("Figures of every class", head, rows)


def _wrong(clips: ClipResults) -> Element:
    wrong = [a for a in clips.answers if a.rank != 1]
    if not wrong:
        return paragraph("None.")
    rows: list[list[Child]] = [
        [
            a.video + (f", from {a.start_s:g} s" if a.start_s else ""),
            a.labels[0],
            a.predicted[0],
            f"{a.score:.2f}",
            str(a.rank),
        ]
        for a in wrong[:_MOST_WRONG]
    ]
    head = ["clip", "true", "answer", "score", "rank of the true class"]
    listed = table("Clips with a wrong answer", head, rows, words=[1, 2])
    shown = f"{len(wrong)} clips"
    if len(wrong) > _MOST_WRONG:
        shown = f"the first {_MOST_WRONG} of {len(wrong)} clips (all: --json)"
    return folded(shown, listed)


def _segment_head(segments: SegmentResults, smooth: str) -> Iterator[Element]:
    best = segments.smoothed or segments.raw
    how = f"smoothed by {smooth}" if segments.smoothed else "without smoothing"
    yield paragraph(
        f"{percent(best.frame_accuracy)} of the frames show their true label, {how}; the label "
        f"switches {best.switches} times, the truth {best.true_switches} times.",
        class_="verdict",
    )


def _segment_sections(segments: SegmentResults, smooth: str) -> Iterator[Element]:
    columns = [segments.raw, *([segments.smoothed] if segments.smoothed else [])]
    rows: list[list[Child]] = [
        [row[0][0], *(value for _, value in row)]
        for row in zip(*(segment_figures(f) for f in columns), strict=True)
    ]
    head = ["figure", "raw", *([smooth] if segments.smoothed else [])]
    yield section("Figures", table("Figures of labels over time", head, rows))
    drawn = [_time_line(v, smooth) for v in segments.videos[:_MOST_VIDEOS]]
    more = len(segments.videos) - len(drawn)
    rest = paragraph(f"{more} more videos are not drawn (all: --json).") if more else None
    yield section("Labels over time", *drawn, rest)


def _time_line(video: VideoResult, smooth: str) -> Element:
    rows = {"true": _stretches(video.truth), "raw": _stretches(video.raw)}
    if video.smoothed is not None:
        rows[smooth] = _stretches(video.smoothed)
    end = max(s.end for row in rows.values() for s in row)
    chart = time_lines(f"Labels over time of {video.video}", rows, end)
    caption = f"{video.windows} windows over {video.duration_s:.1f} s."
    return figure(video.video, chart, caption=caption, wide=True)


def _stretches(spans: Sequence[Span]) -> list[Stretch]:
    return [Stretch(s.label, s.start_s, s.end_s) for s in spans]


def _made(found: Evaluation) -> Element:
    pairs: dict[str, Child] = {
        "bundle": f"{found.bundle.name} ({found.bundle.precision})",
        **{file: tag("code", f"sha256 {sha256}") for file, sha256 in found.bundle.graphs.items()},
        "manifest": tag("code", f"{found.manifest.name}, sha256 {found.manifest.sha256}"),
        "protocol": protocol_words(found.protocol),
        "engine": found.engine,
        "started": f"{found.started:%Y-%m-%d %H:%M:%S %z}",
        "took": f"{found.seconds:.1f} s",
        **found.environment,
    }
    return section("How this was made", facts(pairs))
