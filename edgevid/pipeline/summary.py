"""What a run did: counted as it goes, constant in memory, shown at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from edgevid.metrics import LatencyHistogram
from edgevid.pipeline.label_spans import LabelSpan, LabelSpans
from edgevid.pipeline.messages import Result, SourceEnded, SourceStarted
from edgevid.types import Event, Outage, Prediction, StageTimings

_STAGES = ("capture", "preprocess", "queue", "infer", "post", "total")
_TIMINGS_AT_ONCE = 256


@dataclass
class SourceSummary:
    """Counts of one source. `frames_read = frames_used + frames_skipped + frames_dropped`.

    Attributes:
        frames_read: Frames decoded, or left out undecoded as no window asks for them.
        frames_used: Frames that reached a window.
        frames_skipped: Frames that the contract does not ask for, or that were read ahead when
            the run was stopped.
        frames_dropped: Frames of a live source that the contract asks for, and that the engine
            was too slow for.
        frames_lost: Frames that the file claims and that did not decode.
        clips: Windows answered.
        clips_dropped: Windows of a live source that newer ones replaced.
        clips_refused: Windows that miss frames and were left out (`strict_time`).
        clips_with_gap: Answered windows that miss frames the contract asks for.
        clips_blank: Answered windows in which every frame is of one colour.
        clips_not_finite: Windows whose scores were NaN or infinite: they have no answer.
        events: Events that have ended.
        outages: How often a live source was lost.
        away_s: Seconds that it was away, the outage at the end not counted.
    """

    source: str
    description: str = ""
    frames_read: int = 0
    frames_used: int = 0
    frames_skipped: int = 0
    frames_dropped: int = 0
    frames_lost: int = 0
    clips: int = 0
    clips_dropped: int = 0
    clips_refused: int = 0
    clips_with_gap: int = 0
    clips_blank: int = 0
    clips_not_finite: int = 0
    events: int = 0
    outages: int = 0
    away_s: float = 0.0
    notes: list[str] = field(default_factory=list)
    error: str | None = None

    def __post_init__(self) -> None:
        self._spans = LabelSpans()

    @property
    def timeline(self) -> list[LabelSpan]:
        """Smoothed labels over time, at most the last 1000 changes."""
        return self._spans.spans()

    @property
    def label_changes(self) -> int:
        """How often the smoothed label changed."""
        return self._spans.changes

    def add_label(self, prediction: Prediction) -> None:
        self._spans.add(prediction.label, prediction.start_s, prediction.end_s)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists."""
        timeline = [asdict(span) for span in self.timeline]
        return {**asdict(self), "label_changes": self.label_changes, "timeline": timeline}


@dataclass(frozen=True)
class SourceProgress:
    """Counts of one source while it plays, as in `SourceSummary`.

    Attributes:
        name: Of the source.
        waiting: Samples between its capture thread and the engine.
    """

    name: str
    frames_read: int
    frames_used: int
    frames_skipped: int
    frames_dropped: int
    frames_lost: int
    clips_dropped: int
    clips_refused: int
    waiting: int = 0

    def __add__(self, other: SourceProgress) -> SourceProgress:
        """Both together, for two lives of one source."""
        counts = (field.name for field in fields(self) if field.name != "name")
        return SourceProgress(
            self.name, *(getattr(self, count) + getattr(other, count) for count in counts)
        )

    @classmethod
    def of(cls, message: SourceEnded, waiting: int = 0) -> SourceProgress:
        """From what would be said if the source ended now."""
        fates = message.fates
        return cls(
            name=message.source_id,
            frames_read=message.stats.frames_read,
            frames_used=fates.frames_used,
            # What waits is none of these yet.
            frames_skipped=message.stats.frames_read - message.frames_sampled,
            frames_dropped=fates.frames_dropped,
            frames_lost=message.stats.frames_lost,
            clips_dropped=fates.clips_dropped,
            clips_refused=fates.clips_refused,
            waiting=waiting,
        )


