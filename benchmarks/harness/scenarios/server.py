"""`server`: clips that come by chance, and the highest rate at which they are answered in time.

MLPerf's Server: queries come as a Poisson process, latency counts from when a query was due,
and the metric is the highest rate at which a percentile (p99) of the latency stays within the
target (MLPerf Inference Rules, section 3). Queries that wait share a call, up to the batch.

    search    rates are cut in halves: the same arrivals, only nearer or farther, which makes
              what differs between two rates stand out
    measure   rounds at the rate that was found, each with arrivals of its own; what share of
              its queries is late tells by how much the rate is off

p99 stays within the target where at most 1 % are late. That share rises by two percent or more
with each percent of load, where p99 itself may hardly move: so rates are found by the share.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import chain

import numpy as np

from edgevid.benchmarks.harness.figures import latencies, rate_of_rounds, rounded
from edgevid.benchmarks.harness.recording import Job, Queries, Recording
from edgevid.benchmarks.harness.results import Figure, Probe
from edgevid.benchmarks.harness.scenarios.closed import measure_round
from edgevid.benchmarks.harness.statistics import (
    interval,
    samples_needed,
    statistic,
)
from edgevid.benchmarks.harness.subject import Subject
from edgevid.errors import SpecError
from edgevid.types import Array, StageTimings

_MOST_PROBES = 10
_NEAR = 0.05
"""The search ends where the rates that hold and that do not are this near, as a share."""

_LEAST_QUERIES = 20
_GIVE_UP_AT = 10
"""A load is given up once this many times as many are late as may be."""

_SLOPES = (2.0, 50.0)
_LEAST_LATE = 5
_CORRECTIONS = (0.8, 1.25)
_RESAMPLES = 300


def run(job: Job, recording: Recording) -> None:
    """Find the rate, then measure the latencies at it.

    Raises:
        SpecError: There is no target, or no rate is low enough for it.
    """
    target_ms = target(job)
    with job.subject(job.batch or 1) as subject:
        capacity = _capacity(job, subject, recording, target_ms)
        rate = _search(job, subject, recording, capacity)
    if not rate:
        last = recording.probes[-1]
        raise SpecError(
            f"no rate keeps p{job.settings.percentile:g} under {target_ms:g} ms: at "
            f"{last.load:.3g} clips/s it is {last.percentile_ms:.3g} ms",
            "Raise --target-ms",
        )
    _measure_at(job, recording, rate)


def figures(job: Job, recording: Recording) -> dict[str, Figure]:
    """MLPerf's metric first; the latencies are those at the rate of the last probe."""
    name = f"p{job.settings.percentile:g}"
    if not recording.settled:
        rate = max((p.load for p in recording.probes if p.holds), default=0.0)
        return {"rate_per_s": Figure(value=rounded(rate), unit="clips/s", better="higher")}
    return {
        "rate_per_s": _rate(job, recording),
        **latencies(recording, job.settings.percentile, name),
    }


def target(job: Job) -> float:
    """The target in milliseconds.

    Raises:
        SpecError: There is none.
    """
    if job.settings.target_ms is None:
        raise SpecError(
            "the server scenario asks how many clips a second are answered in time, and nothing "
            "says what that is",
            "Give --target-ms, such as --target-ms 50",
        )
    return job.settings.target_ms


def _capacity(job: Job, subject: Subject, recording: Recording, target_ms: float) -> float:
    """Clips a second that no queue can go beyond: full batches without a pause."""
    rates = []
    for clips in dict.fromkeys((1, job.batch or 1)):
        recording.clear()
        measure_round(job, subject, recording, clips, job.settings.duration_s * 0.05, 20)
        service_ms = statistic(recording.rounds[-1].steady_ms, "p50")
        if clips == 1 and service_ms > target_ms:
            raise SpecError(
                f"no rate keeps p{job.settings.percentile:g} under {target_ms:g} ms: one clip "
                f"alone takes {service_ms:.3g} ms",
                "Raise --target-ms, or take a faster engine, precision or model",
            )
        mean_ms = statistic(recording.rounds[-1].steady_ms, "mean")
        rates.append(clips * 1e3 / mean_ms)
    recording.clear()
    return max(rates)


def _search(job: Job, subject: Subject, recording: Recording, capacity: float) -> float:
    """The highest rate that seems to hold, between probes by a straight line; 0: none does."""
    settings = job.settings
    low, high = 0.0, capacity
    seconds = settings.duration_s / _MOST_PROBES
    for _ in range(_MOST_PROBES):
        rate = (low + high) / 2
        recording.clear()
        round_of(job, subject, recording, rate, _count(job, rate, seconds), settings.seed)
        recording.probes.append(_probe(job, recording, rate))
        low, high = (rate, high) if recording.probes[-1].holds else (low, rate)
        if high - low <= _NEAR * high:
            break
    recording.clear()
    return _crossing(job, recording.probes)


def _measure_at(job: Job, recording: Recording, rate: float) -> None:
    """Rounds at one rate, each with arrivals of its own."""
    settings = job.settings
    seconds = settings.duration_s / settings.rounds
    count = _count(job, rate, seconds)
    recording.settled = True
    try:
        for number in range(settings.rounds):
            with job.subject(job.batch or 1) as subject:
                subject.answer(1)
                round_of(job, subject, recording, rate, count, settings.seed + 1 + number)
            job.progress((number + 1) * seconds, math.ceil(settings.duration_s))
    finally:
        if recording.steady_ms:
            recording.probes.append(_probe(job, recording, rate))


