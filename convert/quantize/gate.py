"""Does a graph still answer like the one that it came from? docs/gate.md tells the rules."""

from __future__ import annotations

import difflib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from edgevid.convert.graph import SCORES
from edgevid.convert.quantize.metrics import (
    LOGITS,
    Comparison,
    compare_scores,
    with_logits,
)
from edgevid.convert.session import Session
from edgevid.errors import ConversionError, SpecError
from edgevid.evaluation import wilson_interval
from edgevid.spec import Strict
from edgevid.types import Array, Float32Array

if TYPE_CHECKING:
    from onnx import ModelProto

DEFAULT_DROP = 0.01
UNDECIDED = 0.1
"""A flip is a toss-up where the reference's two answers were nearer than this."""

SMALL_SET_SHARE = 5.0
"""On a small set one toss-up may flip, if that is no more than this many times the drop."""

MIN_SQNR_DB = 10.0
"""On a small set the logits must be at least this good: noise a tenth of the signal."""

_ROUNDING = 1e-9

Progress = Callable[[int, int, str], None]
"""Called with what is done, how much there will be, and what is being done."""

Criterion = Literal["accuracy", "agreement", "small set", "long runs"]


def silent(done: int, total: int, text: str) -> None:
    """The `Progress` of those who do not watch."""


class EvalClip(Protocol):
    """One clip to run a graph on."""

    @property
    def source(self) -> str: ...

    @property
    def start_s(self) -> float: ...

    @property
    def label(self) -> str | None: ...

    @property
    def feeds(self) -> Mapping[str, Array]:
        """Every input of the graph by name, batch of 1; with states, the steps to take."""


@dataclass(frozen=True)
class Scores:
    """What one graph says of every clip.

    Attributes:
        values: `(n, C)` float32 in [0, 1].
        logits: `(n, C)` float32, what the final softmax or sigmoid takes; None where that
            cannot be had.
        labels: The true class of each clip, None where unknown.
    """

    values: Float32Array
    logits: Float32Array | None
    labels: tuple[int | None, ...]

    def take(self, clips: Sequence[int]) -> Scores:
        """Those of some clips, by position."""
        chosen = list(clips)
        logits = None if self.logits is None else self.logits[chosen]
        return Scores(self.values[chosen], logits, tuple(self.labels[i] for i in chosen))

    def compare(self, candidate: Scores) -> Comparison:
        """`candidate` against these; both of the same clips."""
        return compare_scores(
            self.values,
            candidate.values,
            self.labels,
            reference_logits=self.logits,
            candidate_logits=candidate.logits,
        )


class Verdict(Strict):
    """Whether a candidate may be shipped.

    Attributes:
        passed: It may.
        reason: One sentence with the figures.
        measured: For `accuracy` the drop of the accuracy, else the agreement; shares of 1.
        limit: What `measured` may at most be (accuracy), or must at least be.
        criterion: What was judged.
    """

    passed: bool
    reason: str
    measured: float
    limit: float
    criterion: Criterion


@dataclass(frozen=True)
class Gate:
    """How much worse than the reference a candidate may be.

    Attributes:
        max_drop: Share of the clips, 0.01 for one point: by how much the accuracy may fall, or
            how many answers may change where labels are unknown. None: one point.

    Raises:
        SpecError: `max_drop` is no share.
    """

    max_drop: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.drop < 1:
            raise SpecError(
                f"max_drop is {self.drop:g}", "Give a share of the clips: 0.01 is one point"
            )

    @property
    def drop(self) -> float:
        """The share in force."""
        return DEFAULT_DROP if self.max_drop is None else self.max_drop

    def check(self, comparison: Comparison) -> Verdict:
        """Judge a candidate by accuracy, by agreement, or by the rule for small sets."""
        remark = ""
        if comparison.labelled * 2 > comparison.clips and not comparison.multi_label:
            if not _better_than_guessing(comparison):
                remark = (
                    "; the labels are not used, as the model itself is no better than guessing "
                    "on them: check them"
                )
            elif self._resolves(comparison.labelled):
                return self._by_accuracy(comparison)
        if self._resolves(comparison.clips):
            return self._by_agreement(comparison, remark)
        return self._on_small_set(comparison, remark)

    def _resolves(self, clips: int) -> bool:
        """True where one clip is no more than the drop allowed."""
        return clips * self.drop >= 1 - _ROUNDING

    def _by_accuracy(self, comparison: Comparison) -> Verdict:
        before, after = comparison.reference_top1 or 0.0, comparison.candidate_top1 or 0.0
        drop = before - after
        return Verdict(
            passed=drop <= self.drop + _ROUNDING,
            reason=f"top-1 accuracy {_percent(before)} before, {_percent(after)} after, on "
            f"{comparison.labelled} labelled clips (a fall of at most {_percent(self.drop)} is "
            f"allowed); {_agreement(comparison)}",
            measured=drop,
            limit=self.drop,
            criterion="accuracy",
        )

    def _by_agreement(self, comparison: Comparison, remark: str) -> Verdict:
        limit = 1 - self.drop
        return Verdict(
            passed=comparison.top1_agreement >= limit - _ROUNDING,
            reason=f"{_agreement(comparison)} ({_percent(limit)} needed){remark}",
            measured=comparison.top1_agreement,
            limit=limit,
            criterion="agreement",
        )

    def _on_small_set(self, comparison: Comparison, remark: str) -> Verdict:
        toss_ups_allowed = int(comparison.clips * self.drop * SMALL_SET_SHARE + _ROUNDING >= 1)
        grave = [
            i
            for i, m in zip(comparison.flips, comparison.flip_margins, strict=True)
            if m >= UNDECIDED
        ]
        problems = []
        if grave:
            problems.append(f"clip {grave[0] + 1} flips though the model was sure of it")
        elif len(comparison.flips) > toss_ups_allowed:
            problems.append(f"no more than {toss_ups_allowed} may flip")
        if comparison.mean_sqnr_db < MIN_SQNR_DB:
            problems.append(f"{MIN_SQNR_DB:g} dB needed")
        return Verdict(
            passed=not problems,
            reason=f"{_agreement(comparison)}, logits at {comparison.mean_sqnr_db:.1f} dB"
            f"{': ' if problems else ''}{' and '.join(problems)}; a small set: one clip is "
            f"{_percent(1 / comparison.clips)}, {_percent(self.drop)} was asked{remark}",
            measured=comparison.top1_agreement,
            limit=1 - toss_ups_allowed / comparison.clips,
            criterion="small set",
        )


