"""What slows the device down: heat, too much current, too little voltage.

Sources: Jetson Linux Developer Guide, "Over-current Throttling" (`oc*_event_cnt`; on Orin 1 is
under-voltage, 2 the mean current, 3 the momentary one); kernel driver-api/thermal/sysfs-api
(`cooling_device*`); kernel admin-guide ABI sysfs-devices-system-cpu (`thermal_throttle`).
"""

from __future__ import annotations

import re
from pathlib import Path

from edgevid.device.machine import ROOT, read_number, read_text

_OVER_CURRENT = "sys/class/hwmon/hwmon*/oc[0-9]*_event_cnt"
_COOLING = "sys/class/thermal/cooling_device*"
_INTEL = "sys/devices/system/cpu/cpu[0-9]*/thermal_throttle"
_SLOWS_DOWN = re.compile(r"cpufreq|devfreq|^Processor$|throttle")
"""Of the cooling devices those that cost speed; a fan does not."""


def throttle_counts(root: Path = ROOT) -> dict[str, int]:
    """How often each cause slowed the device since it was started; only counters that are there.

    Names: "oc1" to "oc3" (Jetson), "core" and "package" (Intel: all cores together; the package
    that counted most, for each of its cores shows the same number).
    """
    found: dict[str, int] = {}
    for path in sorted(root.glob(_OVER_CURRENT)):
        _add(found, path.name.partition("_")[0], path)
    packages: list[int] = []
    for folder in sorted(root.glob(_INTEL)):
        _add(found, "core", folder / "core_throttle_count")
        package: dict[str, int] = {}
        _add(package, "package", folder / "package_throttle_count")
        packages += package.values()
    if packages:
        found["package"] = max(packages)
    return found


def slowed_by(root: Path = ROOT) -> dict[str, int]:
    """Cooling devices that hold the clocks down now, with their state; empty where none does."""
    found: dict[str, int] = {}
    for folder in sorted(root.glob(_COOLING)):
        try:
            kind, state = read_text(folder / "type") or "", read_number(folder / "cur_state")
        except OSError:
            continue
        if state > 0 and _SLOWS_DOWN.search(kind):
            found[kind] = max(state, found.get(kind, 0))
    return found


def _add(found: dict[str, int], name: str, path: Path) -> None:
    try:
        found[name] = found.get(name, 0) + read_number(path)
    except OSError:
        return
