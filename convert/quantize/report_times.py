"""The part of `report.html` that tells which layers take the time."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from edgevid.convert.quantize.report import Quantisation
from edgevid.pages.charts import Bar, bars
from edgevid.pages.markup import Child
from edgevid.pages.parts import figure, folded, section, table

_BARS = 12


def slowest_layers(report: Quantisation) -> Iterator[Element]:
    """Bars of the slowest layers and a table of all that were told; nothing where none were."""
    times = report.layer_times
    if not times:
        return
    where = report.engine if report.is_device else f"{report.engine}, which is not the device"
    title = "Slowest layers"
    rows = [
        Bar(t.name, t.mean_ms, f"{t.mean_ms:.3g} ms, {100 * t.share:.3g} %") for t in times[:_BARS]
    ]
    cells: list[list[Child]] = [
        [t.name, t.op_type, f"{t.mean_ms:.3g}", f"{100 * t.share:.3g} %"] for t in times
    ]
    yield section(
        "Where the time goes",
        figure(
            title,
            bars(title, rows),
            caption=f"{report.kept} on {where}: mean of a few calls with one clip, as the engine "
            "itself tells. Layers that it fuses are one; measuring costs a little by itself.",
        ),
        folded("All that was told", table("Layers", ["layer", "kind", "ms", "share"], cells)),
    )
