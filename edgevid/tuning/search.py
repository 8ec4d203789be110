"""Try settings on kept scores, and tell which of them are worth having."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgevid.evaluation import BACKGROUND, AnnotatedVideo, StreamFigures, judge
from edgevid.events import EventDetector, EventRule, EventRules
from edgevid.smoothing import SmootherFactory, as_delayed
from edgevid.tuning.videos import ScoredVideo
from edgevid.types import Array, Event, Float32Array

_MISSED_S = 1e6
"""Later than any segment that is seen."""

Progress = Callable[[float, int], None]


@dataclass(frozen=True)
class Tried:
    """A setting and what came of it.

    Attributes:
        smooth: The smoother.
        figures: How good the labels over time were.
        events: The rule of events; None: the smoothed labels themselves were judged.
    """

    smooth: str
    figures: StreamFigures
    events: EventRule | None = None

    @property
    def accuracy(self) -> float:
        return self.figures.frame_accuracy or 0.0

    @property
    def flicker(self) -> int:
        """Switches beyond those of the truth."""
        return max(self.figures.switches - self.figures.true_switches, 0)

    @property
    def delay_s(self) -> float:
        """Mean onset delay; infinite where no segment was seen."""
        delay = self.figures.onset_delay_s
        return float("inf") if delay is None else delay

    def beats(self, other: Tried) -> bool:
        """True where it is as good in all respects, and better in one."""
        mine, others = self._costs, other._costs
        return mine != others and all(m <= o for m, o in zip(mine, others, strict=True))

    @property
    def _costs(self) -> tuple[float, float, float]:
        # Rounded to what anybody would see. A segment that was missed has no delay; it must not
        # make the mean of the others look better.
        delay_s = round(self.delay_s, 3) + _MISSED_S * self.figures.missed
        return -round(self.accuracy, 4), self.flicker, delay_s


@dataclass(frozen=True)
class Smoothed:
    """A video after smoothing.

    Attributes:
        scores: `(n, C)` float32.
        lags_s: `(n,)`, how long after its end each window was decided.
    """

    video: ScoredVideo
    scores: Float32Array
    lags_s: Array


def smooth(video: ScoredVideo, new_smoother: SmootherFactory) -> Smoothed:
    """Pass a video through a fresh smoother, as `run` does."""
    smoother = as_delayed(new_smoother())
    answers: list[Float32Array] = []
    decided_s: list[float] = []
    times, restarts = video.ends_s.tolist(), video.restarts.tolist()
    now = times[0]
    for row, time_s, restart in zip(video.scores, times, restarts, strict=True):
        if restart:
            answers += [scores for scores, _ in smoother.flush()]
            decided_s += [now] * (len(answers) - len(decided_s))
        now = time_s
        answers += [scores for scores, _ in smoother.push(row, time_s)]
        decided_s += [now] * (len(answers) - len(decided_s))
    answers += [scores for scores, _ in smoother.flush()]
    decided_s += [now] * (len(answers) - len(decided_s))
    return Smoothed(video, np.stack(answers), np.array(decided_s) - video.ends_s)


def shown_labels(smoothed: Smoothed, background: int | None) -> AnnotatedVideo:
    """The best label of every window, against the truth."""
    labels = smoothed.scores.argmax(axis=1)
    if background is not None:
        labels = np.where(labels == background, BACKGROUND, labels)
    return smoothed.video.against(labels, smoothed.scores.max(axis=1), smoothed.lags_s)


def shown_events(smoothed: Smoothed, rules: EventRules, background: int | None) -> AnnotatedVideo:
    """The events of a video as labels over time: of several at once, the one that began last.

    A label is known when its event was told.
    """
    video = smoothed.video
    labels = np.full(len(video.ends_s), BACKGROUND)
    scores, lags_s = np.zeros(len(labels)), smoothed.lags_s.copy()
    told_s: dict[int, float] = {}
    for event in detect(smoothed, rules):
        if event.end_s is None:
            told_s[event.index] = event.decided_s
            continue
        inside = (video.ends_s >= event.start_s) & (video.ends_s < event.end_s)
        label = int(event.label)
        labels[inside] = BACKGROUND if label == background else label
        scores[inside] = event.mean_score
        lags_s[inside] = np.maximum(lags_s[inside], told_s[event.index] - video.ends_s[inside])
    return video.against(labels, scores, lags_s)


def detect(smoothed: Smoothed, rules: EventRules) -> list[Event]:
    """The events of a video, in the order in which they are told; labels are class numbers."""
    video = smoothed.video
    names = [str(i) for i in range(smoothed.scores.shape[1])]
    detector = EventDetector(video.name, names, rules)
    events: list[Event] = []
    times, lags = video.ends_s.tolist(), smoothed.lags_s.tolist()
    for i, (row, time_s, lag_s) in enumerate(zip(smoothed.scores, times, lags, strict=True)):
        if video.restarts[i]:
            events += detector.finish("gap")
        events += detector.update(row, time_s, time_s + lag_s)
    return events + detector.finish()


def try_smoothers(
    videos: Sequence[ScoredVideo],
    smoothers: Sequence[tuple[str, SmootherFactory]],
    background: int | None = None,
    progress: Progress = lambda *_: None,
) -> list[Tried]:
    """Judge every smoother on all videos.

    Args:
        background: The class that means that nothing happens; None: the model has none, and
            time without annotation does not count.
    """
    tried = []
    for number, (text, factory) in enumerate(smoothers, 1):
        shown = [shown_labels(smooth(v, factory), background) for v in videos]
        tried.append(Tried(text, judge(shown, background is not None)))
        progress(number, len(smoothers))
    return tried


def try_events(
    videos: Sequence[ScoredVideo],
    smoothers: Sequence[tuple[str, SmootherFactory]],
    rules: Sequence[EventRule],
    background: int | None = None,
    progress: Progress = lambda *_: None,
) -> list[Tried]:
    """Judge every rule of events after every smoother; time without annotation counts."""
    tried = []
    for number, (text, factory) in enumerate(smoothers):
        smoothed = [smooth(v, factory) for v in videos]
        for rule in rules:
            each = EventRules([rule] * smoothed[0].scores.shape[1])
            shown = [shown_events(s, each, background) for s in smoothed]
            tried.append(Tried(text, judge(shown, True), rule))
            progress(number + len(tried) % len(rules) / len(rules), len(smoothers))
    return tried


def front(tried: Sequence[Tried]) -> list[Tried]:
    """The Pareto front of accuracy, flicker and delay: what nothing else beats.

    Of settings with equal figures the first. The most accurate first.
    """
    kept: list[Tried] = []
    for one in tried:
        if any(k.beats(one) or k._costs == one._costs for k in kept):
            continue
        kept = [k for k in kept if not one.beats(k)] + [one]
    return sorted(kept, key=lambda t: (-t.accuracy, t.flicker, t.delay_s))


def choose(tried: Sequence[Tried], raw: Tried, max_delay_s: float | None = None) -> Tried:
    """The steadiest setting that is at least as accurate as the raw labels.

    Of equally steady ones the most accurate to a tenth of a percent, then the fastest, then
    the one that was tried first. Where none is as accurate as `raw`, the most accurate.

    Args:
        max_delay_s: Leave out settings with a longer mean delay, if others are left.
    """
    fast = [t for t in tried if max_delay_s is None or t.delay_s <= max_delay_s] or list(tried)
    good = [
        t for t in fast if t.accuracy >= raw.accuracy and t.figures.missed <= raw.figures.missed
    ]
    if not good:
        return max(fast, key=lambda t: t.accuracy)
    return min(good, key=lambda t: (t.flicker, -round(t.accuracy, 3), round(t.delay_s, 2)))
