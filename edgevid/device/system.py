"""Facts of the system: operating system, Python, cores, memory, clocks, cameras."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgevid.device.jetson import is_jetson
from edgevid.device.machine import ROOT, Check, Machine, read_text

_OLDEST_PYTHON = (3, 10)
_LOW_MEMORY_BYTES = 1 << 30


@dataclass(frozen=True)
class Clocks:
    """Frequency scaling of the CPU.

    Attributes:
        governors: Names in use, sorted, each once.
        lowest_mhz, highest_mhz: Range that the governor chooses from now; over all cores.
        limit_mhz: Highest frequency that the hardware has.
    """

    governors: tuple[str, ...]
    lowest_mhz: int
    highest_mhz: int
    limit_mhz: int


@dataclass(frozen=True)
class Camera:
    """One V4L2 capture device.

    Attributes:
        device: Path, such as "/dev/video0".
        name: As its driver names it.
    """

    device: str
    name: str

    @property
    def is_csi(self) -> bool:
        """True for sensors behind the Tegra video input: V4L2 gives their raw Bayer data."""
        return self.name.startswith("vi-output")


def parse_cpu_list(text: str) -> int:
    """How many CPUs a kernel list such as "0-3,6" names.

    Raises:
        ValueError: It is no such list.
    """
    count = 0
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        count += int(last or first) - int(first) + 1
    return count


def read_cores(root: Path = ROOT) -> tuple[int, float | None]:
    """Cores that this process may use, and the quota of its control group in cores.

    Raises:
        ValueError: The kernel's files are not of the documented form (proc(5), cgroup-v2).
    """
    status = read_text(root / "proc/self/status") or ""
    match = re.search(r"^Cpus_allowed_list:\s*(\S+)", status, re.MULTILINE)
    if match is None:
        raise ValueError("/proc/self/status names no Cpus_allowed_list")
    quota, _, period = (read_text(root / "sys/fs/cgroup/cpu.max") or "max 1").partition(" ")
    return parse_cpu_list(match[1]), None if quota == "max" else int(quota) / int(period)


def read_memory(root: Path = ROOT) -> tuple[int, int]:
    """Total and available memory in bytes.

    Raises:
        ValueError: `/proc/meminfo` does not say (proc(5)).
    """
    fields = dict(
        re.findall(r"^(\w+):\s+(\d+) kB", read_text(root / "proc/meminfo") or "", re.MULTILINE)
    )
    if "MemTotal" not in fields or "MemAvailable" not in fields:
        raise ValueError("/proc/meminfo lacks MemTotal or MemAvailable")
    return int(fields["MemTotal"]) * 1024, int(fields["MemAvailable"]) * 1024


def read_clocks(root: Path = ROOT) -> Clocks | None:
    """CPU frequency scaling; None where the kernel does not expose it.

    Raises:
        ValueError: A frequency is no number.
    """
    governors: set[str] = set()
    frequencies: dict[str, list[int]] = {}
    for folder in sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq")):
        governors.add(read_text(folder / "scaling_governor") or "unknown")
        for name in ("scaling_min_freq", "scaling_max_freq", "cpuinfo_max_freq"):
            if (text := read_text(folder / name)) is not None:
                frequencies.setdefault(name, []).append(int(text) // 1000)
    if len(frequencies) < 3:
        return None
    return Clocks(
        governors=tuple(sorted(governors)),
        lowest_mhz=min(frequencies["scaling_min_freq"]),
        highest_mhz=max(frequencies["scaling_max_freq"]),
        limit_mhz=max(frequencies["cpuinfo_max_freq"]),
    )


def read_cameras(root: Path = ROOT) -> tuple[Camera, ...]:
    """Every V4L2 camera.

    A USB camera has several nodes; index 0 carries the pictures, the others metadata
    (the kernel's V4L2 sysfs ABI).
    """
    cameras = []
    for folder in sorted(
        (root / "sys/class/video4linux").glob("video[0-9]*"), key=lambda f: int(f.name[5:])
    ):
        if (read_text(folder / "index") or "0") == "0":
            name = read_text(folder / "name") or "unnamed"
            cameras.append(Camera(f"/dev/{folder.name}", name))
    return tuple(cameras)


def check_system(machine: Machine) -> Check:
    """Distribution, kernel and architecture."""
    release = read_text(machine.root / "etc/os-release") or ""
    match = re.search(r'^PRETTY_NAME="?([^"\n]+)', release, re.MULTILINE)
    kernel = read_text(machine.root / "proc/sys/kernel/osrelease") or "unknown"
    name = match[1] if match else "unknown system"
    value = f"{name}, kernel {kernel}, {machine.arch}"
    if machine.arch not in ("x86_64", "aarch64", "arm64", "AMD64"):
        return Check(
            "system", "warning", value, "Use a 64-bit ARM or x86 system: others have no wheels"
        )
    return Check("system", "ok", value)


def check_python(machine: Machine) -> Check:
    """Python's version."""
    value = ".".join(str(part) for part in machine.python)
    if machine.python[:2] < _OLDEST_PYTHON:
        return Check("Python", "warning", value, "Install Python 3.10 or newer", required=True)
    venv = "virtual environment" if machine.in_venv else "no virtual environment"
    return Check("Python", "ok", f"{value} ({venv})", required=True)


def check_cores(machine: Machine) -> Check:
    """Cores that this process may use."""
    cores, quota = read_cores(machine.root)
    value = f"{cores} usable" + (f", limited to {quota:g} by the control group" if quota else "")
    return Check("cores", "ok", value)


def check_memory(machine: Machine) -> Check:
    """Memory, total and available."""
    total, available = read_memory(machine.root)
    value = f"{total / 2**30:.1f} GiB, {available / 2**30:.1f} GiB available"
    if available < _LOW_MEMORY_BYTES:
        return Check(
            "memory",
            "warning",
            value,
            "Close other programs, or add swap, before building an engine",
        )
    return Check("memory", "ok", value)


def check_clocks(machine: Machine) -> Check:
    """CPU governor and frequencies."""
    clocks = read_clocks(machine.root)
    if clocks is None:
        return Check("CPU clocks", "info", "not exposed by the kernel")
    governors = ", ".join(clocks.governors)
    value = f"{governors}, {clocks.lowest_mhz} to {clocks.highest_mhz} MHz"
    if clocks.highest_mhz < clocks.limit_mhz:
        value += f" of {clocks.limit_mhz}"
    if clocks.governors == ("performance",) or clocks.lowest_mhz == clocks.highest_mhz:
        return Check("CPU clocks", "ok", value)
    command = (
        "sudo jetson_clocks" if is_jetson(machine) else "sudo cpupower frequency-set -g performance"
    )
    mend = f"For steady measurements: {command}"
    return Check("CPU clocks", "info", value, mend, commands=(command,))


def check_cameras(machine: Machine) -> Check:
    """Cameras, and whether this user may open them."""
    cameras = read_cameras(machine.root)
    if not cameras:
        return Check("cameras", "info", "none found (/sys/class/video4linux)")
    value = "; ".join(f"{c.device} {c.name}" for c in cameras)
    closed = [c.device for c in cameras if not machine.may_open(machine.root / c.device[1:])]
    if closed:
        value = f"{value} (no permission for {', '.join(closed)})"
        join = "sudo usermod -aG video $USER"
        mend = f"{join}, then log in again; in a container pass --device"
        return Check("cameras", "warning", value, mend, commands=(join,))
    return Check("cameras", "ok", value)
