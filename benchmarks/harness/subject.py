"""What a scenario needs: something that answers queries, and a clock.

MLPerf calls the first the system under test. Both can be simulated: then a scenario is checked
against queueing theory, in no time and the same way every time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from edgevid.types import StageTimings

_SPIN_S = 1e-3
"""A sleeping thread wakes up late, by up to about this much."""


class Clock(Protocol):
    """Tells the time, and lets it pass."""

    def now_s(self) -> float:
        """Seconds from some moment on; never runs backwards."""
        ...

    def wait_until(self, at_s: float) -> None:
        """Return when `now_s` has reached `at_s`; at once where it has already."""
        ...


class Subject(Protocol):
    """Answers queries of clips, one query at a time."""

    def answer(self, clips: int) -> Sequence[StageTimings]:
        """Answer one query of `clips` clips; returns when it is answered.

        Returns:
            Where the time of each clip went, as far as the subject knows.

        Raises:
            EngineError: It takes no query of that many clips, or failed.
        """
        ...

    def close(self) -> None: ...


class RealClock:
    """The machine's own clock."""

    def now_s(self) -> float:
        return time.perf_counter()

    def wait_until(self, at_s: float) -> None:
        """Sleeps, and looks at the clock all the time for the last millisecond."""
        while (left_s := at_s - time.perf_counter()) > 0:
            if left_s > _SPIN_S:
                time.sleep(left_s - _SPIN_S)


class SimulatedClock:
    """Time that passes only where somebody says so."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def now_s(self) -> float:
        return self._now_s

    def wait_until(self, at_s: float) -> None:
        self._now_s = max(self._now_s, at_s)


class SimulatedSubject:
    """Takes a known time for every query.

    Args:
        clock: Is set forward by it.
        service_s: Number of clips to seconds.
    """

    def __init__(self, clock: SimulatedClock, service_s: Callable[[int], float]) -> None:
        self._clock = clock
        self._service_s = service_s

    def answer(self, clips: int) -> list[StageTimings]:
        took_s = self._service_s(clips)
        self._clock.wait_until(self._clock.now_s() + took_s)
        return [StageTimings(infer_ms=took_s * 1e3)] * clips

    def close(self) -> None:
        """Nothing to let go of."""
