"""What was read beside the turns of one measurement, joined into one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from edgevid.benchmarks.harness.readings import Gaps, Heat, Power, Series


def merged_power(
    turns: Sequence[tuple[float, Power | None]], clips: int | None = None
) -> Power | None:
    """Power of all turns together; the time between them, when others ran, does not count.

    Args:
        turns: When each began, in seconds from the start of the run, and its power.
        clips: How many were answered in all, for the joules of one.

    Returns:
        None where a turn has none.
    """
    parts = [power for _, power in turns if power is not None]
    if not parts or len(parts) < len(turns):
        return None
    seconds = sum(_seconds(power.total_mw) for power in parts)
    joules = sum(power.joules for power in parts)
    first = parts[0]
    return first.model_copy(
        update={
            "mean_mw": joules / seconds * 1e3 if seconds else first.mean_mw,
            "peak_mw": max(power.peak_mw for power in parts),
            "joules": joules,
            "joules_per_clip": joules / clips if clips else None,
            "failed": sum(power.failed for power in parts),
            "gaps": Gaps(
                count=sum(power.gaps.count for power in parts),
                longest_s=max(power.gaps.longest_s for power in parts),
                total_s=sum(power.gaps.total_s for power in parts),
            ),
            "total_mw": _joined((at_s, p.total_mw) for at_s, p in turns if p is not None),
            "rails_mw": {
                rail: _joined((at_s, p.rails_mw.get(rail)) for at_s, p in turns if p is not None)
                for rail in first.rails_mw
            },
        }
    )


def merged_heat(turns: Sequence[tuple[float, Heat]]) -> Heat:
    """Heat and clocks of all turns, one after the other; throttling of any of them counts."""
    parts = [heat for _, heat in turns]
    events: Counter[str] = Counter()
    slowed: dict[str, float] = defaultdict(float)
    for heat in parts:
        events.update(heat.throttle_events)
        for device, seconds in heat.slowed_s.items():
            slowed[device] += seconds
    clocks = {
        name: _joined((at_s, getattr(heat, name)) for at_s, heat in turns)
        if any(getattr(heat, name) is not None for heat in parts)
        else None
        for name in ("cpu_mhz", "gpu_mhz", "gpu_load")
    }
    zones = dict.fromkeys(zone for heat in parts for zone in heat.zones_c)
    return Heat(
        zones_c={z: _joined((at_s, heat.zones_c.get(z)) for at_s, heat in turns) for z in zones},
        throttle_events=dict(events),
        slowed_s=dict(slowed),
        sampler_cpu=max((heat.sampler_cpu for heat in parts), default=0.0),
        **clocks,
    )


def _joined(parts: Iterable[tuple[float, Series | None]]) -> Series:
    """Series one after the other, each set off by when its turn began."""
    at_s: list[float] = []
    values: list[float] = []
    for begun_s, series in parts:
        if series is not None:
            at_s += [round(begun_s + t, 4) for t in series.at_s]
            values += series.values
    return Series(at_s=tuple(at_s), values=tuple(values))


def _seconds(series: Series) -> float:
    return series.at_s[-1] - series.at_s[0] if series.at_s else 0.0
