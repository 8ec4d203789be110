"""What rounding does to states in the long run: whole videos, judged step by step.

The gate's clips of a model with states are short, from zero states, and count by their last
step. An error that a state gathers, or a set with too few clips, does not show in them; it does
where every step of a long run counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgevid.convert.quantize.clipset import ClipSet, draw_listed
from edgevid.convert.quantize.gate import (
    Gate,
    Progress,
    Scores,
    Verdict,
    evaluate,
    open_session,
    silent,
)
from edgevid.sources.clip_list import ListedClip
from edgevid.spec import ClipSpec, InputSpec
from edgevid.video_reader import VideoReader

if TYPE_CHECKING:
    from onnx import ModelProto

MAX_RUNS = 4
"""Videos that are run through: the longest of those that the gate judges on."""

MAX_STEPS = 512
MAX_BYTES = 64 * 2**20
"""Of the frames of one run, which are held at once."""


@dataclass(frozen=True)
class LongRuns:
    """Runs through whole videos, and what the reference says at every step of them.

    Attributes:
        runs: One set of one clip for each video.
        expected: Of the reference, a row for every step.
    """

    runs: tuple[ClipSet, ...]
    expected: Scores

    def confirm(
        self, verdict: Verdict, graph: ModelProto, gate: Gate, progress: Progress = silent
    ) -> Verdict:
        """A verdict that passed, judged on the long runs too; one that failed as it is.

        Args:
            verdict: Of the gate, on short clips.
            graph: What it is about.
            gate: Says what is good enough; a step counts as a clip does.
            progress: Called after every run.

        Raises:
            ConversionError: The graph fails on a run, or a score is NaN or infinite.
        """
        if not verdict.passed:
            return verdict
        found = _evaluate(graph, self.runs, progress)
        comparison = self.expected.compare(found)
        judged = gate.check(comparison)
        videos = "1 video" if len(self.runs) == 1 else f"{len(self.runs)} videos"
        reason = (
            f"{verdict.reason}; in long runs of {videos}, from zero states, "
            f"{100 * comparison.top1_agreement:.4g} % of {comparison.clips} steps keep their answer"
        )
        if judged.passed:
            return verdict.model_copy(update={"reason": reason})
        return Verdict(
            passed=False,
            reason=f"{reason}: too few",
            measured=comparison.top1_agreement,
            limit=judged.limit,
            criterion="long runs",
        )


def draw_long_runs(
    reference: ModelProto,
    clips: ClipSet,
    clip: ClipSpec,
    inputs: Sequence[InputSpec],
    progress: Progress = silent,
) -> LongRuns:
    """Runs through the longest of the videos that `clips` come from.

    Args:
        reference: The FP32 graph, with states.
        clips: That the gate judges on.
        clip: The contract.
        inputs: The model's inputs.
        progress: Called after every run of the reference.

    Raises:
        ConversionError: As `evaluate`.
        OutputError: There is no room for the pixels.
    """
    step_bytes = sum(a.nbytes // len(a) for a in clips[0].feeds.values())
    most = max(min(MAX_STEPS, MAX_BYTES // step_bytes), 1)
    reader = VideoReader(clip, inputs, lambda *_: None)
    lengths = [(listed, _steps(reader, listed, clip)) for listed in clips.videos]
    lengths.sort(key=lambda pair: -pair[1])
    runs = tuple(
        draw_listed([listed], clip, inputs, 1, steps=min(length, most))
        for listed, length in lengths[:MAX_RUNS]
    )
    return LongRuns(runs, _evaluate(reference, runs, progress))


def _steps(reader: VideoReader, listed: ListedClip, clip: ClipSpec) -> int:
    """How many windows in a row a video holds, by its header."""
    timeline, _ = reader.estimate(listed)
    longest = max(map(len, timeline.runs), default=0)
    return max(longest // clip.num_frames, 1)


def _evaluate(graph: ModelProto, runs: Sequence[ClipSet], progress: Progress) -> Scores:
    session = open_session(graph)
    found = []
    for number, run in enumerate(runs, 1):
        found.append(evaluate(session, run, every_step=True))
        progress(number, len(runs), "Long runs")
    logits = [scores.logits for scores in found if scores.logits is not None]
    return Scores(
        np.concatenate([scores.values for scores in found]),
        np.concatenate(logits) if len(logits) == len(found) else None,
        (),
    )