def evaluate(
    model: ModelProto | Session,
    clips: Sequence[EvalClip],
    classes: Sequence[str] = (),
    *,
    every_step: bool = False,
    progress: Progress = silent,
    what: str = "Running the graph",
) -> Scores:
    """Run a graph on every clip, one at a time.

    A graph with states is stepped through the clip from zero states; its scores are those of
    the last step, where it has seen the whole clip, or those of every step, a row each.

    Args:
        model: Its output `scores` is `(1, C)`. Of a session the logits are taken where it was
            made from what `with_logits` gives.
        clips: With the frames that the graph takes.
        classes: Names of the classes, to look up the clips' labels; empty: labels are ignored.
        every_step: A row for each step, not for each clip.
        progress: Called after every clip, with the text `what`.

    Raises:
        ConversionError: The graph does not load or fails on a clip, a score is NaN or
            infinite, or there is no clip.
        SpecError: A clip's label is not among `classes`.
    """
    session = model if isinstance(model, Session) else open_session(model)
    rows: list[Array] = []
    logits: list[Array] = []
    labels: list[int | None] = []
    for number, clip in enumerate(clips, 1):
        label = _class_of(clip, classes)
        steps = _run(session, clip)
        for outputs in steps if every_step else deque(steps, maxlen=1):
            rows.append(_finite(outputs[SCORES], clip))
            if LOGITS in outputs and outputs[LOGITS].size == rows[-1].size:
                logits.append(outputs[LOGITS].reshape(rows[-1].shape).astype(np.float32))
            labels.append(label)
        progress(number, len(clips), what)
    if not rows:
        raise ConversionError("there are no clips to evaluate on", "Give videos with --eval")
    complete = np.concatenate(logits) if len(logits) == len(rows) else None
    return Scores(np.concatenate(rows), complete, tuple(labels))


def open_session(model: ModelProto) -> Session:
    """A session on a graph, with its logits where they can be had.

    Raises:
        ConversionError: ONNX Runtime does not load it.
    """
    try:
        return Session(with_logits(model)[0])
    except RuntimeError as exc:
        raise ConversionError(f"ONNX Runtime cannot load the converted graph: {exc}") from None


def _run(session: Session, clip: EvalClip) -> Iterator[dict[str, Array]]:
    """Scores and logits of each step; what else a graph puts out is let go."""
    try:
        for outputs in session.run_steps(clip.feeds):
            yield {name: outputs[name] for name in (SCORES, LOGITS) if name in outputs}
    except RuntimeError as exc:
        raise ConversionError(f"the graph fails on {_place(clip)}: {exc}") from None


def _finite(scores: Array, clip: EvalClip) -> Array:
    if not np.isfinite(scores).all():
        raise ConversionError(
            f"the scores of {_place(clip)} are NaN or infinite",
            "The graph overflows: convert with a higher --precision",
        )
    return scores


def _place(clip: EvalClip) -> str:
    return f"the clip at {clip.start_s:.2f} s of {clip.source}"


def _class_of(clip: EvalClip, classes: Sequence[str]) -> int | None:
    if clip.label is None or not classes:
        return None
    if clip.label in classes:
        return list(classes).index(clip.label)
    near = difflib.get_close_matches(clip.label, classes, n=1, cutoff=0.4)
    raise SpecError(
        f"{clip.source} is labelled {clip.label!r}, which is none of the model's "
        f"{len(classes)} classes",
        f"Correct the CSV: did you mean {near[0]!r}?"
        if near
        else "Correct the CSV, or leave the label out",
    )


def _better_than_guessing(comparison: Comparison) -> bool:
    """The interval of the reference's accuracy lies above 1 / C."""
    right = round((comparison.reference_top1 or 0.0) * comparison.labelled)
    return wilson_interval(right, comparison.labelled)[0] > 1 / comparison.classes


def _agreement(comparison: Comparison) -> str:
    low, high = _percent(comparison.agreement_low), _percent(comparison.agreement_high)
    return (
        f"{_percent(comparison.top1_agreement)} of {comparison.clips} clips keep their answer "
        f"(95 % interval {low} to {high})"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
