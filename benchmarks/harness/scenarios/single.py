"""`single`: one clip after another, as a device that answers one person.

MLPerf's SingleStream: the next query is sent when the one before was answered. Its metric is
the 90th percentile of the latency (MLPerf Inference Rules, section 3).
"""

from __future__ import annotations

from edgevid.benchmarks.harness.figures import latencies
from edgevid.benchmarks.harness.recording import Job, Recording
from edgevid.benchmarks.harness.results import Figure
from edgevid.benchmarks.harness.scenarios.closed import measure_rounds


def run(job: Job, recording: Recording) -> None:
    """Measure."""
    measure_rounds(job, recording, clips=1)


def figures(job: Job, recording: Recording) -> dict[str, Figure]:
    """MLPerf's metric first."""
    return latencies(recording, job.settings.percentile, first="p90")
