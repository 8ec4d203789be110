"""What the device tells of itself while a stream runs: power, heat, load, throttling."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgevid.device.machine import ROOT
from edgevid.device.power import PowerSources, find_power
from edgevid.device.speed import gpu_load
from edgevid.device.thermal import temperatures
from edgevid.device.throttle import slowed_by, throttle_counts


class DeviceMetrics:
    """Reads the sensors whenever somebody asks: `prometheus_client`'s collector protocol.

    What a device does not tell has no samples. A counter of energy (RAPL) gives the mean power
    since it was asked last.

    Args:
        families: The module `prometheus_client.core`.
        root: Of the file system; another one in tests.
        sources: Of power; those of this machine unless given.
    """

    def __init__(
        self, families: Any, root: Path = ROOT, sources: PowerSources | None = None
    ) -> None:
        self._families = families
        self._root = root
        self._sources = find_power(root) if sources is None else sources
        self._one_at_a_time = threading.Lock()

    def collect(self) -> Iterator[Any]:
        """Every family, with what can be read now."""
        gauge, counter = self._families.GaugeMetricFamily, self._families.CounterMetricFamily
        heat = gauge("edgevid_temperature_celsius", "Of the device.", labels=("zone",))
        for zone, celsius in temperatures(self._root).items():
            heat.add_metric((zone,), celsius)
        total = gauge("edgevid_power_watts", "Of the device, by sensor.", labels=("sensor",))
        rails = gauge("edgevid_rail_power_watts", "Of each rail.", labels=("sensor", "rail"))
        with self._one_at_a_time:
            self._add_power(total, rails)
        load = gauge("edgevid_gpu_load_ratio", "Of an integrated GPU, 0 to 1.")
        if (share := gpu_load(self._root)) is not None:
            load.add_metric((), share)
        throttled = counter(
            "edgevid_throttle_events", "How often the device was slowed.", labels=("cause",)
        )
        for cause, count in throttle_counts(self._root).items():
            throttled.add_metric((cause,), count)
        slowed = gauge("edgevid_slowed_by", "State of what slows the device now.", labels=("by",))
        for name, state in slowed_by(self._root).items():
            slowed.add_metric((name,), state)
        yield from (heat, total, rails, load, throttled, slowed)

    def _add_power(self, total: Any, rails: Any) -> None:
        for reader in self._sources.readers:
            try:
                reading = reader.read()
            except OSError:  # no sample says that it does not answer
                continue
            if reading.total_mw is not None:
                total.add_metric((reader.name,), reading.total_mw / 1e3)
            for rail, milliwatts in reading.rails_mw.items():
                rails.add_metric((reader.name, rail), milliwatts / 1e3)
