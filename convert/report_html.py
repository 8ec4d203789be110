"""`report.html`: one page that tells a stranger what a conversion did and how well."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from edgevid.convert.quantize.report import Quantisation, Run
from edgevid.convert.quantize.report_sections import quantised
from edgevid.convert.report import Report
from edgevid.pages.charts import Bar, bars
from edgevid.pages.markup import Child, tag
from edgevid.pages.parts import (
    facts,
    figure,
    folded,
    listing,
    megabytes,
    page,
    paragraph,
    percent,
    section,
    table,
    tiles,
)


def render(report: Report, run: Run | None = None, quantisation: Quantisation | None = None) -> str:
    """The page.

    Args:
        report: What the conversion did.
        run: When, how and where it was called.
        quantisation: What quantising did; None for a plain FP32 or FP16 conversion.

    Returns:
        A whole HTML document.
    """
    if quantisation is None:
        title = f"{report.model} in {report.precision.upper()}"
        head = [*_plain(report)]
    else:
        title = f"{report.model}: {quantisation.kept} kept"
        head = [*quantised(quantisation)]
    return page(
        title,
        *head,
        _original(report),
        _graph(report),
        _plans(report),
        section("What nothing said, and was assumed", listing(report.assumptions)),
        section("What was done differently", listing(report.notes)),
        _made(report, run),
    )


def _plain(report: Report) -> Iterator[Element]:
    """The verdict on a conversion without INT8."""
    parity = report.parity
    same = round(parity.top1_agreement * parity.clips)
    yield paragraph(
        f"The converted model gives the original's answer on {same} of {parity.frames_from}; "
        f"no score differs by more than {parity.max_abs_diff:.2g}.",
        class_="verdict",
    )
    yield tiles(
        {
            "same answer": percent(parity.top1_agreement),
            "largest difference": f"{parity.max_abs_diff:.2g}",
            "precision": report.precision.upper(),
            "size": megabytes(report.converted.megabytes),
        }
    )


def _original(report: Report) -> Element:
    parity = report.parity
    return section(
        "Against the original model",
        paragraph(
            "The original was run on the same frames, with preprocessing computed apart from "
            "the graph, so that a mistake in either would show."
        ),
        facts(
            {
                "frames": parity.frames_from,
                "same best class": f"{percent(parity.top1_agreement)} of {parity.clips} windows",
                "largest difference": f"{parity.max_abs_diff:.3g} of a score from 0 to 1",
                "mean difference": f"{parity.mean_abs_diff:.3g}",
            }
        ),
    )


def _graph(report: Report) -> Element:
    pair = {"original": report.original, "converted": report.converted}
    sizes = [Bar(name, g.megabytes, megabytes(g.megabytes)) for name, g in pair.items()]
    kinds = dict.fromkeys([*report.original.operators, *report.converted.operators])
    rows = [(kind, *(str(g.operators.get(kind, 0)) for g in pair.values())) for kind in kinds]
    batch = "any" if report.dynamic_batch else "fixed at 1"
    return section(
        "The graph",
        figure(
            "Size of the file",
            bars("Size of the file, original and converted", sizes),
            caption=f"{report.original.nodes} operators before, {report.converted.nodes} after; "
            f"batch {batch}.",
        ),
        folded("Operators by kind", table("Operators", ["operator", *pair], rows)),
        _kept_in_fp32(report),
    )


def _kept_in_fp32(report: Report) -> Element | None:
    if not report.fp32_nodes:
        return None
    rows = list(report.fp32_nodes.items())
    return folded(
        f"Nodes kept in FP32, as FP16 would overflow or lose too much there: {len(rows)}",
        table("Nodes kept in FP32", ["node", "reason"], rows, words=[1]),
    )


def _plans(report: Report) -> Element:
    rows: list[list[Child]] = [
        [
            plan.flavour if plan.stage is None else f"{plan.flavour}, {plan.stage}",
            plan.compute_capability or ("–" if plan.key is None else "any from 8.0"),
            "not built" if plan.key is None else tag("code", plan.key),
            megabytes(plan.megabytes),
            "–" if plan.seconds is None else f"{plan.seconds:.1f} s",
            plan.note or "–",
        ]
        for plan in report.plans
    ]
    heads = ["flavour", "GPU", "plan", "size", "built in", "remark"]
    return section(
        "TensorRT engines",
        table("TensorRT engines", heads, rows, words=[2, 5])
        if rows
        else paragraph("No engine was asked for. One is built on the device when it first runs."),
    )


def _made(report: Report, run: Run | None) -> Element:
    pairs: dict[str, Child] = {"model": report.model, "edgevid": report.edgevid_version}
    if run is not None:
        pairs["started"] = f"{run.started:%Y-%m-%d %H:%M:%S %z}"
        pairs["took"] = f"{run.seconds:.0f} s"
        pairs["command"] = tag("code", run.command)
        pairs.update(run.environment)
    return section("How this was made", facts(pairs))
