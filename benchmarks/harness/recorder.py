"""Samples power, heat and clocks beside a run."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal

from edgevid.benchmarks.harness.energy import find_gaps, joules
from edgevid.benchmarks.harness.readings import Heat, Power, Series
from edgevid.device.machine import ROOT
from edgevid.device.power import PowerReader, PowerReading, PowerSources, find_power
from edgevid.device.speed import cpu_mhz, gpu_load, gpu_mhz
from edgevid.device.state import MachineState, read_state
from edgevid.device.thermal import temperatures
from edgevid.device.throttle import slowed_by

INTERVAL_S = 0.1
_HEAT_EVERY = 10
"""Heat and clocks move slowly and cost many files: one reading in so many of power."""


class Recorder:
    """Samples in a thread of its own, from `with` to its end.

    Args:
        sources: Of power; those of this machine unless given. Closed at the end.
        interval_s: Between two readings of power.
        root: Of the file system; another one in tests.
        clock: Seconds, monotonic; replaced in tests.

    Attributes:
        before, after: State of the machine at the two ends.
    """

    def __init__(
        self,
        sources: PowerSources | None = None,
        interval_s: float = INTERVAL_S,
        root: Path = ROOT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._found = find_power(root, clock) if sources is None else sources
        self._sources = [_Source(reader) for reader in self._found.readers if reader.total_of]
        self._heat = _HeatLog(root)
        self._interval_s = interval_s
        self._root = root
        self._clock = clock
        self._samples = 0
        self._cpu_s = 0.0
        self._started_s = self._ended_s = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="edgevid-recorder", daemon=True)
        self.before = self.after = MachineState()

    @property
    def notes(self) -> tuple[str, ...]:
        """Sources of power that are there and could not be read, each with its mend."""
        return tuple(f"{p}. {self._found.mend}".strip() for p in self._found.problems)

    def __enter__(self) -> Recorder:
        self.begin()
        self._thread.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.end()

    def begin(self) -> None:
        """Keep the machine's state and take the first readings; `with` does it."""
        self.before = read_state(self._root)
        self._started_s = self._clock()
        self.sample()

    def end(self) -> None:
        """Take the last readings, keep the state, close the sources; `with` does it."""
        self._samples = 0  # so that heat is among them
        self.sample()
        self._ended_s = self._clock()
        self.after = read_state(self._root)
        self._found.close()

    def sample(self) -> None:
        """Take one reading of everything that is due."""
        for source in self._sources:
            source.sample(self._clock() - self._started_s)
        if self._samples % _HEAT_EVERY == 0:
            self._heat.sample(self._clock() - self._started_s)
        self._samples += 1

    def _loop(self) -> None:
        begun = time.thread_time()
        due = self._clock() + self._interval_s
        while not self._stop.wait(max(due - self._clock(), 0.0)):
            self.sample()
            # What was missed stays missed: a burst of readings would tell nothing.
            due = max(due + self._interval_s, self._clock())
        self._cpu_s = time.thread_time() - begun

    def power(self, clips: int | None = None) -> Power | None:
        """Power of the run; None where no sensor answered twice.

        Args:
            clips: How many were answered, for the joules of one.
        """
        answered = [source for source in self._sources if len(source.readings) > 1]
        if not answered:
            return None
        energy = {source.reader.name: source.energy() for source in answered}
        spent_j = sum(part for part, _ in energy.values())
        # A reading that failed leaves its sensor a shorter series than the others.
        count = min(len(source.readings) for source in answered)
        totals = [sum(part) for part in zip(*(s.total_mw()[:count] for s in answered), strict=True)]
        at_s = answered[0].at_s[:count]
        return Power(
            source=" and ".join(energy),
            total=" + ".join(rail for source in answered for rail in source.reader.total_of),
            mean_mw=sum(source.mean_mw() for source in answered),
            peak_mw=max(totals),
            joules=spent_j,
            joules_per_clip=spent_j / clips if clips else None,
            energy_from={name: how for name, (_, how) in energy.items()},
            interval_s=self._interval_s,
            failed=sum(source.failed for source in self._sources),
            gaps=find_gaps(at_s, self._interval_s),
            total_mw=_series(at_s, totals),
            rails_mw={rail: s for source in answered for rail, s in source.rails().items()},
        )

    def heat(self) -> Heat:
        """Heat, clocks and load of the run."""
        before, after = self.before.throttle_events, self.after.throttle_events
        events = {name: count - before.get(name, 0) for name, count in after.items()}
        elapsed = self._ended_s - self._started_s
        return Heat(
            zones_c={name: _series(*z) for name, z in self._heat.zones_c.items()},
            cpu_mhz=_series_or_none(self._heat.others["cpu_mhz"]),
            gpu_mhz=_series_or_none(self._heat.others["gpu_mhz"]),
            gpu_load=_series_or_none(self._heat.others["gpu_load"]),
            throttle_events={name: count for name, count in events.items() if count > 0},
            slowed_s={name: round(s, 3) for name, s in self._heat.slowed_s.items() if s > 0},
            sampler_cpu=self._cpu_s / elapsed if elapsed else 0.0,
        )


