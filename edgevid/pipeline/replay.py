"""The decision part of a run once more, from its trace: no frames, no model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgevid.events import EventRules
from edgevid.pipeline.decisions import Decider, Scored
from edgevid.pipeline.event_tracker import EventTracker
from edgevid.smoothing import SmootherFactory
from edgevid.traces import Trace
from edgevid.traces.trace import TIMINGS
from edgevid.types import Event, Prediction, StageTimings


def replay(
    trace: Trace,
    new_smoother: SmootherFactory | None = None,
    events: EventRules | None = None,
) -> Iterator[Prediction | Event]:
    """Predictions and events, as the run that left the trace would have given them.

    Timings are those of the run. A source ends with its last window in the trace.

    Args:
        trace: From `read_trace`.
        new_smoother: Makes the smoother of one source; None: scores stay as they are.
        events: When events begin and end; None: there are none.
    """
    labels = trace.info.labels
    tracker = EventTracker(labels, events)
    deciders: dict[str, Decider] = {}
    last_row = {trace.sources[s]: int(trace.rows_of(trace.sources[s])[-1]) for s in _played(trace)}
    for row, window in enumerate(windows(trace)):
        source = window.source_id
        if source not in deciders:
            deciders[source] = Decider(labels, new_smoother() if new_smoother else None)
        decided = deciders[source].take(window)
        if row == last_row[source]:
            decided += deciders[source].finish()
        for prediction in decided:
            yield prediction
            yield from tracker.predicted(prediction)
        if row == last_row[source]:
            yield from tracker.ended(source)


def windows(trace: Trace) -> Iterator[Scored]:
    """The windows of a trace, in its order."""
    columns = trace.columns
    timings = np.stack([columns[name] for name in TIMINGS], axis=1).tolist()
    plain = (
        "source", "index", "start_s", "end_s", "gap", "restart", "padded", "blank", "from_capture",
    )  # fmt: skip
    rows = zip(*(columns[name].tolist() for name in plain), trace.scores, timings, strict=True)
    for source, index, start_s, end_s, gap, restart, padded, blank, taken, scores, times in rows:
        yield Scored(
            source_id=trace.sources[source],
            index=index,
            start_s=start_s,
            end_s=end_s,
            scores=scores,
            gap=gap,
            restart=restart,
            padded=padded,
            blank=blank,
            latency_from="capture" if taken else "arrival",
            timings=StageTimings(*times),
        )


def _played(trace: Trace) -> list[int]:
    return [int(source) for source in np.unique(trace.columns["source"])]
