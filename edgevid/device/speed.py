"""How fast the device runs now: clocks of CPU, GPU and memory, load of the GPU.

Sources: kernel admin-guide/pm/cpufreq (kHz) and ABI sysfs-class-devfreq (Hz); Jetson Linux
Developer Guide (`load` of the GPU is per mille); proc(5) for PCs without frequency scaling.
"""

from __future__ import annotations

import re
from pathlib import Path

from edgevid.device.machine import ROOT, read_number, read_text

_CPUS = "sys/devices/system/cpu"
_DEVFREQ = "sys/class/devfreq"
_LOADS = ("sys/devices/gpu.0/load", "sys/devices/platform/gpu.0/load")
_MEMORY = "sys/kernel/debug/bpmp/debug/clk/emc/rate"
_GPU = re.compile(r"gpu(?!-nvd)|\.g[apv]\d+b$")
"""17000000.gpu (JetPack 6), 17000000.ga10b (5), gpu-gpc-0 (Thor, whose gpu-nvd-0 decodes video)."""


def cpu_mhz(root: Path = ROOT) -> tuple[float, ...]:
    """Clock of each core that is on, in MHz; empty where the kernel does not tell."""
    folders = sorted((root / _CPUS).glob("cpu[0-9]*/cpufreq"), key=lambda f: int(f.parent.name[3:]))
    clocks = [_number(folder / "scaling_cur_freq") for folder in folders]
    if any(clocks):
        return tuple(khz / 1e3 for khz in clocks if khz)
    text = _text(root / "proc/cpuinfo")
    return tuple(float(mhz) for mhz in re.findall(r"^cpu MHz\s*:\s*([\d.]+)", text, re.MULTILINE))


def gpu_mhz(root: Path = ROOT) -> float | None:
    """Clock of the integrated GPU, in MHz, 0 while it sleeps; None where there is none."""
    clocks = [
        hertz for folder in _gpus(root) if (hertz := _number(folder / "cur_freq")) is not None
    ]
    return max(clocks) / 1e6 if clocks else None


def gpu_limit_mhz(root: Path = ROOT) -> float | None:
    """Highest clock that the power mode allows the integrated GPU, in MHz; None without one."""
    limits = [hertz for folder in _gpus(root) if (hertz := _number(folder / "max_freq"))]
    return max(limits) / 1e6 if limits else None


def memory_mhz(root: Path = ROOT) -> float | None:
    """Clock of a Jetson's memory controller, in MHz; None where this user may not see it."""
    hertz = _number(root / _MEMORY)
    return None if hertz is None else hertz / 1e6


def gpu_load(root: Path = ROOT) -> float | None:
    """Load of the integrated GPU, 0 to 1; None where the kernel does not tell (Thor)."""
    paths = [folder / "device/load" for folder in _gpus(root)] + [root / p for p in _LOADS]
    loads = [load for path in paths if (load := _number(path)) is not None]
    return max(loads) / 1e3 if loads else None


def clocks_fixed(root: Path = ROOT) -> bool | None:
    """True where no clock of CPU and GPU may move, as after `jetson_clocks`.

    None where the kernel shows no range. jetson_clocks itself tells only root, so this looks at
    what it does: lowest and highest frequency are one.
    """
    ranges = [
        (_number(folder / f"{prefix}min_freq"), _number(folder / f"{prefix}max_freq"))
        for prefix, folders in (
            ("scaling_", sorted((root / _CPUS).glob("cpu[0-9]*/cpufreq"))),
            ("", _gpus(root)),
        )
        for folder in folders
    ]
    known = [(low, high) for low, high in ranges if low is not None and high is not None]
    return all(low == high for low, high in known) if known else None


def _gpus(root: Path) -> list[Path]:
    return [f for f in sorted((root / _DEVFREQ).glob("*")) if _GPU.search(f.name)]


def _text(path: Path) -> str:
    try:
        return read_text(path) or ""
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    try:
        return read_number(path)
    except OSError:
        return None
