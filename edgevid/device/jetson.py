"""Facts of a Jetson: board, L4T and JetPack release, power mode.

Formats: `/etc/nv_tegra_release` and `/etc/nvpmodel.conf` as the Jetson Linux Developer Guide
describes them; the release table is NVIDIA's JetPack archive.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from edgevid.device.machine import ROOT, Check, Machine, read_text

# Compute capability by the system on chip, the last entry of the device tree's `compatible`.
_SM_OF_SOC = {
    "nvidia,tegra210": 53,
    "nvidia,tegra186": 62,
    "nvidia,tegra194": 72,
    "nvidia,tegra234": 87,
    "nvidia,tegra264": 110,
}

# By the shortest prefix of the L4T release that decides; no prefix starts another.
_JETPACK_OF_L4T = {
    "36.2": "6.0 DP",
    "36.3": "6.0",
    "36.4.0": "6.1",
    "36.4.3": "6.2",
    "36.4.4": "6.2.1",
    "36.4.7": "6.2.1",
    "36.5": "6.2.2",
    "38.2": "7.0",
    "38.4": "7.1",
    "39.2": "7.2",
}
_OLDEST_L4T = (36, 4)
"""JetPack 6.1: the first with TensorRT 10.3 and Python 3.10."""


@dataclass(frozen=True)
class Board:
    """What the device tree says.

    Attributes:
        model: Name for people.
        compatible: From the most special name to the system on chip.
    """

    model: str
    compatible: tuple[str, ...]

    @property
    def sm(self) -> int | None:
        """Compute capability times ten (87 is 8.7); None where the chip is none of NVIDIA's."""
        return next((_SM_OF_SOC[c] for c in self.compatible if c in _SM_OF_SOC), None)


@dataclass(frozen=True)
class PowerMode:
    """The mode that nvpmodel keeps.

    Attributes:
        mode: Number in use.
        names: Every mode's name by number; empty where the configuration is missing.
        chosen: False where no mode was ever set, and the configuration's default applies.
    """

    mode: int
    names: dict[int, str]
    chosen: bool

    @property
    def fastest(self) -> int | None:
        """Number of the mode without limits; None where no mode is called MAXN."""
        return next((i for i, name in self.names.items() if name.startswith("MAXN")), None)


def read_board(root: Path = ROOT) -> Board | None:
    """The board of a device-tree machine; None on a PC."""
    for folder in ("proc/device-tree", "sys/firmware/devicetree/base"):
        compatible = read_text(root / folder / "compatible")
        if compatible:
            model = read_text(root / folder / "model") or ""
            names = tuple(name for name in compatible.split("\0") if name)
            return Board(model.strip("\0 \n") or names[0], names)
    return None


def read_l4t(root: Path = ROOT) -> str | None:
    """The L4T release, such as "36.4.3"; None where the machine is no Jetson.

    Raises:
        ValueError: The release file is not of the documented form.
    """
    text = read_text(root / "etc/nv_tegra_release")
    if text is None:
        return None
    match = re.search(r"R(\d+) \(release\), REVISION: (\d+(?:\.\d+)*)", text)
    if match is None:
        raise ValueError(f"/etc/nv_tegra_release names no release: {text[:60]!r}")
    return f"{match[1]}.{match[2]}"


def read_packages(names: Collection[str], root: Path = ROOT) -> dict[str, str]:
    """Versions of those of the named Debian packages that are installed."""
    found: dict[str, str] = {}
    for block in (read_text(root / "var/lib/dpkg/status") or "").split("\n\n"):
        fields = dict(re.findall(r"^(Package|Status|Version): (.*)$", block, re.MULTILINE))
        if fields.get("Package") in names and fields.get("Status", "").endswith(" installed"):
            found[fields["Package"]] = fields.get("Version", "")
    return found


