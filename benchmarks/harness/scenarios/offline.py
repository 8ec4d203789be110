"""`offline`: how many clips a second, where all are there from the start.

MLPerf's Offline: all samples are sent at once, and the metric is the measured throughput
(MLPerf Inference Rules, section 3). The batch is the best of 1, 2, 4 ..., unless one is given.
"""

from __future__ import annotations

from edgevid.benchmarks.harness.figures import rounded, throughput
from edgevid.benchmarks.harness.recording import Job, Recording
from edgevid.benchmarks.harness.results import Figure, Probe
from edgevid.benchmarks.harness.scenarios.closed import measure_round, measure_rounds
from edgevid.benchmarks.harness.statistics import statistic

_LARGEST = 64
_GAIN = 1.02
_PROBE_SHARE = 0.05


def run(job: Job, recording: Recording) -> None:
    """Find the best batch, then measure it."""
    batch = job.batch
    if batch is None:
        batch = _best_batch(job, recording)
        recording.clear()
    measure_rounds(job, recording, batch)


def figures(job: Job, recording: Recording) -> dict[str, Figure]:  # noqa: ARG001 - all alike
    """MLPerf's metric."""
    return {
        "clips_per_s": throughput(recording),
        "batch": Figure(value=recording.clips_per_query, unit="clips", better="higher"),
    }


def _best_batch(job: Job, recording: Recording) -> int:
    """Double the batch until twice in a row that brought no more."""
    best, best_rate, worse, batch = 1, 0.0, 0, 1
    while worse < 2 and batch <= min(_LARGEST, job.largest_query):
        rate = _rate(job, recording, batch)
        worse = 0 if rate > best_rate * _GAIN else worse + 1
        if not worse:
            best, best_rate = batch, rate
        batch *= 2
    return best


def _rate(job: Job, recording: Recording, batch: int) -> float:
    """Clips a second, measured for a moment."""
    recording.clear()
    recording.clips_per_query = batch
    with job.subject(batch) as subject:
        seconds = job.settings.duration_s * _PROBE_SHARE
        measure_round(job, subject, recording, batch, seconds)
    latencies = recording.rounds[-1].steady_ms
    median = statistic(latencies, "p50")
    rate = batch * 1e3 / median
    recording.probes.append(
        Probe(
            load=batch,
            queries=len(latencies),
            percentile_ms=median,
            holds=True,
            note=f"{rounded(rate):g} clips/s",
        )
    )
    return rate