def _count(job: Job, rate: float, seconds: float) -> int:
    return max(int(rate * seconds), _LEAST_QUERIES, job.least_queries)


def round_of(
    job: Job, subject: Subject, recording: Recording, rate: float, count: int, seed: int
) -> None:
    """`count` queries at `rate` a second, each answered as soon as its turn comes."""
    gaps = np.random.default_rng(seed).standard_exponential(count) / rate
    clock = job.clock
    begun_s = clock.now_s()
    due_s = begun_s + np.cumsum(gaps)
    queries = Queries(recording, begun_s)
    queries.steady_from = 0
    may_be_late = count * (1 - job.settings.percentile / 100)
    try:
        _serve(job, subject, queries, due_s, _GIVE_UP_AT * may_be_late + 10)
    finally:
        queries.finish()


def _serve(job: Job, subject: Subject, queries: Queries, due_s: Array, most_late: float) -> None:
    batch, target_s, clock = job.batch or 1, target(job) / 1e3, job.clock
    due: list[float] = due_s.tolist()
    late = at = 0
    while at < len(due) and late <= most_late:
        clock.wait_until(due[at])
        taken_s = clock.now_s()
        clips = bisect_right(due, taken_s, at + 1, min(at + batch, len(due))) - at
        timings = subject.answer(clips)
        now_s = clock.now_s()
        for query_s, timing in zip(due[at : at + clips], timings, strict=True):
            queries.add(query_s, now_s, (_queued(timing, (taken_s - query_s) * 1e3),))
            late += now_s - query_s > target_s
        at += clips


def _queued(timing: StageTimings, waited_ms: float) -> StageTimings:
    return StageTimings(
        capture_ms=timing.capture_ms,
        preprocess_ms=timing.preprocess_ms,
        queue_ms=waited_ms,
        infer_ms=timing.infer_ms,
        post_ms=timing.post_ms,
        total_ms=timing.total_ms + waited_ms,
    )


def _probe(job: Job, recording: Recording, rate: float) -> Probe:
    """What the rounds that were recorded say of a rate."""
    name = f"p{job.settings.percentile:g}"
    values = list(chain(*recording.steady_ms))
    found = interval(values, name, resamples=_RESAMPLES)
    late = _late(job, values)
    return Probe(
        load=rate,
        queries=len(values),
        percentile_ms=rounded(found.value),
        low_ms=rounded(max(found.low, 0.0)),
        high_ms=rounded(found.high),
        late=rounded(late),
        holds=late <= _may_be_late(job),
        note="" if len(values) >= samples_needed(name) else f"too few queries for {name}",
    )


def _late(job: Job, latencies_ms: Sequence[float]) -> float:
    target_ms = target(job)
    return sum(ms > target_ms for ms in latencies_ms) / len(latencies_ms)


def _may_be_late(job: Job) -> float:
    return 1 - job.settings.percentile / 100


def _log_late(job: Job, late: float, queries: int) -> float:
    """How far from what may be late, as a logarithm; half a query more, as none may be."""
    return math.log((late * queries + 0.5) / (_may_be_late(job) * queries + 0.5))


def _crossing(job: Job, probes: Sequence[Probe]) -> float:
    """The rate at which as many are late as may be; 0 where none holds."""
    holding = max((p for p in probes if p.holds), key=lambda p: p.load, default=None)
    late = [p for p in probes if not p.holds]
    if holding is None:
        return 0.0
    if not late:
        return holding.load
    first = min(late, key=lambda p: p.load)
    low, high = (_log_late(job, p.late or 0.0, p.queries) for p in (holding, first))
    part = -low / (high - low) if high > low else 0.5
    return holding.load * math.pow(first.load / holding.load, min(max(part, 0.0), 1.0))


def _rate(job: Job, recording: Recording) -> Figure:
    """The rate at which as many are late as may be, from every round at nearly that rate."""
    *searched, last = recording.probes
    slope = _slope(job, searched, last.load)

    def corrected(latencies_ms: Sequence[float]) -> float:
        off = _log_late(job, _late(job, latencies_ms), len(latencies_ms))
        factor = math.exp(-off / slope)
        return last.load * min(max(factor, _CORRECTIONS[0]), _CORRECTIONS[1])

    rounds = [corrected(values) for values in recording.steady_ms]
    value = corrected(list(chain(*recording.steady_ms)))
    return rate_of_rounds(value, rounds, "clips/s")


def _slope(job: Job, searched: Sequence[Probe], rate: float) -> float:
    """By how many percent more are late with a percent more load, near `rate`."""
    told = [p for p in searched if p.late and p.late * p.queries >= _LEAST_LATE]
    below = max((p for p in told if p.load < rate * (1 - _NEAR)), key=_load, default=None)
    above = min((p for p in told if p.load > rate * (1 + _NEAR / 2)), key=_load, default=None)
    (from_, log_from), (to, log_to) = (
        (rate, 0.0) if p is None else (p.load, _log_late(job, p.late or 0.0, p.queries))
        for p in (below, above)
    )
    if from_ == to:
        return _SLOPES[0]
    return min(max((log_to - log_from) / math.log(to / from_), _SLOPES[0]), _SLOPES[1])


def _load(probe: Probe) -> float:
    return probe.load
