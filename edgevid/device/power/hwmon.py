"""Power monitors on the I2C bus: INA3221 (Orin), INA238 (Thor) and their relatives.

Sources: the kernel's hwmon/ina3221, hwmon/ina238 and hwmon/sysfs-interface (`in*` is in mV,
`curr*` in mA, `power*` in µW); the rails of each module in the Jetson Linux Developer Guide,
"Software-Based Power Consumption Modeling", and in the device trees tegra234-p3701 and -p3767.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgevid.device.jetson import read_board
from edgevid.device.machine import ROOT, read_number, read_text
from edgevid.device.power.reading import PowerReading

_PLACES = ("sys/bus/i2c/devices/*/hwmon/hwmon*", "sys/class/hwmon/hwmon*")
_CHIPS = re.compile(r"ina(3221|2\d\d)")
_CHANNELS = (1, 2, 3)
"""An INA3221's fourth current and its `in4` to `in7` are sums and shunts, not rails."""

_TOTALS = (
    ("VDD_IN",),
    ("VIN",),
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
    ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"),
)
"""Rails that make up the whole, the first that are all there: the input of Orin Nano and NX, that
of Thor's board, the inputs of AGX Orin, those of Thor's module. AGX Orin's VDDQ_VDD2_1V8AO is
none of them: its 5 V come out of VIN_SYS_5V0, which feeds the memory too."""

_THOR = "nvidia,tegra264"


@dataclass(frozen=True)
class _Rail:
    """One channel: either its power, or voltage and current."""

    name: str
    power: Path | None
    voltage: Path
    current: Path

    def read_mw(self) -> float:
        if self.power is not None:
            return read_number(self.power) / 1e3
        return read_number(self.voltage) * read_number(self.current) / 1e3


class HwmonReader:
    """All INA chips of a board, as one source.

    Args:
        chips: Names of the drivers.
        rails: Of one board; their names differ.
    """

    def __init__(self, chips: tuple[str, ...], rails: tuple[_Rail, ...]) -> None:
        self.name = " and ".join(chips)
        self._rails = rails
        names = {rail.name for rail in rails}
        self.total_of: tuple[str, ...] = next((t for t in _TOTALS if names.issuperset(t)), ())

    @classmethod
    def find(cls, root: Path = ROOT) -> HwmonReader | None:
        """The reader of this machine; None where there is no such chip or it has no rail."""
        chips: list[str] = []
        rails: dict[str, _Rail] = {}
        for folder in _folders(root):
            chip = read_text(folder / "name") or ""
            if not _CHIPS.fullmatch(chip):
                continue
            found = _rails(folder, chip, root)
            if found and chip not in chips:
                chips.append(chip)
            for rail in found:
                rails.setdefault(rail.name, rail)
        return cls(tuple(sorted(chips, reverse=True)), tuple(rails.values())) if rails else None

    def read(self) -> PowerReading:
        rails = {rail.name: rail.read_mw() for rail in self._rails}
        total = sum(rails[name] for name in self.total_of) if self.total_of else None
        return PowerReading(rails, total)

    def close(self) -> None:
        """Nothing is kept open."""


def _folders(root: Path) -> list[Path]:
    """Each chip once: both places show the same ones, as links."""
    found = {folder.resolve(): folder for place in _PLACES for folder in root.glob(place)}
    return [found[path] for path in sorted(found)]


def _rails(folder: Path, chip: str, root: Path) -> list[_Rail]:
    rails = []
    for channel in _CHANNELS if chip == "ina3221" else (1,):
        name = _label(folder, chip, channel, root)
        if name is None or read_text(folder / f"in{channel}_enable") == "0":
            continue
        power = folder / f"power{channel}_input"
        rail = _Rail(
            name,
            power if power.exists() else None,
            folder / f"in{channel}_input",
            folder / f"curr{channel}_input",
        )
        if rail.power is not None or rail.current.exists():
            rails.append(rail)
    return rails


def _label(folder: Path, chip: str, channel: int, root: Path) -> str | None:
    """Name of a channel; None where nothing is connected to it."""
    label = read_text(folder / f"in{channel}_label")
    if label is None and chip != "ina3221":
        label = read_text(folder / "label") or _unlabelled(chip, root)
    return None if label in (None, "", "NC") else label


def _unlabelled(chip: str, root: Path) -> str:
    """NVIDIA on Thor's INA238: it sits at the input of the board, and is called VIN."""
    board = read_board(root)
    return "VIN" if board is not None and _THOR in board.compatible else chip
