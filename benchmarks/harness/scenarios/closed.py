"""Queries one after the other: what `single`, `multi` and `offline` have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgevid.benchmarks.harness.recording import Job, Queries, Recording
from edgevid.benchmarks.harness.statistics import steady
from edgevid.benchmarks.harness.subject import Subject
from edgevid.types import Array

_LEAST_WARM_UP_S = 0.2
_LEAST_WARM_UP_QUERIES = 12
_LOOK_AGAIN = 1.25
_MOST_WARM_UP_S = 3.0
_MSER_BATCH = 5
_DIFFERENCE_TO_SIGMA = 1.4826 / math.sqrt(2)
_ALIKE = 0.03


def measure_rounds(job: Job, recording: Recording, clips: int) -> None:
    """All rounds of queries of `clips` clips, each on a subject that is opened anew."""
    settings = job.settings
    recording.clips_per_query = clips
    round_s = settings.duration_s / settings.rounds
    least = math.ceil(job.least_queries / settings.rounds)
    for number in range(settings.rounds):
        with job.subject(clips) as subject:
            measure_round(job, subject, recording, clips, round_s, least)
        job.progress((number + 1) * round_s, math.ceil(settings.duration_s))


def measure_round(
    job: Job, subject: Subject, recording: Recording, clips: int, seconds: float, least: int = 0
) -> None:
    """Warm up until steady, then ask for `seconds` and until `least` queries were answered."""
    clock = job.clock
    queries = Queries(recording, clock.now_s())
    try:
        _warm_up(job, subject, queries, recording, clips)
        warm_up = queries.steady_from = len(queries)
        if job.least_queries and recording.told_least < least:
            recording.told_least = least
            _tell_how_long(job, queries.latencies_s)
        until_s = clock.now_s() + seconds
        while clock.now_s() < until_s or len(queries) - warm_up < max(least, 1):
            _ask(job, subject, queries, clips)
    finally:
        queries.finish()


def _tell_how_long(job: Job, latencies_s: Sequence[float]) -> None:
    query_s = float(np.median(latencies_s))
    seconds = max(job.least_queries * query_s, job.settings.duration_s)
    job.notify(
        f"p{job.settings.percentile:g} needs {job.least_queries} queries: at "
        f"{query_s * 1e3:.3g} ms each, about {seconds:.0f} s and the warm-up"
    )


def _ask(job: Job, subject: Subject, queries: Queries, clips: int) -> None:
    begun_s = job.clock.now_s()
    timings = subject.answer(clips)
    queries.add(begun_s, job.clock.now_s(), timings)


def _warm_up(
    job: Job, subject: Subject, queries: Queries, recording: Recording, clips: int
) -> None:
    """Ask until the times are steady. How long that takes differs: it is not a fixed number."""
    begun_s = job.clock.now_s()
    look_at = _LEAST_WARM_UP_QUERIES
    while True:
        _ask(job, subject, queries, clips)
        spent_s = job.clock.now_s() - begun_s
        if len(queries) >= look_at and spent_s >= _LEAST_WARM_UP_S:
            if _settled(np.array(queries.latencies_s)):
                return
            look_at = math.ceil(len(queries) * _LOOK_AGAIN)
        if spent_s >= _MOST_WARM_UP_S and len(queries) > 1:
            recording.mark(
                "not-steady", f"times still changed after {_MOST_WARM_UP_S:g} s of warming up"
            )
            return


def _settled(times: Array) -> bool:
    """True where times no longer change: by MSER, and the last two quarters are alike.

    MSER alone takes a slow fall for steady where it has seen only little of it.
    """
    if not steady(times, min(_MSER_BATCH, len(times) // 10)).found:
        return False
    quarter = len(times) // 4
    before, last = times[-2 * quarter : -quarter], times[-quarter:]
    # Noise from neighbour to neighbour, which a slow change does not add to.
    noise = float(np.median(np.abs(np.diff(times[-2 * quarter :])))) * _DIFFERENCE_TO_SIGMA
    # Standard error of the difference of two medians, each of `quarter` samples.
    error = noise * math.sqrt(math.pi / quarter)
    change = abs(float(np.median(last) - np.median(before)))
    return change <= max(2 * error, _ALIKE * float(np.median(last)))
