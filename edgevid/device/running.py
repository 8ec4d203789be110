"""Facts of the running device: its power, its GPU's clock, what slowed it down."""

from __future__ import annotations

from edgevid.device.jetson import is_jetson
from edgevid.device.machine import Check, Machine
from edgevid.device.power import NvmlReader, PowerReader, find_power
from edgevid.device.speed import clocks_fixed, gpu_load, gpu_mhz
from edgevid.device.throttle import slowed_by, throttle_counts

_CAUSES = {
    "oc1": "under-voltage",
    "oc2": "mean over-current",
    "oc3": "momentary over-current",
    "core": "heat of a core",
    "package": "heat of the processor",
}


def check_power(machine: Machine) -> Check:
    """Sources of power readings."""
    sources = find_power(machine.root, find_nvml=lambda: _nvml(machine))
    try:
        value = "; ".join([*map(_shown, sources.readers), *sources.problems])
    finally:
        sources.close()
    if not value:
        return Check("power", "info", "no sensor that edgevid reads (INA3221, INA238, RAPL, NVML)")
    return Check("power", "ok" if sources.readers else "info", value, sources.mend)


def _nvml(machine: Machine) -> NvmlReader | None:
    try:
        return NvmlReader.find(machine.load("pynvml"))
    except ImportError:
        return None


def _shown(reader: PowerReader) -> str:
    """Such as "ina3221: VDD_IN 7.6 W"; a counter has no power yet when it was just opened."""
    rails = " + ".join(reader.total_of) or "rails without a known total"
    total_mw = reader.read().total_mw
    return f"{reader.name}: {rails}" + (f" {total_mw / 1e3:.1f} W" if total_mw else "")


def check_gpu_clocks(machine: Machine) -> Check:
    """Clock and load of an integrated GPU, and whether it may move."""
    mhz = gpu_mhz(machine.root)
    if mhz is None:
        return Check("GPU clocks", "info", "not exposed by the kernel")
    load = gpu_load(machine.root)
    value = f"{mhz:.0f} MHz" if mhz else "asleep"
    value += "" if load is None else f", load {load:.0%}"
    if clocks_fixed(machine.root):
        return Check("GPU clocks", "ok", f"{value}, fixed")
    value = f"{value}, free to move"
    if not is_jetson(machine):
        return Check("GPU clocks", "info", value)
    fix = "sudo jetson_clocks"
    return Check("GPU clocks", "info", value, f"For steady measurements: {fix}", commands=(fix,))


def check_throttling(machine: Machine) -> Check:
    """What slows the device now, and what did since it was started."""
    slowed = slowed_by(machine.root)
    if slowed:
        return Check(
            "throttling",
            "warning",
            f"slowed now by {', '.join(slowed)}",
            "Let it cool: check fan and heat sink, or choose a lower power mode",
        )
    counts = throttle_counts(machine.root)
    past = [f"{_CAUSES.get(name, name)} {n} times" for name, n in counts.items() if n]
    if past:
        value = f"not now; since the start: {', '.join(past)}"
        over = any(counts.get(name) for name in ("oc1", "oc2", "oc3"))
        mend = "Use the power supply of the kit, or a lower power mode" if over else ""
        return Check("throttling", "info", value, mend)
    return Check("throttling", "ok" if counts else "info", "none" if counts else "not exposed")
