"""`live`: cameras through the whole pipeline, and how many of them it keeps up with.

Not MLPerf's. Every stream comes at its own rate, as a camera would deliver it, and what is too
late is dropped. A number of streams holds where nothing is dropped, the latency does not grow
all the time and, where a target is given, the percentile stays within it. Latency is from glass
to decision: from when the newest frame of a window was due to when its label was known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgevid.benchmarks.harness.figures import latencies, rate_of_rounds, rounded
from edgevid.benchmarks.harness.recording import Job, Queries, Recording
from edgevid.benchmarks.harness.results import Figure, Probe
from edgevid.benchmarks.harness.statistics import statistic
from edgevid.errors import SourceError, SpecError
from edgevid.pipeline import Stream
from edgevid.types import Prediction

_LARGEST = 256
_SEARCH_SHARE = 0.1
_WARM_UP_S = 1.0
_FEWER = 0.95
_MOST_GROWTH = 0.02
_LEAST_TO_GROW = 8
_SURE = 4.0


def run(job: Job, recording: Recording) -> None:
    """Find the largest number of streams that holds, or take the one given, and measure it.

    Raises:
        SpecError: Not even one stream holds, or no window came in the time.
    """
    streams = job.streams or _most_streams(job, recording)
    if not streams:
        raise SpecError(
            f"not even one stream holds: {recording.probes[0].note}",
            "Take a longer --hop, a smaller model or a faster engine, or see what one stream "
            "does: --streams 1",
        )
    recording.settled = True
    while not _measure(job, recording, streams) and job.streams is None and streams > 1:
        # A moment may hold what a minute does not.
        streams = min(streams - 1, round(streams * _FEWER))


def _measure(job: Job, recording: Recording, streams: int) -> bool:
    """All rounds, but no more after one that does not hold; True where all do."""
    recording.clear()
    seconds = job.settings.duration_s / job.settings.rounds
    for number in range(job.settings.rounds):
        if not _play(job, recording, streams, seconds).holds and job.streams is None:
            return False
        job.progress((number + 1) * seconds, math.ceil(job.settings.duration_s))
    return True


def figures(job: Job, recording: Recording) -> dict[str, Figure]:
    """Streams first, then what they get."""
    if not recording.settled:
        held = max((p.load for p in recording.probes if p.holds), default=0)
        return {"streams": Figure(value=held, unit="streams", better="higher")}
    measured = recording.probes[-len(recording.steady_ms) :]
    rates = [probe.fps or 0.0 for probe in measured]
    dropped = sum(probe.dropped for probe in measured)
    if dropped:
        recording.mark("dropped", f"{dropped} frames and windows were dropped")
    return {
        "streams": Figure(value=measured[-1].load, unit="streams", better="higher"),
        "fps": rate_of_rounds(sum(rates) / len(rates), rates, "frames/s"),
        "dropped": Figure(value=dropped, unit="frames and windows", better="lower"),
        **latencies(recording, job.settings.percentile, f"p{job.settings.percentile:g}"),
    }


def _most_streams(job: Job, recording: Recording) -> int:
    """Double until it does not hold, then cut in halves."""
    seconds = max(job.settings.duration_s * _SEARCH_SHARE, 2.0)
    low, high = 0, 1
    while high <= _LARGEST and _holds(job, recording, high, seconds):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _holds(job, recording, middle, seconds) else (low, middle)
    return low


def _holds(job: Job, recording: Recording, streams: int, seconds: float) -> bool:
    recording.clear()
    return _play(job, recording, streams, seconds).holds


def _play(job: Job, recording: Recording, streams: int, seconds: float) -> Probe:
    """Play `streams` sources for `seconds`, after a moment of warming up.

    Raises:
        SpecError: No window was complete in the time.
        SourceError: A source failed.
    """
    if job.open_stream is None:
        raise SpecError("the live scenario is of the whole pipeline: it has no engine alone")
    queries = Queries(recording, job.clock.now_s())
    tried = len(recording.probes)
    with job.open_stream(streams, seconds + _WARM_UP_S) as stream:
        warm: list[_Counts] = []
        try:
            _listen(job, stream, queries, warm)
        finally:
            # Also after Ctrl-C: what was seen until then counts.
            queries.finish()
            if recording.rounds[-1].steady_ms:
                counts = _Counts.of(job, stream).since(warm[0])
                recording.probes.append(_probe(job, recording, streams, counts))
    for source in stream.summary.sources:
        if source.error:
            raise SourceError(f"{source.source}: {source.error}")
    if len(recording.probes) == tried:
        raise SpecError("no window was complete in the time", "Give a longer --duration")
    return recording.probes[-1]


def _listen(job: Job, stream: Stream, queries: Queries, warm: list[_Counts]) -> None:
    """Take all predictions; `warm` gets what was counted when warming up was over."""
    begun_s = job.clock.now_s()
    for result in stream.results():
        if not isinstance(result, Prediction):
            continue
        now_s = job.clock.now_s()
        if not warm and now_s - begun_s >= _WARM_UP_S:
            queries.steady_from = len(queries)
            warm.append(_Counts.of(job, stream))
        queries.add(now_s - result.timings.total_ms / 1e3, now_s, [result.timings])


@dataclass(frozen=True)
class _Counts:
    """What became of the frames of all sources up to a moment."""

    at_s: float
    read: int
    dropped: int

    @classmethod
    def of(cls, job: Job, stream: Stream) -> _Counts:
        sources = stream.progress()
        return cls(
            job.clock.now_s(),
            sum(s.frames_read for s in sources),
            sum(s.frames_dropped + s.clips_dropped for s in sources),
        )

    def since(self, other: _Counts) -> _Counts:
        return _Counts(self.at_s - other.at_s, self.read - other.read, self.dropped - other.dropped)


def _probe(job: Job, recording: Recording, streams: int, counts: _Counts) -> Probe:
    name, target_ms = f"p{job.settings.percentile:g}", job.settings.target_ms
    round_ = recording.rounds[-1]
    value = statistic(round_.steady_ms, name)
    growth = _growth(round_.at_s[round_.steady_from :], round_.steady_ms)
    problems = []
    if counts.dropped:
        problems.append(f"{counts.dropped} frames and windows dropped")
    if growth > _MOST_GROWTH:
        problems.append(f"latency grows by {growth * 1e3:.0f} ms a second")
    if target_ms is not None and value > target_ms:
        problems.append(f"{name} is {value:.3g} ms")
    return Probe(
        load=streams,
        queries=len(round_.steady_ms),
        percentile_ms=rounded(value),
        dropped=counts.dropped,
        fps=rounded(counts.read / counts.at_s),
        holds=not problems,
        note=", ".join(problems),
    )


def _growth(at_s: Sequence[float], latency_ms: Sequence[float]) -> float:
    """Seconds that the latency grows by a second, where that is more than noise; else 0.

    Queues take up some of what is too much before anything is dropped.
    """
    if len(at_s) < _LEAST_TO_GROW:
        return 0.0
    times, latencies = np.array(at_s), np.array(latency_ms) / 1e3
    times -= times.mean()
    slope = float((times * latencies).sum() / (times**2).sum())
    left = latencies - latencies.mean() - slope * times
    error = math.sqrt(float((left**2).sum()) / (len(times) - 2) / float((times**2).sum()))
    return slope if slope > _SURE * error else 0.0
