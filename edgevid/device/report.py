"""Every check in order, and what they come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from edgevid._version import __version__
from edgevid.device import engines, gpu, jetson, running, software, system
from edgevid.device.machine import Check, Machine

REPORT_VERSION = 1

Probe = Callable[[Machine], Check]

_SECTIONS: dict[str, dict[str, Probe]] = {
    "machine": {
        "system": system.check_system,
        "board": jetson.check_board,
        "JetPack": jetson.check_jetpack,
        "power mode": jetson.check_power_mode,
        "cores": system.check_cores,
        "CPU clocks": system.check_clocks,
        "memory": system.check_memory,
        "GPU": gpu.check_gpu,
        "CUDA": gpu.check_cuda,
        "GPU clocks": running.check_gpu_clocks,
        "power": running.check_power,
        "throttling": running.check_throttling,
    },
    "software": {
        "edgevid": software.check_edgevid,
        "Python": system.check_python,
        "numpy": partial(software.check_import, name="numpy"),
        "OpenCV": partial(software.check_import, name="OpenCV"),
        "PyAV": partial(software.check_import, name="PyAV"),
        "CUDA bindings": engines.check_cuda_bindings,
        "converter": software.check_converter,
        "torch": software.check_torch,
    },
    "engines": {
        "onnxruntime": engines.check_onnxruntime,
        "onnxruntime-cuda": engines.check_onnxruntime_cuda,
        "onnxruntime-tensorrt": engines.check_onnxruntime_tensorrt,
        "openvino": engines.check_openvino,
        "tensorrt": engines.check_tensorrt,
        "tensorrt-rtx": engines.check_tensorrt_rtx,
    },
    "video": {
        "decoders": software.check_decoders,
        "GStreamer": software.check_gstreamer,
        "cameras": system.check_cameras,
    },
}


@dataclass(frozen=True)
class Report:
    """What `edgevid doctor` found.

    Attributes:
        sections: Title to checks, in the order to show them.
    """

    sections: dict[str, tuple[Check, ...]]

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every check."""
        return tuple(check for checks in self.sections.values() for check in checks)

    @property
    def blocking(self) -> tuple[Check, ...]:
        """Checks for which the default path cannot work."""
        return tuple(check for check in self.checks if check.blocks)

    @property
    def usable_engines(self) -> tuple[str, ...]:
        """Engines that could run a bundle now."""
        bindings = next((c for c in self.checks if c.name == "CUDA bindings"), None)
        has_bindings = bindings is not None and bindings.state == "ok"
        return tuple(
            check.name
            for check in self.sections.get("engines", ())
            if check.state == "ok" and (has_bindings or not check.name.startswith("tensorrt"))
        )

    def to_json(self) -> dict[str, Any]:
        """The report as docs/doctor.md describes it."""
        return {
            "report_version": REPORT_VERSION,
            "edgevid_version": __version__,
            "ok": not self.blocking,
            "engines": list(self.usable_engines),
            "checks": [
                {"section": section, **asdict(check)}
                for section, checks in self.sections.items()
                for check in checks
            ],
        }


def diagnose(machine: Machine | None = None) -> Report:
    """Examine a machine; never raises, whatever its files hold."""
    machine = machine or Machine()
    return Report(
        {
            title: tuple(_guarded(name, probe, machine) for name, probe in probes.items())
            for title, probes in _SECTIONS.items()
        }
    )


def _guarded(name: str, probe: Probe, machine: Machine) -> Check:
    try:
        return probe(machine)
    except OSError as exc:
        where = f" {exc.filename}" if exc.filename else ""
        return Check(name, "warning", f"cannot be read:{where} {exc.strerror or exc}")
    except Exception as exc:
        # A strange machine is what a diagnosis is for: one odd file must not hide the rest.
        return Check(name, "warning", f"cannot be told: {' '.join(str(exc).split())}")
