"""From an FP32 graph and videos to the graph that a bundle keeps.

Draw clips, find ranges, place Q/DQ, judge INT8 at the gate, search for the layers that hurt,
make FP16 as well, time what passes, choose, and write down why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from edgevid.convert.frames import Window
from edgevid.convert.half import to_half
from edgevid.convert.journal import Journal
from edgevid.convert.precision import fp32_nodes
from edgevid.convert.quantize.bias_correction import correct_biases, measure_shifts
from edgevid.convert.quantize.candidates import FP32, Candidate, Times, timed
from edgevid.convert.quantize.clipset import ClipSet, draw
from edgevid.convert.quantize.gate import Gate, Scores, Verdict, evaluate
from edgevid.convert.quantize.groups import Placement
from edgevid.convert.quantize.half_rest import to_fp16
from edgevid.convert.quantize.insert import insert_qdq
from edgevid.convert.quantize.long_runs import LongRuns, draw_long_runs
from edgevid.convert.quantize.modelopt import (
    ModelOptMethod,
    describe_qdq,
    quantize_with_modelopt,
)
from edgevid.convert.quantize.placement import plan_placement
from edgevid.convert.quantize.prepare import prepare
from edgevid.convert.quantize.ranges import Range, collect_ranges
from edgevid.convert.quantize.report import (
    CandidateReport,
    GroupReport,
    Quantisation,
    describe_answers,
    describe_clips,
    score_differences,
)
from edgevid.convert.quantize.search import Search, find_mixed
from edgevid.convert.quantize.settings import QuantizeSettings
from edgevid.convert.quantize.speed import (
    CandidatePrecision,
    Choice,
    Contender,
    choose,
)
from edgevid.spec import Spec

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["Quantised", "QuantizeSettings", "quantise"]

_STEPS = 16
"""Of a model with states: how many calls in a row, from zero states, make one clip."""

_BIAS_CLIPS = 16
"""Calibration clips that biases are corrected on: means need fewer than ranges."""

_FP16_WINDOWS = 8
"""Calibration clips that decide which nodes FP16 leaves alone."""

_INT8 = {"edgevid": "INT8", "modelopt": "INT8 (ModelOpt)"}


_Insert = Callable[..., "ModelProto"]
"""From `keep_float`, the groups that stay in float, to the graph with Q/DQ."""


@dataclass(frozen=True)
class Quantised:
    """What came out.

    Attributes:
        graph: To be kept in the bundle.
        judged: The graph that stands in for it where answers are compared: the same, but for
            FP16 scales, which ONNX Runtime's CPU gets wrong.
        precision: Of it.
        fp32_nodes: Nodes that FP16 left alone, with the reason.
        kept_in_float: Groups that INT8 left alone at the gate's behest.
        report: Everything else.
    """

    graph: ModelProto
    judged: ModelProto
    precision: CandidatePrecision
    fp32_nodes: dict[str, str]
    kept_in_float: tuple[str, ...]
    report: Quantisation


def quantise(
    reference: ModelProto, spec: Spec, settings: QuantizeSettings, journal: Journal
) -> Quantised:
    """Find the fastest precision that still answers the same.

    Args:
        reference: FP32, from uint8 frames to scores.
        spec: Its contract.
        settings: What the user says.
        journal: Told steps, notes and progress.

    Raises:
        SpecError: A setting is wrong, or labels in a CSV are unknown.
        SourceError: The videos cannot be used.
        ConversionError: The graph fails on a clip, or gives NaN.
    """
    return _Procedure(reference, spec, settings, journal).run()


class _Procedure:
    def __init__(
        self, reference: ModelProto, spec: Spec, settings: QuantizeSettings, journal: Journal
    ) -> None:
        self._reference = reference
        self._spec = spec
        self._settings = settings
        self._journal = journal
        self._gate = Gate(settings.max_drop)
        self._not_built: dict[str, str] = {}
        self._fp32_nodes: dict[str, str] = {}
        self._scores: dict[str, Scores] = {}
        self._long_runs: LongRuns | None = None

    def run(self) -> Quantised:
        calibration, evaluation = self._draw()
        prepared = prepare(self._reference)
        windows = [clip.feeds for clip in calibration[:_FP16_WINDOWS]]
        if self._settings.rest == "fp16":
            self._fp32_nodes = fp32_nodes(prepared, windows)
        expected = self._evaluate(FP32, self._reference, evaluation)
        self._long_runs = self._draw_long_runs(evaluation)
        if self._settings.quantizer == "modelopt":
            placement, insert, search = self._with_modelopt(prepared, calibration)
        else:
            placement = plan_placement(prepared, depthwise=self._settings.depthwise)
            insert = self._inserter(prepared, placement, calibration)
            search = self._search(insert, placement, expected, evaluation)
        candidates = self._candidates(prepared, insert, search, windows)
        reports = [self._judge(candidate, expected, evaluation) for candidate in candidates]
        failed = self._failed_int8(search, insert) if search.outcome != "int8" else None
        self._journal.step("Timing what passes")
        passed = [c for c, r in zip(candidates, reports, strict=True) if r.passed]
        contenders = [failed, *reports] if failed else reports
        with timed(
            passed, self._reference, evaluation[0].feeds, self._journal, self._not_built
        ) as times:
            choice = self._choose(contenders, times)
            layers = times.layers(choice.name)
        kept = next(c for c in candidates if c.name == choice.name)
        told = [r.model_copy(update={"timing": times.timings.get(r.name)}) for r in reports]
        report = Quantisation(
            kept=kept.name,
            reason=choice.reason,
            by_speed=choice.by_speed,
            candidates=tuple([failed, *told] if failed else told),
            baseline=FP32,
            engine=times.engine,
            is_device=times.is_device,
            layer_times=layers,
            groups=_groups(placement, search, kept.precision),
            trials=search.trials,
            answers=describe_answers(expected, self._scores[kept.name], self._spec.labels),
            method=self._settings.ranges_by,
            calibration=describe_clips(calibration, self._settings.seed),
            evaluation=describe_clips(evaluation, self._settings.seed),
            left_alone=placement.left_alone,
            not_built=self._not_built,
        )
        kept_in_float = search.kept if kept.precision == "mixed" else ()
        return Quantised(
            kept.graph, kept.judged, kept.precision, kept.fp32_nodes, kept_in_float, report
        )

    def _draw(self) -> tuple[ClipSet, ClipSet]:
        """Clips to calibrate and to judge on, none of them on both sides."""
        s = self._settings
        self._journal.step("Drawing clips")
        drawing = partial(
            draw,
            clip=self._spec.clip,
            inputs=self._spec.inputs,
            steps=_STEPS if self._spec.states else 1,
            progress=self._watch("Drawing"),
        )
        if s.eval:
            calibration = drawing(s.calib, count=s.calib_clips, seed=s.seed)
            evaluation = drawing(s.eval, count=s.clips_to_judge, seed=s.seed)
            notes = [*calibration.notes, *evaluation.notes]
        else:
            count = s.calib_clips + s.clips_to_judge
            drawn = drawing(s.calib, count=count, seed=s.seed)
            calibration, evaluation = drawn.split(s.calib_clips / count, s.seed)
            notes = [*drawn.notes]
        for note in notes:
            self._journal.note(note)
        return calibration, evaluation

    def _with_modelopt(
        self, prepared: ModelProto, calibration: ClipSet
    ) -> tuple[Placement, _Insert, Search]:
        """One graph, to be taken or left: there is nothing to search."""
        method: ModelOptMethod = "minmax" if self._settings.ranges_by == "minmax" else "entropy"
        self._journal.step(f"Quantising with Model Optimizer on {len(calibration)} clips")
        graph = quantize_with_modelopt(prepared, calibration, method)
        search = Search(outcome="int8", kept=(), reason="not searched", seconds=0.0)
        return describe_qdq(graph), lambda **_: graph, search

    def _inserter(
        self, prepared: ModelProto, placement: Placement, calibration: ClipSet
    ) -> _Insert:
        ranges = self._ranges(prepared, placement, calibration)
        insert = partial(insert_qdq, prepared, placement, ranges, scale_dtype=self._settings.scales)
        self._journal.step("Correcting biases")
        shifts = measure_shifts(
            prepared,
            insert(),
            placement.groups,
            calibration.spread(_BIAS_CLIPS).feeds,
            progress=self._watch("Correcting biases"),
        )
        return lambda keep_float=(): correct_biases(insert(keep_float=keep_float), shifts)

    def _ranges(
        self, prepared: ModelProto, placement: Placement, calibration: ClipSet
    ) -> dict[str, Range]:
        self._journal.step(f"Finding ranges on {len(calibration)} clips")
        ranges = collect_ranges(
            prepared,
            placement.tensors,
            calibration.feeds,
            self._settings.ranges_by,
            progress=self._watch("Finding ranges"),
        )
        flat = [name for name, r in ranges.items() if r.degenerate]
        if flat:
            self._journal.note(
                f"{len(flat)} activations, such as {flat[0]!r}, were zero on every calibration "
                "clip: their layers stay in float. Give other videos with --calib."
            )
        return ranges

    def _search(
        self,
        insert: _Insert,
        placement: Placement,
        expected: Scores,
        evaluation: ClipSet,
    ) -> Search:
        self._journal.step("Judging INT8")
        search = find_mixed(
            expected,
            lambda kept: self._judged(insert(keep_float=kept)),
            [group.name for group in placement.groups],
            evaluation,
            self._gate,
            progress=lambda done, total, text: self._journal.progress(text, done, total),
            budget_s=self._settings.budget_s,
            confirm=self._confirm,
        )
        self._journal.step(search.reason)
        return search

    def _draw_long_runs(self, evaluation: ClipSet) -> LongRuns | None:
        if not self._spec.states:
            return None
        self._journal.step("Running through whole videos")
        return draw_long_runs(
            self._reference,
            evaluation,
            self._spec.clip,
            self._spec.inputs,
            lambda done, total, text: self._journal.progress(text, done, total),
        )

    def _confirm(self, verdict: Verdict, graph: ModelProto) -> Verdict:
        """Of a model with states, what long runs say to a verdict."""
        return self._long_runs.confirm(verdict, graph, self._gate) if self._long_runs else verdict

    def _judged(self, in_float: ModelProto) -> ModelProto:
        """What is to ship, in the form that ONNX Runtime computes right."""
        if self._settings.rest == "fp32":
            return in_float
        return to_fp16(in_float, self._fp32_nodes)

    def _shipped(self, in_float: ModelProto) -> ModelProto:
        if self._settings.rest == "fp32":
            return in_float
        return to_fp16(in_float, self._fp32_nodes, self._settings.scales)

    def _candidates(
        self, prepared: ModelProto, insert: _Insert, search: Search, windows: Sequence[Window]
    ) -> list[Candidate]:
        """Those that may be kept, fastest in expectation first."""
        candidates = []
        if search.outcome != "fp16":
            name = _INT8[self._settings.quantizer] if search.outcome == "int8" else "Mixed"
            in_float = insert(keep_float=search.kept)
            shipped, judged = self._shipped(in_float), self._judged(in_float)
            candidates.append(
                Candidate(name, search.outcome, shipped, judged, dict(self._fp32_nodes))
            )
        half, nodes = self._half(prepared, windows)
        candidates.append(Candidate("FP16", "fp16", half, half, nodes))
        candidates.append(Candidate(FP32, "fp32", self._reference, self._reference))
        return candidates

    def _half(
        self, prepared: ModelProto, windows: Sequence[Window]
    ) -> tuple[ModelProto, dict[str, str]]:
        """The graph in FP16, and the nodes that stay in FP32 with the reason."""
        nodes = self._fp32_nodes or fp32_nodes(prepared, windows)
        return to_half(prepared, nodes), nodes

    def _failed_int8(self, search: Search, insert: _Insert) -> CandidateReport | None:
        """INT8 everywhere, where the gate refused it."""
        if not search.trials or search.int8 is None:
            return None
        return CandidateReport(
            name="INT8",
            precision="int8",
            megabytes=len(self._shipped(insert(keep_float=())).SerializeToString()) / 1e6,
            verdict=search.trials[0].verdict,
            comparison=search.int8,
        )

    def _judge(
        self, candidate: Candidate, expected: Scores, evaluation: ClipSet
    ) -> CandidateReport:
        figures = {"name": candidate.name, "precision": candidate.precision}
        if candidate.precision == "fp32":
            return CandidateReport(**figures, megabytes=candidate.megabytes)
        scores = self._evaluate(candidate.name, candidate.judged, evaluation)
        comparison = expected.compare(scores)
        return CandidateReport(
            **figures,
            megabytes=candidate.megabytes,
            verdict=self._confirm(self._gate.check(comparison), candidate.judged),
            comparison=comparison,
            differences=score_differences(expected, scores),
        )

    def _evaluate(self, name: str, graph: ModelProto, clips: ClipSet) -> Scores:
        self._scores[name] = evaluate(
            graph,
            clips,
            self._spec.labels,
            progress=lambda done, total, text: self._journal.progress(text, done, total),
            what=f"Running {name}",
        )
        return self._scores[name]

    def _choose(self, reports: Sequence[CandidateReport], times: Times) -> Choice:
        contenders = [
            Contender(
                r.name,
                r.precision,
                r.passed,
                r.comparison.top1_agreement if r.comparison else 1.0,
                r.megabytes,
            )
            for r in reports
        ]
        decisive = False if self._settings.int8_only else self._settings.by_speed
        return choose(
            contenders,
            times.timings,
            engine=times.engine,
            is_device=times.is_device,
            decisive=decisive,
        )

    def _watch(self, text: str) -> Callable[[int, int], None]:
        return lambda done, total: self._journal.progress(text, done, total)


def _groups(
    placement: Placement, search: Search, kept: CandidatePrecision
) -> tuple[GroupReport, ...]:
    measured = {s.group: s for s in search.sensitivity}
    quantised = kept in ("int8", "mixed")
    return tuple(
        GroupReport(
            name=group.name,
            op_type=group.op_type,
            in_float=not quantised or group.name in search.kept,
            sensitivity=measured.get(group.name),
        )
        for group in placement.groups
    )
