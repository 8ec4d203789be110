"""The search: its logic on simulated harms, its running of graphs on small and real ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import onnx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgevid import demo
from edgevid.benchmarks.demo_data import demo_spec, held_out_clips
from edgevid.convert.quantize.gate import Gate, Scores, evaluate
from edgevid.convert.quantize.insert import insert_qdq
from edgevid.convert.quantize.minimise import MAX_PUT_BACK, Groups, Minimiser, Stage
from edgevid.convert.quantize.placement import plan_placement
from edgevid.convert.quantize.prepare import prepare
from edgevid.convert.quantize.ranges import collect_ranges
from edgevid.convert.quantize.search import PROXY_CLIPS, Search, find_mixed
from edgevid.convert.workflow import convert
from edgevid.sources.moving_shapes import MOTIONS

HARMS = st.lists(st.integers(0, 100), min_size=1, max_size=60)


class Simulated:
    """The harms of the groups in INT8 add up; the test passes below a limit."""

    def __init__(self, harms: Sequence[int], limit: float) -> None:
        self.harms = {f"g{i}": harm for i, harm in enumerate(harms)}
        self.limit = limit
        self.asked: list[tuple[Groups, Stage]] = []

    @property
    def worst_first(self) -> list[str]:
        return sorted(self.harms, key=lambda g: -self.harms[g])

    def passes(self, kept: Groups, stage: Stage) -> bool:
        self.asked.append((kept, stage))
        return self.enough(kept)

    def enough(self, kept: Groups) -> bool:
        return sum(harm for g, harm in self.harms.items() if g not in kept) < self.limit

    def fewest(self) -> int:
        """How many at least have to be kept: for sums, the worst."""
        order = self.worst_first
        return next(k for k in range(len(order) + 1) if self.enough(frozenset(order[:k])))


def trials_allowed(groups: int) -> int:
    """Doubling and bisection, then a probe, and a bisection below it in the worst case."""
    return 3 * math.ceil(math.log2(groups + 1)) + 2 + MAX_PUT_BACK


@given(HARMS, st.floats(0.01, 1))
def test_additive_harms_keep_as_few_as_can_be(harms: list[int], share: float) -> None:
    model = Simulated(harms, max(share * sum(harms), 0.5))
    assume(not model.enough(frozenset()))
    search = Minimiser(model.worst_first, model.passes)
    search.run()
    assert model.enough(search.best)
    assert len(search.best) == model.fewest()
    assert search.monotone
    assert len(model.asked) <= trials_allowed(len(harms))
    assert len({kept for kept, _ in model.asked}) == len(model.asked)


@given(HARMS, st.floats(0.01, 1), st.randoms())
def test_a_wrong_order_costs_groups_but_never_the_gate(
    harms: list[int], share: float, random: Random
) -> None:
    model = Simulated(harms, max(share * sum(harms), 0.5))
    assume(not model.enough(frozenset()))
    order = list(model.harms)
    random.shuffle(order)
    search = Minimiser(order, model.passes)
    search.run()
    assert model.enough(search.best)
    assert len(model.asked) <= trials_allowed(len(harms))
    prefix = next(k for k in range(len(order) + 1) if model.enough(frozenset(order[:k])))
    assert len(search.best) <= prefix


@given(st.integers(1, 40), st.data())
def test_whatever_the_gate_says_what_is_found_has_passed(groups: int, data: st.DataObject) -> None:
    names = [f"g{i}" for i in range(groups)]
    answers: dict[Groups, bool] = {}

    def passes(kept: Groups, stage: Stage) -> bool:  # noqa: ARG001 - as the search calls it
        answers[kept] = data.draw(st.booleans())
        return answers[kept]

    search = Minimiser(names, passes)
    search.run()
    assert search.best == frozenset(names) or answers[search.best]
    assert len(answers) <= trials_allowed(groups)


def test_few_bad_groups_are_found_in_few_trials() -> None:
    model = Simulated([1] * 20 + [500] + [1] * 79, 150)
    search = Minimiser(model.worst_first, model.passes)
    search.run()
    assert search.best == {"g20"}
    assert len(model.asked) == 1


def test_a_group_that_was_wrongly_called_bad_is_put_back() -> None:
    model = Simulated([90, 1, 80, 1, 1, 1], 10)
    search = Minimiser(["g0", "g1", "g2", "g3", "g4", "g5"], model.passes)
    search.run()
    assert search.best == {"g0", "g2"}
    assert (frozenset({"g0", "g2"}), "putting back") in model.asked


def test_an_order_that_does_not_hold_is_noticed() -> None:
    """Keeping the worst 4 to 8 fails and the worst 3 passes: errors that cancel may do so."""
    names = [f"g{i}" for i in range(16)]

    def passes(kept: Groups, stage: Stage) -> bool:  # noqa: ARG001 - as the search calls it
        return len(kept) >= 9 or len(kept) == 3

    search = Minimiser(names, passes)
    search.run()
    assert search.best == {"g0", "g1", "g2"}
    assert not search.monotone


@dataclass(frozen=True)
class MadeClip:
    source: str
    start_s: float
    label: str | None
    feeds: dict[str, np.ndarray]


def made_clips(count: int) -> list[MadeClip]:
    rng = np.random.default_rng(4)
    return [
        MadeClip(f"v{i}", 0.0, None, {"clip": rng.integers(0, 9, (1, 4), np.uint8)})
        for i in range(count)
    ]


class NoisyGraphs:
    """Graphs whose logits are off by the sum of what their INT8 groups do to class 0."""

    def __init__(self, harms: dict[str, float]) -> None:
        self.harms = harms
        self.made: list[Groups] = []
        self.now_s = 0.0

    def __call__(self, kept: Groups) -> onnx.ModelProto:
        self.made.append(kept)
        self.now_s += 1.0
        error = sum(harm for group, harm in self.harms.items() if group not in kept)
        graph = helper.make_graph(
            [
                helper.make_node("Cast", ["clip"], ["x"], to=TensorProto.FLOAT),
                helper.make_node("Add", ["x", "error"], ["y"]),
                helper.make_node("Softmax", ["y"], ["scores"]),
            ],
            "made",
            [helper.make_tensor_value_info("clip", TensorProto.UINT8, [1, 4])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 4])],
            [numpy_helper.from_array(np.float32([error, 0, 0, 0]), "error")],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def clock(self) -> float:
        return self.now_s

    def reference(self, clips: Sequence[MadeClip]) -> Scores:
        scores = evaluate(self(frozenset(self.harms)), clips)
        self.made.clear()
        self.now_s = 0.0
        return scores

    def search(self, clips: int = 100, budget_s: float = 1000.0) -> Search:
        made = made_clips(clips)
        return find_mixed(
            self.reference(made), self, list(self.harms), made, Gate(),
            budget_s=budget_s, clock=self.clock,
        )  # fmt: skip


HARMLESS, HARMFUL = 1e-4, 9.0


def some_harmful(count: int, *bad: int) -> NoisyGraphs:
    return NoisyGraphs({f"layer{i}": HARMFUL if i in bad else HARMLESS for i in range(count)})


def test_int8_that_passes_is_kept_after_one_graph() -> None:
    graphs = some_harmful(5)
    found = graphs.search()
    assert (found.outcome, found.kept, found.sensitivity) == ("int8", (), ())
    assert graphs.made == [frozenset()]
    assert found.comparison == found.int8
    assert found.reason.startswith("INT8 in all 5 layers: 100 % of 100 clips keep their answer")


def test_two_bad_layers_are_found_and_kept() -> None:
    found = some_harmful(12, 3, 7).search()
    assert (found.outcome, found.kept) == ("mixed", ("layer3", "layer7"))
    assert {s.group for s in found.sensitivity[:2]} == {"layer3", "layer7"}
    assert [s.clips for s in found.sensitivity] == [PROXY_CLIPS] * 12
    assert found.sensitivity[1].mean_sqnr_db < 10 < 60 < found.sensitivity[2].mean_sqnr_db
    assert found.verdict is not None
    assert found.verdict.passed
    assert found.int8 is not None
    assert found.int8.top1_agreement < 0.5
    assert found.finished
    assert found.monotone
    assert "INT8 in 10 of 12 layers, in float layer3, layer7: 100 %" in found.reason
    assert [t.verdict.passed for t in found.trials if t.kept == found.kept] == [True]


def test_nothing_left_in_int8_is_fp16() -> None:
    found = some_harmful(4, 0, 1, 2, 3).search()
    assert (found.outcome, found.verdict, found.comparison) == ("fp16", None, None)
    assert found.kept == ("layer0", "layer1", "layer2", "layer3")
    assert found.reason.startswith("INT8 is not worth it: fp16. No mixture passes")
    assert found.int8 is not None


def test_a_graph_with_nothing_to_quantise_is_fp16() -> None:
    graphs = NoisyGraphs({})
    found = graphs.search(clips=3)
    assert (found.outcome, found.kept, found.int8, found.trials) == ("fp16", (), None, ())
    assert "No layer of this graph" in found.reason
    assert graphs.made == []


def test_time_that_runs_out_in_the_bisection_leaves_the_best_so_far() -> None:
    # Every graph takes a second: INT8, 40 single layers, then 1, 2 and 4 kept pass at 44 s.
    bad = (5, 9, 13)
    whole = some_harmful(40, *bad).search()
    assert whole.kept == ("layer5", "layer9", "layer13")
    cut = some_harmful(40, *bad).search(budget_s=44)
    # 0.6 of 44 s go to sensitivity; what was not measured is kept in float first.
    assert not cut.finished
    assert cut.unmeasured == tuple(f"layer{i}" for i in range(26, 40))
    assert (cut.outcome, cut.seconds <= 45) == ("mixed", True)
    assert {"layer5", "layer9", "layer13"} <= set(cut.kept)
    assert cut.verdict is not None
    assert cut.verdict.passed


def test_time_that_runs_out_before_anything_passes_is_fp16() -> None:
    graphs = some_harmful(40, *range(30))
    found = graphs.search(budget_s=5)
    assert (found.outcome, found.finished) == ("fp16", False)
    assert "within 5 s no mixture was found" in found.reason
    assert len(graphs.made) <= 6


def test_no_time_at_all_still_judges_int8() -> None:
    assert some_harmful(6).search(budget_s=0).outcome == "int8"
    found = some_harmful(6, 2).search(budget_s=0)
    assert (found.outcome, len(found.trials), len(found.unmeasured)) == ("fp16", 1, 6)


def test_progress_never_goes_back_and_never_past_its_total() -> None:
    graphs, clips = some_harmful(12, 3, 7), made_clips(30)
    seen: list[tuple[int, int, str]] = []
    find_mixed(
        graphs.reference(clips), graphs, list(graphs.harms), clips, Gate(),
        progress=lambda *report: seen.append(report), clock=graphs.clock,
    )  # fmt: skip
    done = [d for d, _, _ in seen]
    assert done == sorted(done)
    assert all(d <= total for d, total, _ in seen)
    assert seen[-1][0] == seen[-1][1]
    assert "INT8 in 12 of 12 layers (int8)" in seen[0][2]
    assert any("Sensitivity of layer 4 of 12: layer3" in text for _, _, text in seen)


def test_ctrl_c_goes_through() -> None:
    graphs, clips = some_harmful(6, 2), made_clips(10)

    def interrupt(done: int, total: int, text: str) -> None:  # noqa: ARG001 - a `Progress`
        if "Sensitivity" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_mixed(
            graphs.reference(clips), graphs, list(graphs.harms), clips, Gate(),
            progress=interrupt,
        )  # fmt: skip


def test_reference_scores_of_other_clips_are_refused() -> None:
    graphs = some_harmful(2)
    reference = graphs.reference(made_clips(3))
    with pytest.raises(ValueError, match="3 reference scores for 4 clips"):
        find_mixed(reference, graphs, list(graphs.harms), made_clips(4), Gate())


def test_a_search_survives_json() -> None:
    found = some_harmful(6, 2).search()
    assert Search.model_validate_json(found.model_dump_json()) == found


class RealNet:
    """The demo model, converted, with the data to calibrate and to judge it."""

    def __init__(self, folder: Path) -> None:
        bundle = convert(demo.MODEL, folder / "d.edgevid", spec=demo.SPEC, target="onnx").bundle
        self.model = prepare(onnx.load(bundle / "model.onnx"))
        self.calibration = self._clips(range(7_000_000, 7_000_016))
        self.clips = self._clips(range(8_000_000, 8_000_104))

    @staticmethod
    def _clips(seeds: range) -> list[MadeClip]:
        pixels, labels = held_out_clips(seeds, demo_spec())
        return [
            MadeClip(f"seed {seed}", 0.0, MOTIONS[label], {"clip": clip[None]})
            for seed, clip, label in zip(seeds, pixels, labels, strict=True)
        ]

    def stretch_a_channel(self, layer: int, factor: float) -> str:
        """Make one channel between two convolutions huge; what the net answers stays the same.

        The channel's weights and bias are multiplied in front of the ReLU, and its weights in
        the next convolution divided: in INT8 that one's other channels all round to zero.

        Returns:
            Name of the group that suffers.
        """
        groups = plan_placement(self.model).groups
        tensors = {t.name: t for t in self.model.graph.initializer}
        before, after = groups[layer - 1], groups[layer]
        assert before.weight is not None
        assert after.weight is not None
        conv = next(n for n in self.model.graph.node if before.weight.name in n.input)
        for name in conv.input[1:3]:
            values = numpy_helper.to_array(tensors[name]).copy()
            values[0] *= factor
            tensors[name].CopyFrom(numpy_helper.from_array(values, name))
        values = numpy_helper.to_array(tensors[after.weight.name]).copy()
        values[:, 0] /= factor
        tensors[after.weight.name].CopyFrom(numpy_helper.from_array(values, after.weight.name))
        return after.name

    def search(self) -> Search:
        placement = plan_placement(self.model)
        feeds = [clip.feeds for clip in self.calibration]
        ranges = collect_ranges(self.model, placement.tensors, feeds, "minmax")
        return find_mixed(
            evaluate(self.model, self.clips, MOTIONS),
            lambda kept: insert_qdq(self.model, placement, ranges, kept),
            [group.name for group in placement.groups],
            self.clips,
            Gate(),
        )


def test_a_sound_net_is_int8_and_a_sabotaged_layer_is_found(tmp_path: Path) -> None:
    net = RealNet(tmp_path)
    sound = net.search()
    assert sound.outcome == "int8"
    assert sound.comparison is not None
    assert sound.comparison.reference_top1 is not None
    assert sound.comparison.reference_top1 >= 0.95
    assert sound.comparison.mean_sqnr_db > 20

    before = evaluate(net.model, net.clips)
    culprit = net.stretch_a_channel(3, 3000.0)
    assert before.compare(evaluate(net.model, net.clips)).min_sqnr_db > 60

    found = net.search()
    assert (found.outcome, found.kept) == ("mixed", (culprit,))
    assert found.int8 is not None
    assert found.int8.candidate_top1 is not None
    assert found.int8.candidate_top1 < 0.9
    assert found.sensitivity[0].group == culprit
    assert found.sensitivity[0].mean_sqnr_db < found.sensitivity[1].mean_sqnr_db - 10
    assert found.verdict is not None
    assert found.verdict.criterion == "accuracy"
    assert found.verdict.passed
