"""`multi`: one clip of each of n streams, all at once, again and again.

MLPerf's MultiStream: a query holds a clip of every stream, and the next one is sent when the
one before was answered. Its metric is the 99th percentile of the latency (MLPerf Inference
Rules, section 3; until version 1.1 queries came at fixed times instead). n cameras whose
windows come every h seconds are served in time where that is below h.
"""

from __future__ import annotations

from edgevid.benchmarks.harness.figures import latencies, throughput
from edgevid.benchmarks.harness.recording import Job, Recording
from edgevid.benchmarks.harness.results import Figure
from edgevid.benchmarks.harness.scenarios.closed import measure_rounds


def run(job: Job, recording: Recording) -> None:
    """Measure."""
    measure_rounds(job, recording, clips=job.streams or 1)


def figures(job: Job, recording: Recording) -> dict[str, Figure]:
    """MLPerf's metric first."""
    return {
        **latencies(recording, job.settings.percentile, first="p99"),
        "clips_per_s": throughput(recording),
    }
