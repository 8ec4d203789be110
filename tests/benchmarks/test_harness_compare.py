"""Two results against each other: what may be compared, and what the verdict says."""

from __future__ import annotations

from datetime import timedelta

import pytest
from made_results import made_result

from edgevid.benchmarks.harness import compare_page, markdown
from edgevid.benchmarks.harness.compare import Comparison, compare, took_turns
from edgevid.benchmarks.harness.results import Mark, Result, Samples
from edgevid.benchmarks.harness.wording import verdict_text
from edgevid.device.state import MachineState
from edgevid.errors import SpecError


def later(result: Result, seconds: float = 3600.0) -> Result:
    return result.model_copy(update={"started": result.started + timedelta(seconds=seconds)})


def changed(result: Result, **settings) -> Result:
    return result.model_copy(update={"settings": result.settings.model_copy(update=settings)})


def test_runs_made_apart_differ_only_beyond_their_intervals():
    first = made_result()
    same = compare(first, later(made_result(seed=5)))
    assert same.main.ratio.verdict == "no difference seen"
    assert not same.main.ratio.paired
    assert same.main.ratio.low < 1 < same.main.ratio.high
    slow = compare(first, later(made_result(13.5, seed=1)), ("old", "new"))
    assert slow.main.ratio.verdict == "slower"
    assert slow.main.ratio.value == pytest.approx(12 / 13.5, rel=0.02)
    assert slow.figures["rate"].ratio.verdict == "slower", "fewer clips a second are slower too"
    assert "new is slower than old" in verdict_text(slow)
    assert "two runs made apart" in verdict_text(slow)
    assert slow.reliable
    assert not slow.reservations


def test_the_same_thing_differs_by_more_than_stated_in_about_1_of_20_tries():
    wrong = sum(
        compare(
            made_result(seed=2 * i, n=60), later(made_result(seed=2 * i + 1, n=60))
        ).figures["p50_ms"].ratio.verdict
        != "no difference seen"
        for i in range(100)
    )  # fmt: skip
    assert wrong <= 10


def test_rounds_that_took_turns_are_paired():
    first, second = made_result(), made_result(12.3, seed=1)
    assert took_turns(first, later(second, 1.5))
    assert not took_turns(first, later(second))
    fewer = second.model_copy(update={"samples": Samples(rounds=second.samples.rounds[:5])})
    assert not took_turns(first, fewer)
    found = compare(first, later(second, 1.5))
    assert found.main.ratio.paired
    assert "took turns" in verdict_text(found)


def test_turns_may_go_to_and_fro():
    result = made_result(rounds=4)
    rounds = result.samples.rounds
    starts = {0: (0.0, 30.0, 40.0, 70.0), 1: (10.0, 20.0, 50.0, 60.0)}
    a, b = (
        result.model_copy(
            update={
                "samples": Samples(
                    rounds=tuple(
                        r.model_copy(update={"started_s": s})
                        for r, s in zip(rounds, starts[i], strict=True)
                    )
                )
            }
        )
        for i in (0, 1)
    )
    assert took_turns(a, b)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (made_result(scenario="offline"), "the scenario is single in one, offline in the other"),
        (changed(made_result(), engine_only=True), "engine only is False in one, True"),
        (changed(made_result(), target_ms=50.0), "the target in ms is None in one, 50.0"),
    ],
)
def test_answers_to_different_questions_are_refused(other, said):
    with pytest.raises(SpecError, match=said):
        compare(made_result(), other)


def test_results_without_a_common_figure_are_refused():
    first = made_result()
    other = made_result(figures={"frames_per_s": first.figures["rate"]})
    with pytest.raises(SpecError, match="no figure in common"):
        compare(first, other)


def test_another_machine_and_throttling_make_the_verdict_unreliable():
    first = made_result()
    environment = first.environment | {"CPU": "Cortex-A57, 4 cores", "edgevid": "0.2.0"}
    other = later(
        made_result(
            seed=3,
            environment=environment,
            marks=(Mark(kind="throttled", text="at 14 s"), Mark(kind="note", text="x")),
            machine_before=MachineState(power_mode="7W"),
        )
    )
    found = compare(first, other, ("a", "b"))
    assert found.reservations == (
        "b is marked throttled: at 14 s",
        "another machine: CPU is Cortex-A78AE, 6 cores and Cortex-A57, 4 cores",
        "another power mode: none and 7W",
    )
    assert found.differences == ("edgevid: 0.1.0 and 0.2.0",)
    assert not found.reliable


def test_what_changes_from_minute_to_minute_is_no_difference():
    moments = (
        {"memory": "7.4 GiB, 5.1 GiB available", "power": "4.1 W", "CPU": "x"},
        {"memory": "7.4 GiB, 4.9 GiB available", "power": "4.3 W", "CPU": "x"},
    )
    first, second = (made_result(environment=moment) for moment in moments)
    found = compare(first, second)
    assert not found.differences
    assert not found.reservations


def test_a_busy_machine_spoils_runs_made_apart_but_not_turns():
    busy = (Mark(kind="busy", text="load 3.1"),)
    first = made_result()
    assert not compare(first, later(made_result(seed=1, marks=busy))).reliable
    assert compare(first, later(made_result(seed=1, marks=busy), 1.5)).reliable


def test_other_graphs_engines_and_settings_are_said():
    first = made_result()
    model = first.model.model_copy(
        update={"sha256": {"model.onnx": "cd" * 32}, "engine": "openvino 2026.0"}
    )
    found = compare(first, changed(made_result(model=model), threads=2, batch=4, seed=9))
    assert found.differences == (
        "the model: two graphs called gesture (int8)",
        "the engine: onnxruntime 1.23 (CPU, 1 thread) and openvino 2026.0",
        "batch: 1 and 4",
        "threads: 1 and 2",
    )


def test_slower_by_more_than_a_few_percent_must_be_sure():
    first = made_result()
    found = compare(first, later(made_result(12.6, seed=1)))  # 5 % slower
    assert found.slower_than(0)
    assert not found.slower_than(5)
    assert not compare(first, later(made_result(seed=5))).slower_than(0)


def test_too_few_rounds_are_said():
    first = made_result()
    bare = {
        name: figure.model_copy(update={"low": None, "high": None, "rounds": (figure.value,)})
        for name, figure in first.figures.items()
    }
    found = compare(later(first), made_result(figures=bare))
    assert found.main.ratio.verdict == "too few rounds"
    assert not found.reliable
    assert not found.slower_than(0)
    assert "Too few rounds to tell" in verdict_text(found)
    assert "too few rounds" in markdown.render_comparison(found)


def test_the_page_shows_both():
    first, second = made_result(), later(made_result(13.0, seed=1))
    found = compare(first, second, ("old.json", "new.json"))
    page = compare_page.render(found, first, second)
    assert "new.json is slower than old.json" in page
    assert page.count("<svg") == 2
    assert Comparison.model_validate_json(found.model_dump_json()) == found
