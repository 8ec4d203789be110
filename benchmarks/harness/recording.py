"""What a run has measured so far: kept as it comes, so that Ctrl-C loses nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from edgevid.benchmarks.harness.results import Mark, MarkKind, Probe, Round, Settings
from edgevid.benchmarks.harness.statistics import outliers
from edgevid.benchmarks.harness.subject import Clock, Subject
from edgevid.pipeline import Stream
from edgevid.types import StageTimings

_DIGITS = 4
"""Of a millisecond: clocks tell no more."""


@dataclass(frozen=True)
class Job:
    """What every scenario is given.

    Attributes:
        settings: How to measure.
        open_subject: Opens what is measured anew, for queries of at most so many clips.
        clock: Shared with the subject where it is simulated.
        open_stream: Opens the whole pipeline on so many paced sources, for so many seconds;
            None: only the engine is measured.
        batch: Clips in a call, at most; None: not said.
        streams: Side by side; None: not said.
        least_queries: Go on until so many were measured, however long it takes.
        largest_query: Clips that a query may hold.
        notify: Told, in one sentence each, what was found on the way.
        progress: Told the seconds that were measured, of how many.
    """

    settings: Settings
    open_subject: Callable[[int], Subject]
    clock: Clock
    open_stream: Callable[[int, float], Stream] | None = None
    batch: int | None = None
    streams: int | None = None
    least_queries: int = 0
    largest_query: int = 64
    notify: Callable[[str], None] = lambda _: None
    progress: Callable[[float, int], None] = lambda _done, _total: None

    @contextmanager
    def subject(self, most_clips: int) -> Iterator[Subject]:
        """What is measured, opened anew and closed in the end."""
        subject = self.open_subject(most_clips)
        try:
            yield subject
        finally:
            subject.close()


@dataclass
class Recording:
    """What was measured.

    Attributes:
        started_s: On the job's clock.
        clips_per_query: Of the rounds.
        rounds: Of the load that counts in the end.
        timings: Where the time of their clips went, warm-up left out.
        probes: Loads that a search tried.
        marks: What a reader must know.
        told_least: Queries a round that was told would take long.
        settled: A search is over: the rounds are of the load that counts.
    """

    started_s: float
    clips_per_query: int = 1
    rounds: list[Round] = field(default_factory=list)
    timings: list[StageTimings] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    told_least: int = 0
    settled: bool = False

    def mark(self, kind: MarkKind, text: str) -> None:
        """Note it once, however often it comes."""
        if all(mark.kind != kind for mark in self.marks):
            self.marks.append(Mark(kind=kind, text=text))

    def clear(self) -> None:
        """Forget the rounds: another load counts from now on."""
        self.rounds.clear()
        self.timings.clear()

    @property
    def steady_ms(self) -> list[tuple[float, ...]]:
        """Latencies of each round, warm-up left out."""
        return [round_.steady_ms for round_ in self.rounds if round_.steady_ms]


class Queries:
    """Queries of one round as they are answered.

    Args:
        recording: Gets the round when `finish` is called.
        begun_s: When the round began, on the job's clock.
    """

    def __init__(self, recording: Recording, begun_s: float) -> None:
        self._recording = recording
        self._begun_s = begun_s - recording.started_s
        self._answered: list[tuple[float, float]] = []
        self._timings: list[Sequence[StageTimings]] = []
        self.steady_from: int | None = None

    def add(self, due_s: float, answered_s: float, timings: Sequence[StageTimings]) -> None:
        """One query: when it was due and answered, on the job's clock; of each clip its stages."""
        self._answered.append((due_s - self._recording.started_s, answered_s - due_s))
        self._timings.append(timings)

    def __len__(self) -> int:
        return len(self._answered)

    @property
    def latencies_s(self) -> list[float]:
        return [latency_s for _, latency_s in self._answered]

    def finish(self) -> None:
        """Keep what was measured; a round that never left its warm-up is all warm-up."""
        steady_from = len(self) if self.steady_from is None else self.steady_from
        latency_ms = [round(s * 1e3, _DIGITS) for s in self.latencies_s]
        steady_ms = latency_ms[steady_from:]
        far = np.flatnonzero(outliers(steady_ms)) if steady_ms else ()
        self._recording.rounds.append(
            Round(
                started_s=round(self._begun_s, 6),
                at_s=tuple(round(at_s, 6) for at_s, _ in self._answered),
                latency_ms=tuple(latency_ms),
                steady_from=steady_from,
                outliers=tuple(int(i) + steady_from for i in far),
            )
        )
        for timings in self._timings[steady_from:]:
            self._recording.timings.extend(timings)
