"""Which sources of power this machine has, and why one is not used."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgevid.device.machine import ROOT
from edgevid.device.power import rapl
from edgevid.device.power.hwmon import HwmonReader
from edgevid.device.power.nvml import NvmlReader
from edgevid.device.power.rapl import RaplReader
from edgevid.device.power.reading import PowerReader


@dataclass(frozen=True)
class PowerSources:
    """What there is to read.

    Attributes:
        readers: Sources that measure different things, so that their totals may be added.
        problems: Sources that are there and cannot be read, with the reason.
        mend: How to close that gap; empty where there is none.
    """

    readers: tuple[PowerReader, ...]
    problems: tuple[str, ...] = ()
    mend: str = ""

    def close(self) -> None:
        for reader in self.readers:
            reader.close()


def find_power(
    root: Path = ROOT,
    clock: Callable[[], float] = time.monotonic,
    find_nvml: Callable[[], PowerReader | None] = NvmlReader.find,
) -> PowerSources:
    """Open every source of power; never raises.

    A board whose INA chips know its total is asked for nothing else: that total holds its GPU.

    Args:
        root: Of the file system; another one in tests.
        clock: Seconds, monotonic.
        find_nvml: Finds the discrete GPUs.
    """
    problems: list[str] = []
    mend = ""
    readers: list[PowerReader] = []
    try:
        board = HwmonReader.find(root)
    except OSError as exc:
        board = None
        problems.append(f"power monitor: {_reason(exc)}")
    if board is not None:
        readers.append(board)
        if board.total_of:
            return PowerSources(tuple(readers))
    try:
        processor = RaplReader.find(root, clock)
    except PermissionError as exc:
        processor, mend = None, rapl.MEND
        problems.append(f"RAPL: {_reason(exc)}")
    except OSError as exc:
        processor = None
        problems.append(f"RAPL: {_reason(exc)}")
    gpus = find_nvml()
    readers += [reader for reader in (processor, gpus) if reader is not None]
    return PowerSources(tuple(readers), tuple(problems), mend)


def _reason(exc: OSError) -> str:
    return f"{exc.filename}: {exc.strerror}" if exc.filename else str(exc)
