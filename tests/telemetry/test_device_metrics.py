"""Power, heat and throttling among the metrics, off recorded trees."""

from __future__ import annotations

import shutil
from pathlib import Path

import prometheus_client
import prometheus_client.core
import pytest

from edgevid.device.power import PowerReading, PowerSources, find_power
from edgevid.telemetry.device import DeviceMetrics

ROOTS = Path(__file__).parents[1] / "data" / "roots"


def scrape(root: Path, sources: PowerSources | None = None) -> str:
    registry = prometheus_client.CollectorRegistry()
    found = sources or find_power(root, find_nvml=lambda: None)
    registry.register(DeviceMetrics(prometheus_client.core, root, found))
    return prometheus_client.generate_latest(registry).decode()


def value(text: str, sample: str) -> float:
    [line] = [ln for ln in text.splitlines() if ln.startswith(f"{sample} ")]
    return float(line.split()[-1])


def test_an_orin_nano_tells_its_power_heat_and_load():
    text = scrape(ROOTS / "orin-nano-jetpack-6.2")
    assert value(text, 'edgevid_power_watts{sensor="ina3221"}') == pytest.approx(7.63648)
    rail = 'edgevid_rail_power_watts{rail="VDD_SOC",sensor="ina3221"}'
    assert value(text, rail) == pytest.approx(5.016 * 0.472)
    assert value(text, 'edgevid_temperature_celsius{zone="tj-thermal"}') == 52.406
    assert value(text, "edgevid_gpu_load_ratio") == 0.345
    assert value(text, 'edgevid_throttle_events_total{cause="oc3"}') == 27
    assert "edgevid_slowed_by{" not in text


def test_a_thor_tells_what_slows_it_and_has_no_load():
    text = scrape(ROOTS / "thor-jetpack-7.0")
    assert value(text, 'edgevid_power_watts{sensor="ina3221 and ina238"}') == 23.117
    assert value(text, 'edgevid_slowed_by{by="devfreq-gpu-gpc-0"}') == 4
    assert "\nedgevid_gpu_load_ratio " not in text


def test_a_counter_gives_the_mean_since_the_last_scrape(tmp_path):
    root = shutil.copytree(ROOTS / "pc-without-gpu", tmp_path / "pc")
    now = [10.0]
    sources = find_power(root, lambda: now[0], lambda: None)
    registry = prometheus_client.CollectorRegistry()
    registry.register(DeviceMetrics(prometheus_client.core, root, sources))
    now[0] += 15.0
    counter = root / "sys/class/powercap/intel-rapl:0/energy_uj"
    counter.write_text(str(int(counter.read_text()) + 90_000_000))
    text = prometheus_client.generate_latest(registry).decode()
    assert value(text, 'edgevid_power_watts{sensor="RAPL"}') == pytest.approx(6.0)


class Dead:
    name, total_of = "ina3221", ("VDD_IN",)

    def read(self) -> PowerReading:
        raise OSError("no answer")

    def close(self) -> None:
        pass


def test_a_sensor_that_does_not_answer_has_no_sample(tmp_path):
    text = scrape(tmp_path, PowerSources((Dead(),)))
    assert "edgevid_power_watts{" not in text
    assert "# TYPE edgevid_power_watts gauge" in text
