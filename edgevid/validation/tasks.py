"""The two tasks: clips with one answer each, and labels over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edgevid.errors import SourceError
from edgevid.evaluation import BACKGROUND, Segment, judge
from edgevid.manifest import Bundle
from edgevid.pipeline import SamplingOptions
from edgevid.protocols import Engine
from edgevid.validation.annotations import Annotations, LabelledClip
from edgevid.validation.clips import ClipScores, score_clips
from edgevid.validation.figures import clip_results
from edgevid.validation.results import (
    ClipResults,
    Problem,
    Protocol,
    SegmentResults,
    Span,
    VideoResult,
)
from edgevid.validation.streams import StreamAnswers, play
from edgevid.validation.views import Views

Progress = Callable[[float, int], None]
"""Called with how many clips or videos are done (a video may be done in part), and of how many."""


@dataclass
class Found:
    """What one task found."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    clips: ClipResults | None = None
    segments: SegmentResults | None = None

    def require(self, answered: Sequence[object]) -> None:
        """Raise SourceError where nothing was evaluated."""
        if not answered:
            reason = self.problems[0].reason
            if len(self.problems) > 1:
                reason = f"none of the {len(self.problems)} videos could be evaluated: {reason}"
            raise SourceError(reason, "Check the paths in the manifest, or say --root FOLDER")

    def note(self, count: int, text: str) -> None:
        """Remark something that happened `count` times."""
        if count:
            self.notes.append(f"{text}: {count}")


def run_clips(
    bundle: Bundle,
    annotations: Annotations,
    views: Views,
    batch: int,
    engine: Engine,
    progress: Progress,
) -> Found:
    """Answer every clip, up to `batch` views in one call of the graph.

    Raises:
        SourceError: None of them could be answered.
    """
    found = Found()
    answered: list[tuple[LabelledClip, ClipScores]] = []
    clips = annotations.clips
    scored = score_clips(bundle, [c.listed for c in clips], views, engine, batch)
    for number, (clip, answer) in enumerate(zip(clips, scored, strict=True), 1):
        if isinstance(answer, SourceError):
            found.problems.append(Problem(video=clip.listed.uri, reason=str(answer)))
        else:
            answered.append((clip, answer))
        progress(number, len(clips))
    found.require(answered)
    answers = [answer for _, answer in answered]
    multi_label = bundle.manifest.outputs[0].kind == "sigmoid"
    found.clips = clip_results([c for c, _ in answered], answers, bundle.labels, multi_label)
    short = sum(a.padded > 0 for a in answers)
    found.note(short, "clips shorter than a window, whose last frame is repeated")
    found.note(sum(a.lost > 0 for a in answers), "clips of videos whose frames do not all decode")
    found.note(sum(a.dropped for a in answers), "scores that were NaN or infinite, left out")
    return found


def run_segments(
    bundle: Bundle,
    annotations: Annotations,
    protocol: Protocol,
    smooth: str | None,
    engine: Engine,
    progress: Progress,
) -> Found:
    """Play every video, smoothed as for `edgevid.stream`.

    Raises:
        SourceError: None of them could be played.
    """
    found = Found()
    played: list[StreamAnswers] = []
    total = len(annotations.videos)
    background = protocol.background
    class_ = _number(bundle, background)
    options = SamplingOptions(protocol.hop_s, protocol.window_s, protocol.frame_interval)
    for number, video in enumerate(annotations.videos):

        def watch(share: float, number: int = number) -> None:
            progress(number + share, total)

        try:
            played.append(play(bundle, video, engine, options, smooth, class_, watch))
        except SourceError as exc:
            found.problems.append(Problem(video=video.uri, reason=str(exc)))
        progress(number + 1, total)
    found.require(played)
    smoothed = protocol.smooth != "none"
    found.segments = SegmentResults(
        raw=judge([p.raw for p in played], class_ is not None),
        smoothed=judge([p.smoothed for p in played], class_ is not None) if smoothed else None,
        videos=tuple(_video_result(p, bundle.labels, background, smoothed) for p in played),
    )
    found.notes += dict.fromkeys(f"{p.raw.name}: {note}" for p in played for note in p.notes)
    found.note(sum(p.dropped for p in played), "windows whose scores were NaN or infinite")
    found.note(sum(p.beyond for p in played), "segments that begin after the end of their video")
    return found


def _number(bundle: Bundle, background: str | None) -> int | None:
    """The model's class that means that nothing happens."""
    known = background is not None and background in bundle.labels
    return bundle.labels.index(background) if known and background is not None else None


def _video_result(
    answers: StreamAnswers, labels: Sequence[str], background: str | None, smoothed: bool
) -> VideoResult:
    def spans(segments: Sequence[Segment]) -> tuple[Span, ...]:
        return tuple(
            Span(
                label=background if s.label == BACKGROUND else labels[s.label],
                start_s=s.start_s,
                end_s=s.end_s,
            )
            for s in segments
        )

    shown = answers.raw.shown
    return VideoResult(
        video=answers.raw.name,
        duration_s=shown.end_s - shown.start_s,
        windows=answers.windows,
        dropped=answers.dropped,
        truth=spans(answers.raw.truth),
        raw=spans(shown.segments),
        smoothed=spans(answers.smoothed.shown.segments) if smoothed else None,
    )
