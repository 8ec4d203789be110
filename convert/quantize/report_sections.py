"""The part of `report.html` that tells of INT8: which graph was kept, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from xml.etree.ElementTree import Element

import numpy as np

from edgevid.convert.quantize.report import (
    Answers,
    CandidateReport,
    ClipsReport,
    GroupReport,
    Quantisation,
)
from edgevid.convert.quantize.report_times import slowest_layers
from edgevid.convert.quantize.search import Sensitivity
from edgevid.pages.charts import Bar, Point, bars, heat_map, histogram, scatter
from edgevid.pages.markup import Child, tag
from edgevid.pages.parts import (
    below,
    facts,
    figure,
    folded,
    listing,
    megabytes,
    paragraph,
    percent,
    section,
    table,
    tiles,
)

_BARS = 30
_MOST_NOISE = 200.0
"""Per cent at which a bar is cut: beyond it nothing of the signal is left."""

_TERMS = {
    "same answer": "Share of the clips whose best class is FP32's (of several labels: whose set "
    "of labels is); its 95 % interval stands below.",
    "top-1, top-5": "Share of the labelled clips whose true class is the best, or among the "
    "best five; FP32's own figure stands below.",
    "KL": "Kullback-Leibler divergence of the scores from FP32's, in nats, mean over the clips; "
    "0 is equal.",
    "cosine": "Of the angle between the logits and FP32's, mean over the clips; 1 is equal.",
    "SQNR": "Logits' power against the power of their error, mean over the clips: at 20 dB the "
    "error is a tenth of the signal, at 40 dB a hundredth.",
    "time": "Median of one clip over the rounds; the candidates ran in turns.",
    "speed": "How many times as fast as the baseline, paired by round; its 95 % interval "
    "stands below.",
}


def quantised(report: Quantisation) -> Iterator[Element]:
    """Verdict first, then what it rests on."""
    yield paragraph(_sentence(report.reason), class_="verdict")
    yield from _off_device(report)
    yield _tiles(report)
    yield _candidates(report)
    yield _charts(report)
    yield _layers(report)
    yield from slowest_layers(report)
    yield _clips(report)
    yield _left_alone(report)


def _sentence(text: str) -> str:
    """With a full stop, and no line break between a number and its per cent."""
    return text.removesuffix(".").replace(" %", "\u00a0%") + "."


def _off_device(report: Quantisation) -> Iterator[Element]:
    if not report.engine or report.is_device:
        return
    decided = "decided all the same" if report.by_speed else "did not decide"
    yield paragraph(
        f"Times were taken on {report.engine}. That is not the device: another processor may "
        f"run the candidates in another order. They {decided}."
    )


def _tiles(report: Quantisation) -> Element:
    kept = report.winner
    pairs = {"kept": kept.name}
    if kept.comparison is not None:
        pairs["same answer as FP32"] = percent(kept.comparison.top1_agreement)
        pairs["clips judged on"] = str(kept.comparison.clips)
    if kept.timing is not None and kept.name != report.baseline:
        pairs[f"speed against {report.baseline}"] = f"{kept.timing.speedup.median:.2f} times"
    pairs["size of the model"] = megabytes(kept.megabytes)
    return tiles(pairs)


def _candidates(report: Quantisation) -> Element:
    heads = [
        "candidate",
        "gate",
        "same answer",
        "top-1",
        "top-5",
        "KL",
        "cosine",
        "SQNR",
        "time",
        "speed",
        "size",
    ]
    names = [candidate.name for candidate in report.candidates]
    reasons = [
        f"{c.name}: {text}"
        for c in report.candidates
        for text in (c.verdict.reason if c.verdict else "", c.note, _steadiness(c))
        if text
    ]
    reasons += [f"{name} was not built: {why}" for name, why in report.not_built.items()]
    return section(
        "The candidates",
        table(
            "Candidates",
            heads,
            [_candidate(c) for c in report.candidates],
            marked=names.index(report.kept),
        ),
        listing([_sentence(reason) for reason in reasons]),
        folded("What the columns mean", facts(dict(_TERMS))),
    )


def _candidate(candidate: CandidateReport) -> list[Child]:
    c, timing = candidate.comparison, candidate.timing
    gate: Child = "reference"
    if candidate.verdict is not None:
        gate = tag("span", "passed", class_="good")
        if not candidate.passed:
            gate = tag("span", "failed", class_="bad")
    row: list[Child] = [candidate.name, gate]
    if c is None:
        row += ["–"] * 6
    else:
        interval = f"{percent(c.agreement_low)} to {percent(c.agreement_high)}"
        row += [
            below(percent(c.top1_agreement), interval),
            _accuracy(c.candidate_top1, c.reference_top1),
            _accuracy(c.candidate_top5, c.reference_top5),
            f"{c.mean_kl:.2g}",
            f"{c.mean_cosine:.5f}",
            f"{c.mean_sqnr_db:.1f} dB",
        ]
    if timing is None:
        row += ["–", "–"]
    else:
        speed = timing.speedup
        row += [
            f"{timing.median_ms:.3g} ms",
            below(f"{speed.median:.2f} times", f"{speed.low:.2f} to {speed.high:.2f}"),
        ]
    return [*row, megabytes(candidate.megabytes)]


def _accuracy(mine: float | None, reference: float | None) -> Child:
    return "–" if mine is None else below(percent(mine), f"of {percent(reference)}")


def _steadiness(candidate: CandidateReport) -> str:
    if candidate.timing is None or candidate.timing.steady:
        return ""
    return "its time was still falling when the warm-up ended"


def _charts(report: Quantisation) -> Element:
    charts = [_speed(report), _sizes(report), *_differences(report), *_answers(report)]
    return section("In pictures", tag("div", *charts, class_="charts"))


def _speed(report: Quantisation) -> Element | None:
    timed = [(c, c.timing) for c in report.candidates if c.timing is not None]
    if not timed:
        return None
    points = [
        Point(
            c.name if c.passed else f"{c.name} (failed)",
            timing.speedup.median,
            1.0 if c.comparison is None else c.comparison.top1_agreement,
            timing.speedup.low,
            timing.speedup.high,
            hollow=not c.passed,
        )
        for c, timing in timed
    ]
    limits = [
        c.verdict.limit
        for c in report.candidates
        if c.verdict is not None and c.verdict.criterion != "accuracy"
    ]
    untimed = [c.name for c in report.candidates if c.timing is None]
    rest = f" Not timed: {', '.join(untimed)}." if untimed else ""
    title = "Agreement against speed"
    x_label = f"times as fast as {report.baseline}"
    return figure(
        title,
        scatter(title, points, x_label, "same answer as FP32", min(limits, default=None)),
        caption=f"Up and to the right is better. Timed on {report.engine}"
        f"{'' if report.is_device else ', not the device'}; bars are 95 % intervals.{rest}",
    )


def _sizes(report: Quantisation) -> Element:
    rows = [
        Bar(c.name, c.megabytes, megabytes(c.megabytes), hollow=not c.passed)
        for c in report.candidates
    ]
    title = "Size of the model"
    return figure(
        title, bars(title, rows), caption="Of the ONNX graph. An outline: failed the gate."
    )


def _differences(report: Quantisation) -> Iterator[Element]:
    """One histogram for each candidate, on one scale."""
    for c in report.candidates:
        if not c.differences:
            continue
        title = f"Differences of the scores, {c.name}"
        yield figure(
            title,
            histogram(title, c.differences, "largest difference of a score from FP32's"),
            caption=f"{len(c.differences)} clips: half differ by less than "
            f"{float(np.median(c.differences)):.2g}, the most by {max(c.differences):.2g}.",
        )


def _answers(report: Quantisation) -> Iterator[Element]:
    answers = report.answers
    if answers is None:
        return
    title = f"Answers of {report.kept} against FP32"
    if answers.confusion is not None:
        chart = heat_map(title, answers.labels, answers.confusion, "FP32", report.kept)
        yield figure(title, chart, caption="Off the diagonal: clips that change their answer.")
    else:
        yield figure(title, _changes(answers), caption="More classes than a table can show.")


def _changes(answers: Answers) -> Element:
    if not answers.changes:
        return paragraph("No clip changes its answer.")
    rows = [[c.before, c.after, str(c.clips)] for c in answers.changes]
    return table("Changed answers", ["FP32 says", "now", "clips"], rows, words=[1])


def _layers(report: Quantisation) -> Element:
    measured = [(g, g.sensitivity) for g in report.groups if g.sensitivity is not None]
    measured.sort(key=lambda pair: pair[1].mean_sqnr_db)
    in_float = sum(g.in_float for g in report.groups)
    children: list[Child] = [
        paragraph(
            f"{len(report.groups)} layers can be INT8. In the graph that was kept "
            f"{in_float or 'none'} of them {'are' if in_float != 1 else 'is'} in higher precision."
        )
    ]
    if measured:
        children.append(_sensitivity(measured))
    elif report.groups:
        children.append(paragraph("No layer was measured alone: INT8 as a whole decided."))
    if report.groups:
        children.append(_layer_table(report, measured))
    if report.trials:
        children.append(_trials(report))
    return section("Layer by layer", *children)


def _sensitivity(measured: list[tuple[GroupReport, Sensitivity]]) -> Element:
    rows = []
    for group, found in measured[:_BARS]:
        noise = 100 * 10 ** (-found.mean_sqnr_db / 20)
        text = f"{noise:.2g} %" if noise < _MOST_NOISE else f"over {_MOST_NOISE:.0f} %"
        text += " · in float" if group.in_float else ""
        rows.append(Bar(group.name, min(noise, _MOST_NOISE), text, hollow=group.in_float))
    title = "Sensitivity by layer"
    shown = f"The {_BARS} worst of {len(measured)}. " if len(measured) > _BARS else ""
    return figure(
        title,
        bars(title, rows),
        caption=f"{shown}Error of the logits, relative to their size, where this layer alone is "
        f"INT8, on {measured[0][1].clips} clips. Outlines: kept in float.",
    )


def _layer_table(report: Quantisation, measured: list[tuple[GroupReport, Sensitivity]]) -> Element:
    rows: list[list[Child]] = [
        [
            g.name,
            g.op_type,
            f"{s.mean_sqnr_db:.1f} dB",
            f"{s.mean_kl:.2g}",
            f"{s.flips} of {s.clips}",
            "yes" if g.in_float else "no",
        ]
        for g, s in measured
    ]
    rows += [
        [g.name, g.op_type, "–", "–", "–", "yes" if g.in_float else "no"]
        for g in report.groups
        if g.sensitivity is None
    ]
    heads = ["layer", "operator", "SQNR", "KL", "changed answers", "in float"]
    return folded("All layers", table("Layers", heads, rows, words=[1]))


def _trials(report: Quantisation) -> Element:
    rows: list[list[Child]] = [
        [
            str(number),
            trial.stage,
            str(len(trial.kept)),
            f"{trial.mean_sqnr_db:.1f} dB",
            f"{trial.mean_kl:.2g}",
            f"{'passed' if trial.verdict.passed else 'failed'}: {trial.verdict.reason}",
        ]
        for number, trial in enumerate(report.trials, 1)
    ]
    heads = ["number", "stage", "layers in float", "SQNR", "KL", "gate"]
    graphs = "1 graph" if len(rows) == 1 else f"{len(rows)} graphs"
    return folded(f"What the gate said of {graphs}", table("Trials", heads, rows, words=[1, 5]))


def _clips(report: Quantisation) -> Element:
    found_by = {"minmax": "smallest and largest value", "mse": "least mean square error"}
    method = found_by.get(report.method, report.method)
    return section(
        "The clips",
        tag("h3", "Calibration"),
        paragraph(f"INT8 scales come from these clips; method: {method}."),
        *_clip_set(report.calibration),
        tag("h3", "Evaluation"),
        paragraph("The candidates were judged on these clips."),
        *_clip_set(report.evaluation),
    )


def _clip_set(clips: ClipsReport) -> Iterator[Element]:
    yield facts(
        {
            "clips": f"{clips.clips}, {clips.labelled} of them labelled",
            "videos": str(len(clips.videos)),
            "seed": str(clips.seed),
            "SHA-256": tag("code", clips.sha256),
        }
    )
    if clips.notes:
        yield listing(clips.notes)
    yield folded("Names of the videos", listing(clips.videos))


def _left_alone(report: Quantisation) -> Element:
    nodes: dict[str, list[str]] = defaultdict(list)
    for node, reason in report.left_alone.items():
        nodes[reason].append(node)
    rows = [[reason, str(len(names)), ", ".join(names)] for reason, names in nodes.items()]
    return section(
        "What was left alone, and why",
        table("Left alone", ["reason", "nodes", "which"], rows, words=[2])
        if rows
        else paragraph("Nothing: every layer can be INT8."),
    )