class _Source:
    """Readings of one sensor."""

    def __init__(self, reader: PowerReader) -> None:
        self.reader = reader
        self.at_s: list[float] = []
        self.readings: list[PowerReading] = []
        self.failed = 0

    def sample(self, at_s: float) -> None:
        try:
            self.readings.append(self.reader.read())
        except OSError:
            self.failed += 1
        else:
            self.at_s.append(at_s)

    def total_mw(self) -> list[float]:
        return [reading.total_mw or 0.0 for reading in self.readings]

    def rails(self) -> dict[str, Series]:
        names = self.readings[0].rails_mw
        return {n: _series(self.at_s, [r.rails_mw[n] for r in self.readings]) for n in names}

    def energy(self) -> tuple[float, Literal["counter", "trapezoids"]]:
        """Joules, and how they were found."""
        first, last = self.readings[0].energy_j, self.readings[-1].energy_j
        if first is not None and last is not None:
            return last - first, "counter"
        return joules(self.at_s, [mw / 1e3 for mw in self.total_mw()]), "trapezoids"

    def mean_mw(self) -> float:
        """Over time."""
        seconds = self.at_s[-1] - self.at_s[0]
        return self.energy()[0] / seconds * 1e3 if seconds else self.total_mw()[0]


_Log = tuple[list[float], list[float]]


class _HeatLog:
    """Readings of heat, clocks and load."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._last_s = 0.0
        self.zones_c: dict[str, _Log] = defaultdict(lambda: ([], []))
        self.others: dict[str, _Log] = defaultdict(lambda: ([], []))
        self.slowed_s: dict[str, float] = defaultdict(float)

    def sample(self, at_s: float) -> None:
        for name, celsius in temperatures(self._root).items():
            _append(self.zones_c[name], at_s, celsius)
        cores = cpu_mhz(self._root)
        _append(self.others["cpu_mhz"], at_s, sum(cores) / len(cores) if cores else None)
        _append(self.others["gpu_mhz"], at_s, gpu_mhz(self._root))
        _append(self.others["gpu_load"], at_s, gpu_load(self._root))
        for name in slowed_by(self._root):
            self.slowed_s[name] += at_s - self._last_s
        self._last_s = at_s


def _append(log: _Log, at_s: float, value: float | None) -> None:
    if value is not None:
        log[0].append(at_s)
        log[1].append(value)


def _series(at_s: list[float], values: list[float]) -> Series:
    return Series(
        at_s=tuple(round(s, 4) for s in at_s), values=tuple(round(value, 3) for value in values)
    )


def _series_or_none(log: _Log) -> Series | None:
    return _series(*log) if log[0] else None