class Summary:
    """Collects figures from the messages of a run.

    Args:
        clock: Seconds, monotonic; replaced in tests.

    Attributes:
        engine: Its name.
        undelivered: Results that outputs did not get, by the output's name; set by who feeds them.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._started = clock()
        self._elapsed: float | None = None
        self.engine = ""
        self.undelivered: dict[str, int] = {}
        self.sources: list[SourceSummary] = []
        self._current: dict[str, SourceSummary] = {}
        self._stages = {stage: LatencyHistogram() for stage in _STAGES}
        self._timings: list[StageTimings] = []

    def note(self, result: Result) -> None:
        """Take in one result of the run, in the order in which the caller gets them."""
        if isinstance(result, Prediction):
            self.predicted(result)
        elif isinstance(result, SourceStarted):
            self.source_started(result)
        elif isinstance(result, SourceEnded):
            self.source_ended(result)
        elif isinstance(result, Outage):
            self.outage(result)
        elif isinstance(result, Event) and result.end_s is not None:
            self._current[result.source_id].events += 1

    def source_started(self, message: SourceStarted) -> None:
        entry = self._entry(message.source_id)
        entry.description = message.info.description
        entry.notes.extend(message.notes)

    def _entry(self, source_id: str) -> SourceSummary:
        """Of a source that plays, or is waited for."""
        if source_id not in self._current:
            self._current[source_id] = SourceSummary(source_id)
            self.sources.append(self._current[source_id])
        return self._current[source_id]

    def predicted(self, prediction: Prediction) -> None:
        entry = self._current[prediction.source_id]
        entry.clips += 1
        entry.clips_with_gap += prediction.gap
        entry.clips_blank += prediction.blank
        if prediction.padded:
            entry.notes.append(
                f"shorter than a window: its last frame is repeated {prediction.padded} times"
            )
        entry.add_label(prediction)
        self._timings.append(prediction.timings)
        if len(self._timings) >= _TIMINGS_AT_ONCE:
            self._count_timings()

    def _count_timings(self) -> None:
        for stage, histogram in self._stages.items():
            histogram.add([getattr(timings, f"{stage}_ms") for timings in self._timings])
        self._timings.clear()

    def outage(self, outage: Outage) -> None:
        """Count a loss when it begins, its length when it ends."""
        entry = self._entry(outage.source_id)
        if outage.is_loss:
            entry.outages += 1
        elif outage.lasted_s is not None:
            entry.away_s += outage.lasted_s

    def is_open(self, source_id: str) -> bool:
        """True between a source's start and its end."""
        return source_id in self._current

    def source_ended(self, message: SourceEnded) -> None:
        entry = self._current.pop(message.source_id, None)
        if entry is None:
            entry = SourceSummary(message.source_id)
            self.sources.append(entry)
        stats = message.stats
        entry.frames_read = stats.frames_read
        entry.frames_lost = stats.frames_lost
        fates = message.fates
        entry.frames_used = fates.frames_used
        entry.frames_skipped = message.frames_skipped
        entry.frames_dropped = fates.frames_dropped
        entry.clips_dropped = fates.clips_dropped
        entry.clips_refused = fates.clips_refused
        entry.clips_not_finite = fates.clips_not_finite
        entry.notes.extend(stats.notes)
        if fates.states_broken:
            entry.notes.append(
                f"the model's states were NaN or infinite {fates.states_broken} time(s): each "
                "time they began anew, and that window has no answer"
            )
        entry.error = str(message.error) if message.error else None

    def finish(self) -> None:
        """Stop the clock."""
        if self._elapsed is None:
            self._elapsed = self._clock() - self._started

    @property
    def elapsed_s(self) -> float:
        return self._elapsed if self._elapsed is not None else self._clock() - self._started

    def total(self, count: str) -> int:
        """Sum over the sources of one of their counts, such as "frames_read"."""
        return sum(getattr(s, count) for s in self.sources)

    def to_dict(self) -> dict[str, Any]:
        """For `--summary`: plain numbers and strings; times in seconds and milliseconds."""
        self._count_timings()
        elapsed = self.elapsed_s
        rate = 1.0 / elapsed if elapsed > 0 else 0.0
        counts = ("read", "used", "skipped", "dropped", "lost")
        return {
            "schema": 1,
            "engine": self.engine,
            "elapsed_s": round(elapsed, 3),
            **{f"frames_{c}": self.total(f"frames_{c}") for c in counts},
            "clips": self.total("clips"),
            "clips_dropped": self.total("clips_dropped"),
            "clips_refused": self.total("clips_refused"),
            "clips_with_gap": self.total("clips_with_gap"),
            "clips_blank": self.total("clips_blank"),
            "clips_not_finite": self.total("clips_not_finite"),
            "events": self.total("events"),
            "undelivered": self.undelivered,
            "fps": round(self.total("frames_read") * rate, 2),
            "clips_per_s": round(self.total("clips") * rate, 2),
            "stages_ms": {name: _percentiles(h) for name, h in self._stages.items()},
            "sources": [s.to_dict() for s in self.sources],
        }


def _percentiles(histogram: LatencyHistogram) -> dict[str, float]:
    return {
        "mean": round(histogram.mean_ms, 3),
        "p50": round(histogram.percentile(50), 3),
        "p90": round(histogram.percentile(90), 3),
        "p99": round(histogram.percentile(99), 3),
        "max": round(histogram.max_ms, 3),
    }
