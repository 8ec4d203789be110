"""Sweeps: which settings, in which order, what is best, and how it is shown."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_results import full_result, made_result
from rich.console import Console

from edgevid.benchmarks.harness import markdown, sweep_page
from edgevid.benchmarks.harness.pareto import METRICS, against, front, known_metrics
from edgevid.benchmarks.harness.results import Mark
from edgevid.benchmarks.harness.sweep import (
    Accuracy,
    Point,
    Skipped,
    Sweep,
    parse_axes,
    settings_of,
    take_turns,
)
from edgevid.benchmarks.harness.table import print_sweep
from edgevid.errors import SpecError


def test_axes_become_settings_the_last_one_changing_fastest():
    axes = parse_axes(["batch=1,2,2", " threads = 1, 2 ", "hop=0.5", "engine=openvino"])
    assert axes == {"batch": (1, 2), "threads": (1, 2), "hop": (0.5,), "engine": ("openvino",)}
    grid = settings_of(axes)
    assert [(s["batch"], s["threads"]) for s in grid] == [(1, 1), (1, 2), (2, 1), (2, 2)]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["size=1"], "unknown axis 'size'. Give one of batch, streams, threads, hop, engine"),
        (["precision=int8,fp16"], "the precision is fixed in a bundle. Convert one for each"),
        (["resolution=112"], "the resolution is fixed in a bundle"),
        (["batch"], "a value is missing. Write batch=1,2,4"),
        (["batch=1,,2"], "a value is missing"),
        (["batch=0"], "'0' is not a whole number from 1 on"),
        (["threads=two"], "'two' is not a whole number"),
        (["batch=1.5"], "'1.5' is not a whole number"),
        (["hop=-1"], "'-1' is not a number of seconds above 0"),
        (["hop=inf"], "'inf' is not a number of seconds"),
        (["hop=nan"], "'nan' is not a number of seconds"),
        (["batch=1", "batch=2"], "batch is given twice"),
    ],
)
def test_impossible_axes_are_one_line(texts, said):
    with pytest.raises(SpecError, match=said.replace("'", ".").replace("(", ".")) as caught:
        parse_axes(texts)
    assert "\n" not in str(caught.value)


def test_a_grid_without_end_is_refused():
    axes = {name: tuple(range(1, 11)) for name in ("batch", "threads", "streams")}
    with pytest.raises(SpecError, match="1000 combinations"):
        settings_of(axes)


class Counting:
    """A measurement that notes when it has its turn."""

    def __init__(self, name: int, log: list[int], turns: int, fails: str = "") -> None:
        self.turns = turns
        self._name, self._log, self._fails = name, log, fails
        self.measured = False
        self.ended_early = False

    def turn(self) -> None:
        if self._fails == "Ctrl-C" and self.measured:
            raise KeyboardInterrupt
        if self._fails and self._fails != "Ctrl-C":
            raise SpecError(self._fails)
        self.measured = True
        self._log.append(self._name)

    def end_early(self) -> None:
        self.ended_early = True

    def result(self):
        return made_result()


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_every_point_has_its_turns_spread_over_the_run(turns):
    log: list[int] = []
    seen: list[tuple[int, int]] = []
    settings = [{"batch": i} for i in range(len(turns))]
    measured, skipped = take_turns(
        settings,
        lambda s: Counting(s["batch"], log, turns[s["batch"]]),
        lambda done, total: seen.append((done, total)),
    )
    assert [s["batch"] for s, _ in measured] == list(range(len(turns)))
    assert not skipped
    assert [log.count(i) for i in range(len(turns))] == turns
    assert seen[-1][0] == sum(turns)
    assert all(done <= total for done, total in seen)
    least = min(turns)
    for number in range(least):
        block = log[number * len(turns) : (number + 1) * len(turns)]
        assert sorted(block) == list(range(len(turns))), "one round of each before the next"
        assert block == sorted(block, reverse=number % 2 == 1)


def test_a_setting_that_cannot_be_measured_is_left_out_with_its_reason():
    log: list[int] = []
    measured, skipped = take_turns(
        [{"batch": 1}, {"batch": 64}],
        lambda s: Counting(s["batch"], log, 3, "too many" if s["batch"] == 64 else ""),
    )
    assert [s for s, _ in measured] == [{"batch": 1}]
    assert skipped == [Skipped(setting={"batch": 64}, reason="too many")]
    assert log == [1, 1, 1]
    with pytest.raises(SpecError, match="too many"):
        take_turns([{"batch": 64}, {"batch": 65}], lambda _: Counting(1, log, 3, "too many"))


def test_ctrl_c_keeps_what_was_measured():
    log: list[int] = []
    measured, _ = take_turns(
        [{"batch": 1}, {"batch": 2}], lambda s: Counting(s["batch"], log, 9, "Ctrl-C")
    )
    assert [s["batch"] for s, _ in measured] == [1, 2]
    assert all(measurement.ended_early for _, measurement in measured)
    assert log == [1, 2]

    def interrupted(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take_turns([{"batch": 1}], interrupted)


def made_sweep(**changes) -> Sweep:
    points = []
    for number, threads in enumerate((1, 2, 4)):
        result = made_result((12.0, 7.0, 7.3)[number], seed=number, n=60)
        if "power" in changes:
            result = result.model_copy(update={"power": full_result().power})
        points.append(
            Point(
                setting={"threads": threads, "hop": 0.5},
                result=result,
                accuracy=Accuracy(value=0.98, of="top-1 on 120 labelled clips"),
                against_first=against(points[0].result, result) if points else None,
            )
        )
    return Sweep(
        command="edgevid bench a.edgevid --sweep threads=1,2,4,64",
        started=points[0].result.started,
        seconds=60.0,
        axes={"threads": (1, 2, 4), "hop": (0.5,)},
        points=tuple(points),
        skipped=(Skipped(setting={"threads": 64, "hop": 0.5}, reason="there are 6 cores"),),
    )


def test_the_front_is_what_nothing_beats():
    sweep = made_sweep()
    metrics = known_metrics(sweep.points)
    assert [m.head for m in metrics] == ["clips/s", "ms", "accuracy"], "no energy was measured"
    assert front(sweep.points, metrics) == [False, True, False]
    assert front(sweep.points[:1], metrics) == [True]
    twice = (sweep.points[1], sweep.points[1])
    assert front(twice, metrics) == [True, True], "equals do not beat each other"


def test_energy_is_a_metric_where_every_point_has_it():
    points = made_sweep(power=True).points
    assert known_metrics(points) == list(METRICS)
    assert known_metrics([points[0], made_sweep().points[0]])[-1].head == "accuracy"


def test_throughput_against_the_first_is_paired():
    points = made_sweep().points
    assert points[1].against_first.verdict == "faster"
    assert points[1].against_first.paired
    assert points[1].against_first.value == pytest.approx(12 / 7, rel=0.03)
    assert against(made_result(rounds=3), made_result(rounds=4)) is None


def printed(sweep: Sweep) -> str:
    out = io.StringIO()
    print_sweep(sweep, Console(file=out, width=80, highlight=False))
    return out.getvalue()


@pytest.mark.parametrize("render", [printed, markdown.render_sweep, sweep_page.render])
def test_every_form_shows_the_points_and_what_was_left_out(render):
    text = render(made_sweep())
    for words in (
        "Best throughput: threads 2, hop 0.5", "98 %", "threads 64, hop 0.5: there are 6 cores",
        "faster", "INT8",
    ):  # fmt: skip
        assert words in text, words
    assert "2\\*" in text or "2*" in text


def test_marks_of_points_are_shown():
    sweep = made_sweep()
    throttled = made_result(marks=(Mark(kind="throttled", text="at 3 s"),))
    last = sweep.points[2].model_copy(update={"result": throttled})
    marked = sweep.model_copy(update={"points": (*sweep.points[:2], last)})
    assert "throttled: point 3: at 3 s" in printed(marked)
    assert "throttled</b>: point 3: at 3 s" in sweep_page.render(marked)


def test_the_page_has_a_chart_of_each_pair_and_of_each_axis():
    page = sweep_page.render(made_sweep())
    assert page.count("<svg") == 3 + 2
    assert "Throughput by threads" in page
    assert "Accuracy against latency" in page
    with_power = sweep_page.render(made_sweep(power=True))
    assert with_power.count("<svg") == 6 + 2
    assert Sweep.model_validate_json(made_sweep().model_dump_json()) == made_sweep()
