"""How figures are written: in tables, in Markdown and on pages alike."""

from __future__ import annotations

from collections.abc import Iterator

from edgevid.benchmarks.harness.compare import Comparison
from edgevid.benchmarks.harness.results import Figure, Result
from edgevid.device.state import MachineState
from edgevid.pages.parts import percent

DASH = "–"

_NAMES = {
    "single": "one clip after another",
    "multi": "several streams, each tick",
    "offline": "as many clips as it takes",
    "server": "clips that arrive at random",
    "live": "sources at their own pace",
}
_UNITS = ("_ms", "_mw", "_c", "_mb")


def amount(value: float | None, unit: str = "", digits: int = 4) -> str:
    """A number with so many digits that count, and its unit."""
    if value is None:
        return DASH
    power = int(f"{value:.{digits - 1}e}".partition("e")[2])
    decimals = min(max(digits - 1 - power, 0), 6)
    text = f"{value:.{decimals}f}"
    return f"{text} {unit}" if unit else text


def rough(value: float | None, unit: str = "") -> str:
    """A number with three digits that count, and its unit."""
    return amount(value, unit, 3)


def figure_name(name: str) -> str:
    """`p99_ms` as it is written: p99."""
    for suffix in _UNITS:
        name = name.removesuffix(suffix)
    return name.replace("_", " ")


def interval_text(figure: Figure) -> str:
    """Where another run is expected, with the digits of the value."""
    if figure.low is None or figure.high is None:
        return DASH
    return f"{amount(figure.low)} to {amount(figure.high)}"


def interval_note(result: Result) -> str:
    """What the intervals are."""
    confidence = next(iter(result.figures.values())).confidence
    return (
        "another run: where the same figure of a second run of this command on this machine is "
        f"expected, {confidence * 100:.4g} % sure"
    )


def scenario_name(result: Result) -> str:
    """The scenario and what it is of."""
    kind = "engine only" if result.settings.engine_only else "frames to labels"
    return f"{result.scenario} ({_NAMES[result.scenario]}), {kind}"


def scenario_text(result: Result) -> str:
    """The scenario and its settings in one line."""
    settings = result.settings
    parts = [scenario_name(result), f"batch {settings.batch}"]
    if settings.streams > 1:
        parts.append(f"{settings.streams} streams")
    if settings.threads is not None:
        parts.append(f"{settings.threads} thread{'s' * (settings.threads > 1)}")
    if settings.hop_s is not None:
        parts.append(f"hop {settings.hop_s:g} s")
    if settings.target_ms is not None:
        parts.append(f"target {settings.target_ms:g} ms")
    return ", ".join(parts)


def model_text(result: Result) -> str:
    """The model, its precision and its engine."""
    return f"{result.model.name} in {result.model.precision.upper()} on {result.model.engine}"


def figure_rows(result: Result) -> Iterator[tuple[str, str, str]]:
    """Name, value and interval of every figure."""
    for name, figure in result.figures.items():
        yield figure_name(name), amount(figure.value, figure.unit), interval_text(figure)


def verdict_text(comparison: Comparison) -> str:
    """What the scenario's own metric says, and how sure that is."""
    name, change = next(iter(comparison.figures.items()))
    ratio = change.ratio
    sure = f"{ratio.confidence * 100:.4g} % sure"
    how = "rounds took turns and were paired" if ratio.paired else "two runs made apart"
    figures = (
        f"{figure_name(name)} {amount(change.first, change.unit)} and "
        f"{amount(change.second, change.unit)}"
    )
    if ratio.low is None or ratio.high is None:
        return f"Too few rounds to tell: {figures}."
    between = f"{ratio.low:.3f} to {ratio.high:.3f} times as fast, {sure}; {how}"
    if ratio.verdict == "no difference seen":
        both = f"{comparison.first} and {comparison.second}"
        return f"No difference seen between {both}: {figures} ({between})."
    return f"{comparison.second} is {ratio.verdict} than {comparison.first}: {figures} ({between})."


def change_rows(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    """Name, both values, ratio and verdict of every figure."""
    for name, change in comparison.figures.items():
        values = (amount(v, change.unit) for v in (change.first, change.second))
        low, high = change.ratio.low, change.ratio.high
        between = DASH if low is None else f"{low:.3f} to {high:.3f}"
        yield figure_name(name), *values, f"{change.ratio.value:.3f}", between, change.ratio.verdict


def stage_rows(result: Result) -> Iterator[tuple[str, ...]]:
    """Every stage with its mean, p50, p90, p99 and maximum, in ms."""
    for stage, f in result.stages.items():
        yield (stage, *map(rough, (f.mean_ms, f.p50_ms, f.p90_ms, f.p99_ms, f.max_ms)))


def power_rows(result: Result) -> Iterator[tuple[str, str]]:
    """Energy, heat and memory: name and value."""
    if (power := result.power) is not None:
        yield "mean power", f"{rough(power.mean_mw / 1e3, 'W')} ({power.total})"
        yield "peak power", rough(power.peak_mw / 1e3, "W")
        yield "energy", rough(power.joules, "J")
        if power.joules_per_clip is not None:
            yield "energy a clip", rough(power.joules_per_clip * 1e3, "mJ")
    if result.heat is not None:
        for zone, series in result.heat.zones_c.items():
            if series.values:
                yield f"{zone}", f"{series.values[0]:.1f} to {max(series.values):.1f} °C"
    if (memory := result.memory) is not None:
        yield "peak memory", rough(memory.peak_rss_mb, "MB")
        if memory.gpu_mb is not None:
            yield "GPU memory", rough(memory.gpu_mb, "MB")
    if (roof := result.roofline) is not None:
        reached = f"{rough(roof.reached_gflop_s)} GFLOP/s, {percent(roof.share)} of the limit"
        yield "roofline", f"{reached} ({roof.bound}-bound)"


def machine_rows(before: MachineState, after: MachineState) -> Iterator[tuple[str, ...]]:
    """What decides how fast a machine is, before and after: name and two values."""
    pairs = zip(_machine(before), _machine(after), strict=True)
    for (name, first), (_, second) in pairs:
        if (first, second) != (DASH, DASH):
            yield name, first, second
    for zone in dict.fromkeys([*before.temperatures_c, *after.temperatures_c]):
        warm = (state.temperatures_c.get(zone) for state in (before, after))
        yield (f"{zone} (°C)", *(DASH if c is None else f"{c:.1f}" for c in warm))
    for cause in dict.fromkeys([*before.throttle_events, *after.throttle_events]):
        times = (str(state.throttle_events.get(cause, 0)) for state in (before, after))
        yield (f"{cause} (times throttled)", *times)


def _machine(state: MachineState) -> Iterator[tuple[str, str]]:
    mhz = dict.fromkeys(f"{value:.0f}" for value in state.cpu_mhz)
    yield "governor", ", ".join(dict.fromkeys(state.governors)) or DASH
    yield "CPU clock (MHz)", ", ".join(mhz) or DASH
    yield "GPU clock (MHz)", DASH if state.gpu_mhz is None else f"{state.gpu_mhz:.0f}"
    yield "memory clock (MHz)", DASH if state.memory_mhz is None else f"{state.memory_mhz:.0f}"
    yield "clocks fixed", DASH if state.clocks_fixed is None else _yes(state.clocks_fixed)
    yield "power mode", state.power_mode or DASH
    yield "slowed down by", ", ".join(state.slowed_by) or DASH
    yield "load", DASH if state.load is None else f"{state.load:.2f}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
