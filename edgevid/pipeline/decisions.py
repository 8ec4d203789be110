"""From scores to predictions, for one stream: what `run` and `replay` share.

    Scored ──► smoother ──► label        one prediction for each window, in order

Nothing here depends on frames, and but for the timings nothing on the clock: the same scores
give the same labels again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import field

from edgevid.protocols import DelayedSmoother, Smoother, TimedScores
from edgevid.smoothing import Unsmoothed, as_delayed
from edgevid.types import Float32Array, LatencyFrom, Prediction, StageTimings, record


@record
class Scored:
    """A window and what the model said of it.

    Attributes:
        source_id, index, start_s, end_s, gap, padded, blank: As in `Prediction`.
        scores: `(C,)` float32, finite.
        restart: What came before no longer counts.
        timings: Where the time went.
        latency_from, since_ns: Where the newest frame's latency begins, and when that was.
        inferred_ns: `time.monotonic_ns()` of the engine's answer, where the timings do not yet
            say how long the decision took; else 0.
    """

    source_id: str
    index: int
    start_s: float
    end_s: float
    scores: Float32Array
    gap: bool = False
    restart: bool = False
    padded: int = 0
    timings: StageTimings = field(default_factory=StageTimings)
    latency_from: LatencyFrom = "arrival"
    since_ns: int = 0
    inferred_ns: int = 0
    blank: bool = False

    def timings_now(self) -> StageTimings:
        """The timings, up to this moment."""
        if not self.inferred_ns:
            return self.timings
        now = time.monotonic_ns()
        spent = self.timings
        return StageTimings(
            spent.capture_ms,
            spent.preprocess_ms,
            spent.queue_ms,
            spent.infer_ms,
            post_ms=(now - self.inferred_ns) / 1e6,
            total_ms=(now - self.since_ns) / 1e6,
        )


class Decider:
    """Smooths the scores of one stream and names the labels.

    Args:
        labels: One name per class.
        smoother: With no memory yet; None: scores stay as they are.
    """

    def __init__(
        self, labels: Sequence[str], smoother: Smoother | DelayedSmoother | None = None
    ) -> None:
        self._labels = tuple(labels)
        self._smoother = as_delayed(smoother or Unsmoothed())
        self._waiting: deque[Scored] = deque()
        self._now_s = 0.0

    def take(self, window: Scored) -> list[Prediction]:
        """The predictions that are decided by now; usually the one for this window.

        A smoother with a lag decides later, and then on a window before. A window that says
        `restart` first lets out all that waits.
        """
        decided = self.finish() if window.restart else []
        self._waiting.append(window)
        self._now_s = window.end_s
        return decided + self._answers(self._smoother.push(window.scores, window.end_s))

    def finish(self) -> list[Prediction]:
        """The predictions that still wait; the stream ends, and nothing is remembered."""
        return self._answers(self._smoother.flush())

    def _answers(self, ready: Sequence[TimedScores]) -> list[Prediction]:
        return [self._prediction(self._waiting.popleft(), smoothed) for smoothed, _ in ready]

    def _prediction(self, window: Scored, smoothed: Float32Array) -> Prediction:
        raw, best = int(window.scores.argmax()), int(smoothed.argmax())
        return Prediction(
            source_id=window.source_id,
            index=window.index,
            start_s=window.start_s,
            end_s=window.end_s,
            scores=window.scores,
            smoothed=smoothed,
            label=self._labels[best],
            score=smoothed.item(best),
            raw_label=self._labels[raw],
            raw_score=window.scores.item(raw),
            gap=window.gap,
            padded=window.padded,
            timings=window.timings_now(),
            restart=window.restart,
            lag_s=self._now_s - window.end_s,
            latency_from=window.latency_from,
            blank=window.blank,
        )


class Continuity:
    """Tells which windows of a stream continue what came before them.

    Args:
        max_hole_s: Windows that end farther apart than this do not belong together; None:
            any distance does.
    """

    def __init__(self, max_hole_s: float | None = None) -> None:
        self._max_hole_s = max_hole_s
        self._broken = False
        self._gap = False
        self._end_s: float | None = None

    def broken(self) -> None:
        """The source or the model began anew: the next window continues nothing."""
        self._broken = True

    def is_restart(self, end_s: float, gap: bool) -> bool:
        """True where the memory must be emptied before the window that ends at `end_s`.

        That is: after `broken`; at the first window with a gap (those after it hold the same
        gap, and continue); and where too many windows are missing before it.
        """
        step_s = 0.0 if self._end_s is None else end_s - self._end_s
        hole = self._max_hole_s is not None and step_s > self._max_hole_s
        new_gap = gap and not self._gap
        restart = self._end_s is not None and (self._broken or hole or new_gap)
        self._broken, self._gap, self._end_s = False, gap, end_s
        return restart
