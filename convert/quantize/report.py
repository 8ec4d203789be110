"""What quantising did and why the result was kept, as `report.json` holds it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import AwareDatetime, Field, model_validator

from edgevid.convert.quantize.gate import Scores, Verdict
from edgevid.convert.quantize.layer_times import LayerTime
from edgevid.convert.quantize.metrics import Comparison, is_multi_label
from edgevid.convert.quantize.ranges import Method
from edgevid.convert.quantize.search import Sensitivity, Trial
from edgevid.convert.quantize.speed import CandidatePrecision, Timing
from edgevid.spec import Strict
from edgevid.types import Array

if TYPE_CHECKING:
    from edgevid.convert.quantize.clipset import ClipSet

CONFUSION_CLASSES = 20
"""With more classes only the commonest changes are listed: a table would not be read."""

_FLIPS_LISTED = 20


class Run(Strict):
    """One call of `edgevid convert`.

    Attributes:
        started: Date and time, with the time zone.
        seconds: How long it took.
        command: As typed, quoted for a shell.
        environment: What it ran on, for people: name to value.
    """

    started: AwareDatetime
    seconds: float = Field(ge=0)
    command: str
    environment: dict[str, str]


class ClipsReport(Strict):
    """A set of clips.

    Attributes:
        clips: How many.
        videos: Names of the files that they were drawn from, without folders.
        labelled: Clips whose true class is known.
        seed: That they were drawn with.
        sha256: Of what was drawn.
        notes: What is odd about them.
    """

    clips: int = Field(ge=1)
    videos: tuple[str, ...]
    labelled: int = Field(ge=0)
    seed: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    notes: tuple[str, ...] = ()


class CandidateReport(Strict):
    """One graph that might have been kept.

    Attributes:
        name: For people, such as "INT8".
        precision: Of its weighted layers.
        megabytes: Size of its graph, in 10^6 bytes.
        verdict, comparison: Against FP32 on the clips of the evaluation; None for FP32 itself.
        differences: For each of these clips the largest difference of a score from FP32's.
        timing: None where it was not timed.
        note: Why it was not timed or not built; else empty.
    """

    name: str
    precision: CandidatePrecision
    megabytes: float = Field(ge=0)
    verdict: Verdict | None = None
    comparison: Comparison | None = None
    differences: tuple[float, ...] = ()
    timing: Timing | None = None
    note: str = ""

    @property
    def passed(self) -> bool:
        return self.verdict is None or self.verdict.passed


class GroupReport(Strict):
    """A layer that can be INT8, with the Q/DQ that it brings about.

    Attributes:
        name, op_type: Of its weighted node.
        in_float: It was kept in higher precision in the graph that was kept.
        sensitivity: What it does when it alone is INT8; None where that was not measured.
    """

    name: str
    op_type: str
    in_float: bool
    sensitivity: Sensitivity | None = None


class Change(Strict):
    """An answer that changed.

    Attributes:
        before: FP32's label.
        after: The candidate's label.
        clips: How many clips.
    """

    before: str
    after: str
    clips: int = Field(ge=1)


class Answers(Strict):
    """The kept candidate's answers against FP32's.

    Attributes:
        labels: The classes, in the order of `confusion`.
        confusion: `[i][j]`: clips that FP32 calls `labels[i]` and the candidate `labels[j]`;
            None with more than `CONFUSION_CLASSES` classes.
        changes: The commonest changes first, at most 20.
    """

    labels: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] | None = None
    changes: tuple[Change, ...] = ()

    @model_validator(mode="after")
    def _square(self) -> Answers:
        sizes = {len(row) for row in self.confusion or ()}
        if self.confusion is not None and (
            len(self.confusion) != len(self.labels) or sizes != {len(self.labels)}
        ):
            raise ValueError(f"confusion must be {len(self.labels)} by {len(self.labels)} counts")
        return self


class Quantisation(Strict):
    """Everything that quantising did.

    Attributes:
        kept: Name of the candidate that the bundle holds.
        reason: Why, in one sentence.
        by_speed: Times decided, among those that pass the gate.
        candidates: Best first in expectation; FP32 last.
        baseline: Whom the times are compared with.
        engine: What the candidates were timed on, for people; empty where nothing was timed.
        is_device: That is the kind of engine the bundle is for.
        layer_times: Of the graph that was kept on that engine, slowest first; empty where the
            engine does not tell.
        groups: The layers that can be INT8, in the graph's order.
        trials: Graphs that the search for a mixed precision judged, in order.
        answers: None where each clip may have several labels.
        method: How activation ranges were found.
        calibration: The clips they were found on.
        evaluation: The clips that the gate judged on.
        left_alone: Node to the reason why it stays in float.
        not_built: Candidate to the reason why there is none.
    """

    kept: str
    reason: str
    by_speed: bool
    candidates: tuple[CandidateReport, ...] = Field(min_length=1)
    baseline: str = "FP32"
    engine: str = ""
    is_device: bool = False
    layer_times: tuple[LayerTime, ...] = ()
    groups: tuple[GroupReport, ...] = ()
    trials: tuple[Trial, ...] = ()
    answers: Answers | None = None
    method: Method
    calibration: ClipsReport
    evaluation: ClipsReport
    left_alone: dict[str, str]
    not_built: dict[str, str]

    @model_validator(mode="after")
    def _keeps_one_that_passed(self) -> Quantisation:
        names = [candidate.name for candidate in self.candidates]
        if self.kept not in names or len(set(names)) != len(names):
            raise ValueError(f"kept {self.kept!r} must be one of the candidates, once: {names}")
        if not self.winner.passed:
            raise ValueError(f"kept {self.kept!r} fails the gate")
        return self

    @property
    def winner(self) -> CandidateReport:
        """The candidate that was kept."""
        return next(c for c in self.candidates if c.name == self.kept)


def describe_clips(clips: ClipSet, seed: int) -> ClipsReport:
    """A set of clips in figures."""
    return ClipsReport(
        clips=len(clips),
        videos=tuple(source.rpartition("/")[2] for source in clips.sources),
        labelled=sum(label is not None for label in clips.labels),
        seed=seed,
        sha256=clips.sha256,
        notes=tuple(clips.notes),
    )


def score_differences(reference: Scores, candidate: Scores) -> tuple[float, ...]:
    """For each clip the largest difference of a score; both of the same clips."""
    difference = np.abs(reference.values - candidate.values)
    return tuple(float(value) for value in difference.max(axis=1))


def describe_answers(reference: Scores, candidate: Scores, labels: Sequence[str]) -> Answers | None:
    """Which answers changed; None for sigmoids, where each clip may have several labels."""
    if is_multi_label(reference.values):
        return None
    before, after = _answers(reference.values), _answers(candidate.values)
    pairs = Counter(zip(before, after, strict=True))
    flips = [(pair, count) for pair, count in pairs.most_common() if pair[0] != pair[1]]
    changes = tuple(
        Change(before=labels[i], after=labels[j], clips=count)
        for (i, j), count in flips[:_FLIPS_LISTED]
    )
    if len(labels) > CONFUSION_CLASSES:
        return Answers(changes=changes)
    classes = range(len(labels))
    confusion = tuple(tuple(pairs[i, j] for j in classes) for i in classes)
    return Answers(labels=tuple(labels), confusion=confusion, changes=changes)


def _answers(scores: Array) -> list[int]:
    return [int(best) for best in scores.argmax(axis=1)]
