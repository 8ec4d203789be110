"""INT8 as far as the gate allows: finds the groups that hurt and keeps them in float.

First INT8 everywhere. If the gate refuses that, each group is quantised alone and its noise
at the logits measured, on a few clips; noise of independent roundings adds up, so the order
of the single groups is a good guess at who hurts in company. Then `minimise` finds how many of
the worst have to stay in float; every set that it tries is judged by the gate on all clips.
docs/gate.md tells more.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgevid.convert.quantize.gate import (
    EvalClip,
    Gate,
    Progress,
    Scores,
    Verdict,
    evaluate,
    silent,
)
from edgevid.convert.quantize.metrics import Comparison
from edgevid.convert.quantize.minimise import Groups, Minimiser, Stage
from edgevid.spec import Strict

if TYPE_CHECKING:
    from onnx import ModelProto

DEFAULT_BUDGET_S = 30.0
PROXY_CLIPS = 8
"""Clips that the sensitivity of a group is measured on."""

_SENSITIVITY_SHARE = 0.6
"""Part of the time that sensitivity may take, so that some is left to use it."""

_NAMES_SHOWN = 3

Outcome = Literal["int8", "mixed", "fp16"]

Quantize = Callable[[Groups], "ModelProto"]
"""From the names of the groups that stay in float to the graph with Q/DQ."""


Confirm = Callable[[Verdict, "ModelProto"], Verdict]


class Sensitivity(Strict):
    """What one group does to the logits when it alone is INT8.

    Attributes:
        group: Its name.
        mean_sqnr_db, mean_kl, flips: As in `Comparison`; `flips` counts.
        clips: How many clips it was measured on.
    """

    group: str
    mean_sqnr_db: float
    mean_kl: float
    flips: int
    clips: int


class Trial(Strict):
    """One graph that the gate judged.

    Attributes:
        stage: What the search was doing.
        kept: Groups in float.
        verdict: Of the gate.
        mean_sqnr_db, mean_kl: Over all clips.
    """

    stage: Literal["int8", Stage]
    kept: tuple[str, ...]
    verdict: Verdict
    mean_sqnr_db: float
    mean_kl: float


class Search(Strict):
    """How far INT8 goes.

    Attributes:
        outcome: `int8`: everywhere; `mixed`: but for `kept`; `fp16`: INT8 is not worth it.
        kept: Groups to keep in float, in the graph's order; of `fp16`, all.
        reason: One sentence for the report.
        verdict, comparison: Of the outcome; None for `fp16`.
        int8: INT8 everywhere against the reference; None where nothing can be quantised.
        sensitivity: Groups by harm, worst first; empty where INT8 passed at once.
        unmeasured: Groups that the time did not suffice for; taken to be the worst.
        trials: Every graph that the gate judged, in order.
        monotone: False where fewer groups in float passed and more failed.
        finished: False where the time ran out.
        seconds: Spent.
    """

    outcome: Outcome
    kept: tuple[str, ...]
    reason: str
    verdict: Verdict | None = None
    comparison: Comparison | None = None
    int8: Comparison | None = None
    sensitivity: tuple[Sensitivity, ...] = ()
    unmeasured: tuple[str, ...] = ()
    trials: tuple[Trial, ...] = ()
    monotone: bool = True
    finished: bool = True
    seconds: float


class _TimeIsUp(Exception):
    """Before the next graph."""


def find_mixed(
    reference: Scores,
    quantize: Quantize,
    groups: Sequence[str],
    clips: Sequence[EvalClip],
    gate: Gate,
    *,
    progress: Progress = silent,
    budget_s: float = DEFAULT_BUDGET_S,
    clock: Callable[[], float] = time.monotonic,
    confirm: Confirm = lambda verdict, _: verdict,
) -> Search:
    """Find what can be INT8 so that the gate passes.

    Args:
        reference: What the float graph says of `clips`.
        quantize: Makes a graph with Q/DQ.
        groups: Names of all that can be INT8, in the graph's order.
        clips: To judge on; not those of the calibration.
        gate: What is good enough.
        progress: Called after every run of a graph, with runs done and expected; the latter
            changes as the search goes on, and is met at its end.
        budget_s: No graph is begun after this many seconds, but INT8 everywhere.
        clock: Seconds from any start.
        confirm: Has the last word on what the gate says of a graph.

    Raises:
        ConversionError: A graph does not run, or its scores are NaN.
    """
    if len(reference.values) != len(clips):
        raise ValueError(f"{len(reference.values)} reference scores for {len(clips)} clips")
    runner = _Runner(reference, quantize, tuple(groups), clips, gate, progress, clock, confirm)
    if not groups:
        return _result(runner, frozenset())
    if runner.judge(frozenset(), "int8"):
        return _result(runner, frozenset())
    runner.expect_search()
    ranked = runner.rank(budget_s * _SENSITIVITY_SHARE)

    def passes(kept: Groups, stage: Stage) -> bool:
        if runner.seconds >= budget_s:
            raise _TimeIsUp
        return runner.judge(kept, stage)

    minimiser = Minimiser(ranked, passes)
    finished = True
    try:
        minimiser.run()
    except _TimeIsUp:
        finished = False
    runner.finish()
    return _result(runner, minimiser.best, monotone=minimiser.monotone, finished=finished)


class _Runner:
    """Makes and runs graphs, keeps what came of it, and tells how far it is."""

    def __init__(
        self,
        reference: Scores,
        quantize: Quantize,
        groups: tuple[str, ...],
        clips: Sequence[EvalClip],
        gate: Gate,
        progress: Progress,
        clock: Callable[[], float],
        confirm: Confirm,
    ) -> None:
        self.groups = groups
        self.trials: list[Trial] = []
        self.judged: dict[Groups, tuple[Comparison, Verdict]] = {}
        self.sensitivity: list[Sensitivity] = []
        self._reference = reference
        self._quantize = quantize
        self._clips = clips
        self._gate = gate
        self._progress = progress
        self._clock = clock
        self._confirm = confirm
        self._start_s = clock()
        self._done = 0
        self._expected = len(clips)

    @property
    def seconds(self) -> float:
        return self._clock() - self._start_s

    @property
    def unmeasured(self) -> tuple[str, ...]:
        known = {s.group for s in self.sensitivity}
        return tuple(g for g in self.groups if g not in known)

    def judge(self, kept: Groups, stage: Literal["int8", Stage]) -> bool:
        """Let the gate say whether `kept` in float is enough."""
        in_int8 = len(self.groups) - len(kept)
        text = f"INT8 in {in_int8} of {len(self.groups)} layers ({stage})"
        graph = self._quantize(kept)
        comparison = self._compare(graph, range(len(self._clips)), text)
        verdict = self._confirm(self._gate.check(comparison), graph)
        self.judged[kept] = comparison, verdict
        self.trials.append(
            Trial(
                stage=stage,
                kept=self.in_order(kept),
                verdict=verdict,
                mean_sqnr_db=comparison.mean_sqnr_db,
                mean_kl=comparison.mean_kl,
            )
        )
        return verdict.passed

    def rank(self, until_s: float) -> list[str]:
        """Groups by the noise that each alone brings, worst first.

        Those that time did not suffice for stand in front: taken to be bad, not good.
        """
        count = min(PROXY_CLIPS, len(self._clips))
        chosen = np.linspace(0, len(self._clips) - 1, count).round().astype(int).tolist()
        for number, group in enumerate(self.groups, 1):
            if self.seconds >= until_s:
                break
            text = f"Sensitivity of layer {number} of {len(self.groups)}: {group}"
            alone = frozenset(self.groups) - {group}
            comparison = self._compare(self._quantize(alone), chosen, text)
            self.sensitivity.append(
                Sensitivity(
                    group=group,
                    mean_sqnr_db=comparison.mean_sqnr_db,
                    mean_kl=comparison.mean_kl,
                    flips=len(comparison.flips),
                    clips=count,
                )
            )
        self.sensitivity.sort(key=lambda s: s.mean_sqnr_db)
        return [*self.unmeasured, *(s.group for s in self.sensitivity)]

    def expect_search(self) -> None:
        """Count on a search that meets no surprise."""
        trials = 2 * math.ceil(math.log2(len(self.groups) + 1))
        proxy = min(PROXY_CLIPS, len(self._clips)) * len(self.groups)
        self._expected = self._done + proxy + trials * len(self._clips)

    def finish(self) -> None:
        """Fill the bar, as fewer runs were needed than were counted on."""
        self._progress(self._done, self._done, "Search done")

    def _compare(self, graph: ModelProto, chosen: Sequence[int], text: str) -> Comparison:
        self._expected = max(self._expected, self._done + len(chosen))
        start = self._done

        def on_clip(done: int, total: int, what: str) -> None:  # noqa: ARG001 - a `Progress`
            self._done = start + done
            self._progress(self._done, self._expected, what)

        every = len(chosen) == len(self._clips)
        clips = self._clips if every else [self._clips[i] for i in chosen]
        scores = evaluate(graph, clips, progress=on_clip, what=text)
        return self._reference.take(chosen).compare(scores)

    def in_order(self, kept: Groups) -> tuple[str, ...]:
        return tuple(g for g in self.groups if g in kept)


def _result(
    runner: _Runner, kept: Groups, *, monotone: bool = True, finished: bool = True
) -> Search:
    comparison, verdict = runner.judged.get(kept, (None, None))
    outcome: Outcome = "mixed" if kept else "int8"
    if verdict is None:
        # All in float is never judged: it is the reference.
        outcome, reason = "fp16", _why_not(runner, finished)
    else:
        reason = f"{_kept_words(runner.in_order(kept), len(runner.groups))}: {verdict.reason}"
    searched = bool(runner.groups) and outcome != "int8"
    return Search(
        outcome=outcome,
        kept=runner.in_order(kept),
        reason=reason,
        verdict=verdict,
        comparison=comparison,
        int8=runner.judged[frozenset()][0] if runner.judged else None,
        sensitivity=tuple(runner.sensitivity),
        unmeasured=runner.unmeasured if searched else (),
        trials=tuple(runner.trials),
        monotone=monotone,
        finished=finished,
        seconds=runner.seconds,
    )


def _why_not(runner: _Runner, finished: bool) -> str:
    if not runner.groups:
        return "INT8 is not worth it: fp16. No layer of this graph can become INT8"
    everywhere = runner.trials[0].verdict.reason
    if not finished:
        return (
            f"INT8 everywhere fails, and within {runner.seconds:.0f} s no mixture was found that "
            f"passes: fp16. Everywhere: {everywhere}"
        )
    return (
        "INT8 is not worth it: fp16. No mixture passes, down to a single layer in INT8. "
        f"Everywhere: {everywhere}"
    )


def _kept_words(kept: tuple[str, ...], total: int) -> str:
    if not kept:
        return f"INT8 in all {total} layers"
    more = ", ..." if len(kept) > _NAMES_SHOWN else ""
    names = ", ".join(kept[:_NAMES_SHOWN]) + more
    return f"INT8 in {total - len(kept)} of {total} layers, in float {names}"
