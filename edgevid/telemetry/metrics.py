"""The figures of a running stream, for Prometheus and for health checks.

Names follow Prometheus' own advice (prometheus.io/docs/practices/naming): seconds, `_total`.
Counts of frames are read off the stream when somebody asks; only what comes with a prediction
is counted as it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from edgevid.errors import MissingDependencyError
from edgevid.pipeline import Result, Stream
from edgevid.telemetry.device import DeviceMetrics
from edgevid.telemetry.health import Health
from edgevid.types import Outage, Prediction

_STAGES = ("capture", "preprocess", "queue", "infer", "post", "total")
_BUCKETS_S = (1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_FATES = ("read", "used", "skipped", "dropped", "lost")


class RunMetrics:
    """Counts what a stream does.

    Args:
        stream: The stream.
        undelivered: What did not reach a sink so far, by the sink's name.
        health: Of the stream, told by the caller of every result.

    Raises:
        MissingDependencyError: The extra `metrics` is not installed.
    """

    def __init__(
        self,
        stream: Stream,
        undelivered: Callable[[], dict[str, int]] = dict,
        health: Health | None = None,
    ) -> None:
        prometheus = _prometheus()
        self._families = prometheus.core
        self._stream = stream
        self._undelivered = undelivered
        self.health = health or Health()
        self.registry = prometheus.CollectorRegistry()
        self._labels = prometheus.Counter(
            "edgevid_predictions", "Windows answered, by label.", ["source", "label"],
            registry=self.registry,
        )  # fmt: skip
        self._blank = prometheus.Counter(
            "edgevid_blank_windows", "Answered windows of one colour: nothing was seen in them.",
            ["source"], registry=self.registry,
        )  # fmt: skip
        self._stage_s = prometheus.Histogram(
            "edgevid_stage_seconds", "Where the time of a prediction went; total is from the "
            "newest frame's arrival (or capture, where known) to its label.", ["stage"],
            buckets=_BUCKETS_S, registry=self.registry,
        )  # fmt: skip
        self._outages = prometheus.Counter(
            "edgevid_outages", "How often a live source was lost.", ["source"],
            registry=self.registry,
        )  # fmt: skip
        self._away_s = prometheus.Counter(
            "edgevid_outage_seconds", "How long it was away, ended outages only.", ["source"],
            registry=self.registry,
        )  # fmt: skip
        self.registry.register(self)
        self.registry.register(DeviceMetrics(prometheus.core))

    def note(self, result: Result) -> None:
        """Take in one result."""
        if isinstance(result, Prediction):
            self._labels.labels(result.source_id, result.label).inc()
            self._blank.labels(result.source_id).inc(result.blank)
            for stage in _STAGES:
                seconds = getattr(result.timings, f"{stage}_ms") / 1e3
                self._stage_s.labels(stage).observe(seconds)
        elif isinstance(result, Outage):
            if result.is_loss:
                self._outages.labels(result.source_id).inc()
            elif result.lasted_s is not None:
                self._away_s.labels(result.source_id).inc(result.lasted_s)

    def collect(self) -> Iterator[Any]:
        """What is read off when it is asked for: `prometheus_client`'s collector protocol."""
        counter, gauge = self._families.CounterMetricFamily, self._families.GaugeMetricFamily
        frames = counter(
            "edgevid_frames", "Frames by what became of them.", labels=("source", "fate")
        )
        dropped = counter(
            "edgevid_windows_dropped", "Windows without an answer.", labels=("source", "reason")
        )
        waiting = gauge("edgevid_queue_depth", "Samples that wait.", labels=("source",))
        for source in self._stream.progress():
            for fate in _FATES:
                frames.add_metric((source.name, fate), getattr(source, f"frames_{fate}"))
            dropped.add_metric((source.name, "late"), source.clips_dropped)
            dropped.add_metric((source.name, "gap"), source.clips_refused)
            waiting.add_metric((source.name,), source.waiting)
        yield from (frames, dropped, waiting)
        age = gauge("edgevid_last_label_age_seconds", "Since the last answer.", labels=("source",))
        away = gauge("edgevid_source_away", "1 while a live source is lost.", labels=("source",))
        for name, facts in self.health.report()["sources"].items():
            away.add_metric((name,), float(facts["away"]))
            if facts["last_label_age_s"] is not None:
                age.add_metric((name,), facts["last_label_age_s"])
        yield from (age, away)
        undelivered = counter(
            "edgevid_undelivered", "Results that a sink did not get.", labels=("sink",)
        )
        for sink, count in self._undelivered().items():
            undelivered.add_metric((sink,), count)
        yield undelivered


def _prometheus() -> Any:
    try:
        import prometheus_client
        import prometheus_client.core
    except ImportError:
        raise MissingDependencyError("prometheus_client", "metrics", "--metrics") from None
    return prometheus_client