def read_power_mode(root: Path = ROOT) -> PowerMode | None:
    """The power mode; None where nvpmodel is not there.

    Raises:
        ValueError: Its files are not of the documented form.
    """
    conf = read_text(root / "etc/nvpmodel.conf")
    status = read_text(root / "var/lib/nvpmodel/status")
    if conf is None and status is None:
        return None
    modes = re.findall(r"^<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)", conf or "", re.MULTILINE)
    names = {int(number): name for number, name in modes}
    if status is not None:
        match = re.search(r"pmode:(\d+)", status)
        where = "/var/lib/nvpmodel/status"
    else:
        match = re.search(r"^<\s*PM_CONFIG\s+DEFAULT=(\d+)", conf or "", re.MULTILINE)
        where = "/etc/nvpmodel.conf"
    if match is None:
        raise ValueError(f"{where} names no power mode")
    return PowerMode(int(match[1]), names, status is not None)


def lacks_dla_compiler(root: Path = ROOT) -> bool:
    """True on a JetPack 6 without the library that its TensorRT cannot be imported without.

    Also boards without a DLA need it: `libnvinfer` is linked to it. It comes from the package
    `nvidia-l4t-dla-compiler`, which not every image has.
    """
    try:
        l4t = read_l4t(root)
    except ValueError:
        return False
    libraries = root / "usr/lib/aarch64-linux-gnu"
    return (l4t or "").startswith("36.") and not any(
        (libraries / folder / "libnvdla_compiler.so").exists() for folder in ("nvidia", "tegra", "")
    )


def is_jetson(machine: Machine) -> bool:
    """True where the release file or the device tree says so; never raises."""
    if (machine.root / "etc/nv_tegra_release").exists():
        return True
    try:
        board = read_board(machine.root)
    except OSError:
        return False
    return board is not None and board.sm is not None


def check_board(machine: Machine) -> Check:
    """Model of the board."""
    board = read_board(machine.root)
    if board is None:
        return Check("board", "info", "no device tree (a PC or a virtual machine)")
    return Check("board", "ok" if board.sm else "info", board.model)


def check_jetpack(machine: Machine) -> Check:
    """L4T and JetPack release."""
    l4t = read_l4t(machine.root)
    packages = read_packages(("nvidia-l4t-core", "nvidia-jetpack"), machine.root)
    if l4t is None and "nvidia-l4t-core" in packages:
        l4t = packages["nvidia-l4t-core"].split("-")[0]
    if l4t is None:
        return Check("JetPack", "info", "not a Jetson")
    jetpack = re.split(r"[+-]", packages.get("nvidia-jetpack", ""))[0] or _jetpack_of(l4t)
    value = f"JetPack {jetpack} (L4T {l4t})" if jetpack else f"L4T {l4t}"
    if tuple(int(part) for part in l4t.split(".")[:2]) < _OLDEST_L4T:
        return Check(
            "JetPack",
            "warning",
            f"{value}: too old for TensorRT 10",
            "Flash JetPack 6.1 or newer (Orin), 7.0 or newer (Thor); the CPU engine works as it is",
        )
    if "nvidia-jetpack" not in packages:
        value = f"{value}, package nvidia-jetpack not installed"
        install = "sudo apt install nvidia-jetpack"
        mend = f"For CUDA and TensorRT: {install}"
        return Check("JetPack", "info", value, mend, commands=(install,))
    return Check("JetPack", "ok", value)


def _jetpack_of(l4t: str) -> str:
    return next(
        (name for prefix, name in _JETPACK_OF_L4T.items() if f"{l4t}.".startswith(f"{prefix}.")),
        "",
    )


def check_power_mode(machine: Machine) -> Check:
    """Power mode, and how to reach the one without limits."""
    power = read_power_mode(machine.root)
    if power is None:
        if is_jetson(machine):
            mend = "sudo apt install nvidia-l4t-nvpmodel"
            value = "nvpmodel is not installed"
            return Check("power mode", "warning", value, mend, commands=(mend,))
        return Check("power mode", "info", "no nvpmodel (not a Jetson)")
    name = power.names.get(power.mode, "unknown name")
    value = f"{name} (mode {power.mode}{'' if power.chosen else ', the default'})"
    fastest = power.fastest
    if fastest is None or fastest == power.mode:
        return Check("power mode", "ok", value)
    choose = f"sudo nvpmodel -m {fastest}"
    mend = f"For full speed ({power.names[fastest]}): {choose}"
    return Check("power mode", "info", value, mend, commands=(choose,))
