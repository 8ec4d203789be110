"""A benchmark as one page that stands alone: what was found, how sure it is, and why."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from edgevid.benchmarks.harness.pictures import (
    latency_histogram,
    over_time,
    percentile_curves,
    roofline_plot,
    samples_over_time,
    search_plot,
    steady_latencies,
)
from edgevid.benchmarks.harness.readings import Series
from edgevid.benchmarks.harness.results import Result
from edgevid.benchmarks.harness.wording import (
    DASH,
    amount,
    figure_name,
    figure_rows,
    interval_note,
    interval_text,
    machine_rows,
    model_text,
    power_rows,
    rough,
    scenario_text,
    stage_rows,
)
from edgevid.pages.charts import Bar, bars
from edgevid.pages.markup import Child, tag
from edgevid.pages.parts import (
    facts,
    figure,
    folded,
    page,
    paragraph,
    percent,
    section,
    table,
    tiles,
)

_TILES = 4


def render(result: Result) -> str:
    """The page: a whole HTML document."""
    return page(f"{result.model.name}: {result.scenario}", *parts(result))


def parts(result: Result) -> Iterator[Element]:
    """What stands on the page, from above to below."""
    yield paragraph(_verdict(result), class_="verdict")
    yield paragraph(f"{model_text(result)}. {scenario_text(result)}.", class_="quiet")
    if result.marks:
        words = (tag("li", tag("b", mark.kind), f": {mark.text}") for mark in result.marks)
        yield tag("ul", *words, class_="marks")
    shown = list(result.figures.items())[:_TILES]
    yield tiles({figure_name(name): amount(f.value, f.unit) for name, f in shown})
    yield _figures(result)
    yield from filter(None, [_latency(result), _search(result), _stages(result)])
    yield from filter(None, [_power(result), _memory(result), _roofline(result)])
    yield _conditions(result)


def _verdict(result: Result) -> str:
    name, first = next(iter(result.figures.items()))
    words = f"{figure_name(name)}: {amount(first.value, first.unit)}"
    if first.low is None:
        return f"{words}."
    return (
        f"{words}; another run is expected between {interval_text(first).replace(' to ', ' and ')}."
    )


def _figures(result: Result) -> Element:
    rows = [
        [*row, f"{amount(min(f.rounds))} to {amount(max(f.rounds))}" if f.rounds else DASH]
        for row, f in zip(figure_rows(result), result.figures.values(), strict=True)
    ]
    return section(
        "Figures",
        table("Figures", ["figure", "value", "another run", "rounds, least to most"], rows),
        paragraph(interval_note(result), class_="quiet"),
    )


def _latency(result: Result) -> Element | None:
    count = len(steady_latencies(result))
    if not count:
        return None
    far = sum(len(r.outliers) for r in result.samples.rounds)
    warm = sum(r.steady_from for r in result.samples.rounds)
    return section(
        "Latency",
        tag(
            "div",
            figure(
                "How often each latency occurs",
                latency_histogram(result),
                caption=f"{count} queries; the outliers count in the last bar.",
            ),
            figure(
                "Latency by percentile",
                percentile_curves({"": result}),
                caption="The axis gives every nine the same room: the slow end is the right one.",
            ),
            class_="charts",
        ),
        figure(
            "Latency over time",
            samples_over_time(result),
            caption=f"{len(result.samples.rounds)} rounds. {warm} queries of the warm-up are not "
            f"counted. {far} queries lie far from the others (modified z-score above 3.5); they "
            "are counted.",
            wide=True,
        ),
    )


def _search(result: Result) -> Element | None:
    if not result.search:
        return None
    label = "streams" if result.scenario == "live" else "clips a second"
    rows: list[list[Child]] = [
        [
            amount(probe.load),
            str(probe.queries),
            amount(probe.percentile_ms, "ms"),
            DASH if probe.low_ms is None else f"{amount(probe.low_ms)} to {amount(probe.high_ms)}",
            str(probe.dropped),
            tag("span", "yes", class_="good") if probe.holds else tag("span", "no", class_="bad"),
            probe.note or DASH,
        ]
        for probe in result.search
    ]
    head = [
        label,
        "queries",
        f"p{result.settings.percentile:g}",
        "interval",
        "dropped",
        "holds",
        "",
    ]
    return section(
        "What was tried",
        figure(
            "Latency under load",
            search_plot(result.search, result.settings.target_ms, label),
            caption=f"p{result.settings.percentile:g} of the latency under each load.",
        ),
        folded("Every load that was tried", table("Loads", head, rows, words=[6])),
    )


def _stages(result: Result) -> Element | None:
    if not result.stages:
        return None
    head = ("stage", "mean", "p50", "p90", "p99", "max")
    lengths = [Bar(s, f.mean_ms, rough(f.mean_ms, "ms")) for s, f in result.stages.items()]
    return section(
        "Stages",
        figure(
            "Mean time of each stage",
            bars("Mean time of each stage of a clip", lengths),
            caption="Is it the model or the pipeline? “infer” is the model.",
        ),
        folded("Percentiles (ms)", table("Stages", head, list(stage_rows(result)))),
    )


def _power(result: Result) -> Element | None:
    power, heat = result.power, result.heat
    if power is None and heat is None:
        return None
    rows = {name: value for name, value in power_rows(result) if "memory" not in name}
    rows.pop("roofline", None)
    plots = [
        figure(title, over_time(title, series, label, scale), caption=caption, wide=True)
        for title, series, label, scale, caption in _readings(result)
        if any(s.at_s for s in series.values())
    ]
    return section("Power and heat", facts(dict(rows)), *plots)


def _readings(result: Result) -> Iterator[tuple[str, dict[str, Series], str, float, str]]:
    """What was read over time: title, series, unit, scale, caption."""
    if (power := result.power) is not None:
        rails = {power.total: power.total_mw} | power.rails_mw
        gaps = power.gaps
        missing = (
            f" {gaps.count} stretches without a reading, the longest {gaps.longest_s:.2g} s."
            if gaps.count
            else ""
        )
        caption = f"From {power.source}, every {power.interval_s:g} s.{missing}"
        yield "Power over time", rails, "power (W)", 1e-3, caption
    if (heat := result.heat) is not None:
        yield "Temperature over time", heat.zones_c, "temperature (°C)", 1.0, "By thermal zone."
        clocks = {"CPU, mean of its cores": heat.cpu_mhz, "GPU": heat.gpu_mhz}
        known = {name: s for name, s in clocks.items() if s is not None}
        yield "Clocks over time", known, "clock (MHz)", 1.0, "A clock that falls explains much."


def _memory(result: Result) -> Element | None:
    memory = result.memory
    if memory is None:
        return None
    lengths = [Bar(stage, mb, rough(mb, "MB")) for stage, mb in memory.stages_mb.items()]
    gpu = "" if memory.gpu_mb is None else f"; {rough(memory.gpu_mb, 'MB')} of the GPU's"
    gpu += "" if memory.exact else ". Peaks shorter than a stage may be missing"
    return section(
        "Memory",
        paragraph(f"At most {rough(memory.peak_rss_mb, 'MB')}{gpu}."),
        figure("Peak by stage", bars("Peak memory by stage", lengths), caption="Of the process.")
        if lengths
        else None,
    )


def _roofline(result: Result) -> Element | None:
    roof = result.roofline
    if roof is None:
        return None
    kind = "arithmetic" if roof.bound == "compute" else "memory"
    operators = [Bar(k, v, rough(v, "GFLOP")) for k, v in roof.gflop_by_kind.items() if v > 0]
    uncounted = ", ".join(f"{name} ({n})" for name, n in roof.uncounted.items())
    return section(
        "Roofline",
        paragraph(
            f"A clip takes {rough(roof.gflop_per_clip)} billion operations and at least "
            f"{rough(roof.mb_per_clip, 'MB')} of memory traffic: {kind} limits this model here, to "
            f"{rough(roof.limit_ms, 'ms')} a clip. The run reaches {percent(roof.share)} of that "
            f"limit, {rough(roof.reached_gflop_s, 'GFLOP/s')}. Where all that lies between layers "
            f"goes through memory too, the limit is {rough(roof.layers_limit_ms, 'ms')}, of which "
            f"it reaches {percent(roof.layers_share)}."
        ),
        paragraph(f"Not counted: {uncounted}.") if uncounted else None,
        tag(
            "div",
            figure(
                "Roofline",
                roofline_plot(roof),
                caption=f"Peaks: {rough(roof.peak_gflop_s, 'GFLOP/s')} and "
                f"{rough(roof.peak_gb_s, 'GB/s')}, {roof.peaks_from} (Williams et al., 2009).",
            ),
            figure(
                "Operations by kind of layer",
                bars("Operations by kind of layer", operators),
                caption="Of a clip; a multiply-add counts two.",
            )
            if operators
            else None,
            class_="charts",
        ),
    )


def _conditions(result: Result) -> Element:
    settings = result.settings
    pairs: dict[str, Child] = {
        "started": f"{result.started:%Y-%m-%d %H:%M:%S %z}",
        "took": f"{result.seconds:.0f} s",
        "command": tag("code", result.command),
        "bundle": result.model.bundle,
        "clips": ", ".join(settings.clips),
        "rounds": f"{settings.rounds} in {settings.duration_s:g} s",
        "seed": str(settings.seed),
    }
    pairs |= {f"SHA-256 of {name}": tag("code", sha) for name, sha in result.model.sha256.items()}
    machine = list(machine_rows(result.machine_before, result.machine_after))
    return section(
        "How this was measured",
        facts(pairs | dict(result.environment)),
        tag("h3", "The machine") if machine else None,
        table("The machine", ["", "before", "after"], machine) if machine else None,
    )
