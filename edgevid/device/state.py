"""The state of the machine at one moment, to be kept with what was measured in it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from edgevid.device.jetson import read_power_mode
from edgevid.device.machine import ROOT
from edgevid.device.speed import clocks_fixed, cpu_mhz, gpu_mhz, memory_mhz
from edgevid.device.system import read_clocks
from edgevid.device.thermal import temperatures
from edgevid.device.throttle import slowed_by, throttle_counts
from edgevid.strict import Strict


class MachineState(Strict):
    """Clocks, power mode and heat; what the kernel does not tell is empty or null."""

    governors: tuple[str, ...] = Field((), description="Of the CPU, each once.")
    cpu_mhz: tuple[float, ...] = Field((), description="Of each core.")
    gpu_mhz: float | None = Field(None, description="Of an integrated GPU; 0 while it sleeps.")
    memory_mhz: float | None = Field(None, description="Of a Jetson; root alone sees it.")
    clocks_fixed: bool | None = Field(None, description="None may move, as after jetson_clocks.")
    power_mode: str | None = Field(None, description='Of nvpmodel, such as "MAXN_SUPER (2)".')
    temperatures_c: dict[str, float] = Field({}, description="By thermal zone.")
    throttle_events: dict[str, int] = Field({}, description="Counters since boot, by cause.")
    slowed_by: dict[str, int] = Field(
        {}, description="Cooling devices that hold the clocks down now, with their state."
    )
    load: float | None = Field(None, description="Mean of runnable tasks over one minute.")


def read_state(root: Path = ROOT) -> MachineState:
    """Read it; never raises, whatever the files hold.

    Args:
        root: Of the file system; another one in tests.
    """
    return MachineState(
        governors=_governors(root),
        cpu_mhz=cpu_mhz(root),
        gpu_mhz=gpu_mhz(root),
        memory_mhz=memory_mhz(root),
        clocks_fixed=clocks_fixed(root),
        power_mode=_power_mode(root),
        temperatures_c=temperatures(root),
        throttle_events=throttle_counts(root),
        slowed_by=slowed_by(root),
        load=_load(root),
    )


def _governors(root: Path) -> tuple[str, ...]:
    try:
        clocks = read_clocks(root)
    except (OSError, ValueError):
        return ()
    return clocks.governors if clocks is not None else ()


def _power_mode(root: Path) -> str | None:
    try:
        power = read_power_mode(root)
    except (OSError, ValueError):
        return None
    return None if power is None else f"{power.names.get(power.mode, 'mode')} ({power.mode})"


def _load(root: Path) -> float | None:
    try:
        return float((root / "proc/loadavg").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
