"""`edgevid tune`: the model once, then many settings on its scores."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevid.api import is_multi_label, load
from edgevid.errors import SpecError
from edgevid.evaluation import labels_at
from edgevid.manifest import TRANSITIONS_NAME, Bundle, Decision
from edgevid.pipeline import SamplingOptions
from edgevid.smoothing import SmootherFactory, parse_smoother
from edgevid.smoothing.transitions import learn_transitions, write_transitions
from edgevid.traces import read_trace
from edgevid.tuning import candidates
from edgevid.tuning.search import Progress, Tried, choose, front, try_events, try_smoothers
from edgevid.tuning.videos import ScoredVideo, play_videos, videos_of_trace
from edgevid.validation.annotations import Annotations, Classes, read_annotations

_EVENTS_AFTER = 4
"""Smoothers of the front that rules of events are tried after."""

_PSEUDO_WINDOWS = 1.0


@dataclass(frozen=True)
class Tuning:
    """What was tried, and what is worth having.

    Attributes:
        videos: With their scores.
        labels: Labels over time, for each smoother; the first is `none`.
        events: Events, for each rule after each of a few smoothers.
        choice: The smoother that suits; its rule of events is in `event_choice`.
        event_choice: The rule that suits after that smoother; None: none was tried.
        transitions: Content of the file that learned transitions are kept in.
        seconds: Spent on trying.
        background: The class that means that nothing happens.
        problems: Why videos were left out.
    """

    bundle: Bundle
    videos: tuple[ScoredVideo, ...]
    labels: tuple[Tried, ...]
    events: tuple[Tried, ...]
    choice: Tried
    event_choice: Tried | None
    transitions: bytes
    seconds: float
    background: int | None
    problems: tuple[str, ...] = ()

    @property
    def raw(self) -> Tried:
        return self.labels[0]

    @property
    def settings(self) -> int:
        """How many settings were tried."""
        return len(self.labels) + len(self.events)

    def factory(self, smooth: str) -> SmootherFactory:
        """What makes that smoother, learned transitions at hand."""
        return _factories([smooth], self.bundle, self.transitions)[0][1]

    def write(self) -> Decision:
        """Put the choice into the bundle, which `run` then follows.

        Raises:
            OutputError: The bundle cannot be written.
        """
        figures = self.choice.figures
        decision = Decision(
            smooth=self.choice.smooth,
            events=() if self.event_choice is None else (str(self.event_choice.events),),
            tuned_on=(
                f"{len(self.videos)} video(s), {figures.duration_s:.0f} s: accuracy "
                f"{self.choice.accuracy:.3f} (raw {self.raw.accuracy:.3f}), {figures.switches} "
                f"switches (truth {figures.true_switches}), mean delay {self.choice.delay_s:.2f} s"
            ),
        )
        needed = TRANSITIONS_NAME in self.choice.smooth
        self.bundle.set_decision(decision, self.transitions if needed else None)
        return decision


def tune(
    bundle: Bundle | str | os.PathLike[str],
    truth: str | os.PathLike[str],
    *,
    trace: str | os.PathLike[str] | None = None,
    extra: Sequence[str] = (),
    with_events: bool = True,
    max_delay_s: float | None = None,
    options: SamplingOptions | None = None,
    background: str | None = None,
    skip_unknown: bool = False,
    video: str | None = None,
    engine: str = "auto",
    threads: int | None = None,
    watch_model: Progress = lambda *_: None,
    watch_settings: Progress = lambda *_: None,
    notify: Callable[[str], None] = lambda _: None,
) -> Tuning:
    """Try smoothers and rules of events on annotated streams.

    Args:
        bundle: From `edgevid.load`, or its path.
        truth: Labels over time, CSV or JSON, as for `edgevid.evaluate`.
        trace: Take the scores from there; None: run the model.
        extra: Smoothers to try besides.
        with_events: Try rules of events too.
        max_delay_s: Choose none with a longer mean delay.
        options: Hop and window, where the model is run.
        background: The label that means that nothing happens; need not be the model's.
        skip_unknown: Leave labels out that the model does not have.
        video: For JSON that does not name its video.
        watch_model, watch_settings: Called with what is done, and of how much.

    Raises:
        EdgevidError: A file, a smoother or the truth cannot be used, or a video not be read.
    """
    checked = bundle if isinstance(bundle, Bundle) else load(bundle)
    classes = Classes(checked.labels, skip_unknown, background)
    annotations = _annotations(Path(truth), classes, video, trace)
    specs = [*candidates.smoothers(is_multi_label(checked.manifest)), *extra]
    _factories(specs, checked, None)
    problems: list[str] = []
    if trace is not None:
        videos = _kept(checked, annotations, trace)
    else:
        videos, problems = play_videos(
            checked,
            annotations.videos,
            options or SamplingOptions(),
            engine,
            threads,
            watch_model,
            notify,
        )
    _require_truth(videos)
    transitions = _learned(videos, checked.labels)
    if not is_multi_label(checked.manifest):
        specs += [f"hmm:file={TRANSITIONS_NAME}", f"hmm:file={TRANSITIONS_NAME},weight=0.1,lag=3s"]
    number = checked.labels.index(background) if background in checked.labels else None

    started = time.perf_counter()
    factories = _factories(specs, checked, transitions)
    labels = try_smoothers(videos, factories, number, watch_settings)
    choice = choose(labels, labels[0], max_delay_s)
    events: list[Tried] = []
    if with_events:
        best = list(dict.fromkeys([choice.smooth, *(t.smooth for t in front(labels))]))
        some = [f for f in factories if f[0] in best[:_EVENTS_AFTER]]
        events = try_events(videos, some, candidates.event_rules(), number, watch_settings)
    after = [t for t in events if t.smooth == choice.smooth]
    return Tuning(
        bundle=checked,
        videos=tuple(videos),
        labels=tuple(labels),
        events=tuple(events),
        choice=choice,
        event_choice=_best_events(after, max_delay_s),
        transitions=transitions,
        seconds=time.perf_counter() - started,
        background=number,
        problems=tuple(problems),
    )


def _annotations(
    path: Path, classes: Classes, video: str | None, trace: str | os.PathLike[str] | None
) -> Annotations:
    if trace is not None and video is None and path.suffix.lower() == ".json":
        # The trace says which video it is of.
        sources = read_trace(trace).sources
        video = sources[0] if len(sources) == 1 else None
    return read_annotations(path, classes, task="segments", video=video)


def _kept(
    bundle: Bundle, annotations: Annotations, trace: str | os.PathLike[str]
) -> list[ScoredVideo]:
    kept = read_trace(trace)
    if kept.info.labels != bundle.labels:
        raise SpecError(
            f"{trace} is of a model with other labels ({len(kept.info.labels)}, the bundle has "
            f"{len(bundle.labels)})",
            "Write it again with this bundle: edgevid run BUNDLE --trace FILE",
        )
    return videos_of_trace(kept, annotations.videos)


def _require_truth(videos: Sequence[ScoredVideo]) -> None:
    if not any(v.truth for v in videos):
        raise SpecError("no true segment lies within the videos", "Check the times of the truth")


def _learned(videos: Sequence[ScoredVideo], labels: Sequence[str]) -> bytes:
    """Transitions between the true labels of windows; the file's content."""
    streams = [labels_at(v.truth, v.ends_s) for v in videos]
    return write_transitions(learn_transitions(streams, len(labels), _PSEUDO_WINDOWS), labels)


