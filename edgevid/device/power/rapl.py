"""Energy counters of x86 processors: RAPL, for Intel and AMD.

Source: the kernel's power/powercap/powercap: `energy_uj` counts microjoules and wraps at
`max_energy_range_uj`. Since CVE-2020-8694 only root may read it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from edgevid.device.machine import ROOT, read_number, read_text
from edgevid.device.power.reading import PowerReading

_FOLDER = "sys/class/powercap"
MEND = "Until the next start: sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"


class RaplReader:
    """Power of the processor and its memory, as the mean since the last reading.

    The total is that of the packages, and of the memory where it has a counter: `core` and
    `uncore` are parts of a package, `psys` holds all of it once more.

    Args:
        folders: Of the counters, by name.
        clock: Seconds, monotonic; replaced in tests.

    Raises:
        PermissionError: This user may not read the counters.
        OSError: They do not answer.
    """

    name = "RAPL"

    def __init__(
        self, folders: dict[str, Path], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._zones = {name: _Zone(folder) for name, folder in folders.items()}
        self.total_of = tuple(n for n in folders if re.fullmatch(r"package[^/]*|.*dram", n))
        self._read_s = clock()
        self._rails_mw = dict.fromkeys(folders, 0.0)

    @classmethod
    def find(
        cls, root: Path = ROOT, clock: Callable[[], float] = time.monotonic
    ) -> RaplReader | None:
        """The reader of this machine; None where it has no counters."""
        folders = _folders(root)
        return cls(folders, clock) if folders else None

    def read(self) -> PowerReading:
        now = self._clock()
        elapsed = now - self._read_s
        if elapsed > 0:
            self._rails_mw = {
                n: zone.advance_uj() / elapsed / 1e3 for n, zone in self._zones.items()
            }
            self._read_s = now
        total = sum(self._rails_mw[name] for name in self.total_of)
        energy = sum(self._zones[name].used_uj for name in self.total_of) / 1e6
        return PowerReading(dict(self._rails_mw), total, energy)

    def close(self) -> None:
        """Nothing is kept open."""


class _Zone:
    """One counter, unwrapped."""

    def __init__(self, folder: Path) -> None:
        self._counter = folder / "energy_uj"
        self._range_uj = read_number(folder / "max_energy_range_uj")
        self._last_uj = read_number(self._counter)
        self.used_uj = 0

    def advance_uj(self) -> int:
        """Microjoules since the last call; right as long as the counter wraps at most once."""
        now = read_number(self._counter)
        step = now - self._last_uj
        if step < 0:
            step += self._range_uj
        self._last_uj = now
        self.used_uj += step
        return step


def _folders(root: Path) -> dict[str, Path]:
    """Zones by name; a part carries the name of its package, for there may be two of them.

    `intel-rapl-mmio` is another way to the same counters, and left out.
    """
    names: dict[str, str] = {}
    found: dict[str, Path] = {}
    for folder in sorted((root / _FOLDER).glob("intel-rapl:*")):
        name = read_text(folder / "name")
        if not name:
            continue
        names[folder.name] = name
        package = names.get(folder.name.rpartition(":")[0])
        found[f"{package}/{name}" if package else name] = folder
    return found
