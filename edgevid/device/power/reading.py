"""What every source of power answers, and the seam that they stand behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class PowerReading:
    """Power at one moment.

    Attributes:
        rails_mw: Milliwatts by the rail's name; a small current may read below zero.
        total_mw: What the source as a whole takes; None where its rails do not add up to a
            documented total.
        energy_j: Joules that the source's own counter says were used since the reader was
            opened; None where it counts none. More exact than any sum over readings.
    """

    rails_mw: Mapping[str, float]
    total_mw: float | None
    energy_j: float | None = None


@runtime_checkable
class PowerReader(Protocol):
    """A source of power readings."""

    @property
    def name(self) -> str:
        """Of the sensor, such as "ina3221"."""
        ...

    @property
    def total_of(self) -> tuple[str, ...]:
        """Rails that `total_mw` is the sum of; empty where there is no total."""
        ...

    def read(self) -> PowerReading:
        """Ask the sensor.

        Raises:
            OSError: It does not answer now.
        """
        ...

    def close(self) -> None: ...