def _factories(
    specs: Sequence[str], bundle: Bundle, transitions: bytes | None
) -> list[tuple[str, SmootherFactory]]:
    """Each smoother with what makes it; all are checked before anything long begins."""
    with tempfile.TemporaryDirectory() as folder:
        if transitions is not None:
            Path(folder, TRANSITIONS_NAME).write_bytes(transitions)
        return [
            (
                spec,
                parse_smoother(
                    spec,
                    labels=bundle.labels,
                    multi_label=is_multi_label(bundle.manifest),
                    folder=Path(folder) if TRANSITIONS_NAME in spec else None,
                ),
            )
            for spec in specs
        ]


def _best_events(tried: Sequence[Tried], max_delay_s: float | None) -> Tried | None:
    """The rule whose events agree best with the truth: F1@50, then flicker, then delay."""
    if not tried:
        return None
    fast = [t for t in tried if max_delay_s is None or t.delay_s <= max_delay_s] or tried
    return max(
        fast,
        key=lambda t: (round(t.figures.f1[0.5], 3), -t.flicker, round(t.accuracy, 3), -t.delay_s),
    )


def table_rows(tuning: Tuning) -> list[Tried]:
    """The Pareto front, the choice first, then some of each kind to compare with."""
    worth = front(tuning.labels)
    rows = [tuning.choice, *(t for t in worth if t is not tuning.choice)]
    named = {t.smooth for t in rows}
    compared = (t for t in tuning.labels if t.smooth in candidates.COMPARED)
    return rows + [t for t in compared if t.smooth not in named]
