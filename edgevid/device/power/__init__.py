"""Sources of power readings, one protocol: INA chips, RAPL, NVML."""

from __future__ import annotations

from edgevid.device.power.find import PowerSources, find_power
from edgevid.device.power.hwmon import HwmonReader
from edgevid.device.power.nvml import NvmlReader
from edgevid.device.power.rapl import RaplReader
from edgevid.device.power.reading import PowerReader, PowerReading

__all__ = [
    "HwmonReader",
    "NvmlReader",
    "PowerReader",
    "PowerReading",
    "PowerSources",
    "RaplReader",
    "find_power",
]
