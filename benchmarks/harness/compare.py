"""Two results against each other: which is faster, as far as noise allows to say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Literal

from pydantic import Field

from edgevid.benchmarks.harness.ratios import Ratio, independent_ratio, paired_ratio
from edgevid.benchmarks.harness.results import Figure, MarkKind, Result
from edgevid.benchmarks.harness.statistics import Interval
from edgevid.errors import SpecError
from edgevid.strict import Strict

_SPOILT: tuple[MarkKind, ...] = ("throttled", "busy")
"""Marks of a result that speaks of a disturbance as well; turns share the second one."""

_RELEASE = re.compile(r"\d+\.\d")
"""What a version of software begins with."""

_MOMENTARY = ("CPU clocks", "GPU clocks", "power", "throttling")
"""What an environment tells of a moment; the machine's state before and after has it too."""

_AVAILABLE = re.compile(r", [^,]* available$")

_FREE = {"duration_s", "rounds", "seed"}
"""Settings that change how sure figures are, not what they are of."""


class Change(Strict):
    """One figure in both results."""

    unit: str
    better: Literal["lower", "higher"]
    first: float
    second: float
    ratio: Ratio = Field(description="How many times as fast (as good) the second is.")


class Comparison(Strict):
    """What two results say about each other.

    Attributes:
        first, second: Their names.
        figures: By name, the scenario's own metric first.
        differences: What is not the same in the two.
        reservations: Why the verdict may be about something else than the two: another machine,
            throttling. Then it is not to be relied on.
    """

    schema_version: Literal[1] = 1
    first: str
    second: str
    figures: dict[str, Change]
    differences: tuple[str, ...]
    reservations: tuple[str, ...]

    @property
    def main(self) -> Change:
        """The scenario's own metric."""
        return next(iter(self.figures.values()))

    @property
    def reliable(self) -> bool:
        """False where the verdict may be about something else, or there is none."""
        return not self.reservations and self.main.ratio.low is not None

    def slower_than(self, percent: float) -> bool:
        """True where the second is surely slower by more than so many percent."""
        high = self.main.ratio.high
        return high is not None and high < 1 - percent / 100


def compare(first: Result, second: Result, names: tuple[str, str] = ("A", "B")) -> Comparison:
    """Compare every figure that both have.

    Results whose rounds took turns are compared round by round, others by the intervals that
    they state.

    Raises:
        SpecError: They are not of the same thing: another scenario, engine only or not, another
            target, or no figure in common.
    """
    _check_same_question(first, second)
    paired = took_turns(first, second)
    figures = {
        name: _change(figure, second.figures[name], paired)
        for name, figure in first.figures.items()
        if name in second.figures and _measured(figure) and _measured(second.figures[name])
    }
    if not figures:
        raise SpecError(f"{names[0]} and {names[1]} have no figure in common")
    reservations = [
        f"{name} is marked {mark.kind}: {mark.text}"
        for name, result in zip(names, (first, second), strict=True)
        for mark in result.marks
        if mark.kind in _SPOILT[: 1 if paired else None]
    ]
    reservations += _other_machine(first, second)
    return Comparison(
        first=names[0],
        second=names[1],
        figures=figures,
        differences=tuple(_differences(first, second)),
        reservations=tuple(reservations),
    )


def took_turns(first: Result, second: Result) -> bool:
    """True where every round of one lies beside a round of the other in time."""
    starts = [
        sorted(result.started + timedelta(seconds=r.started_s) for r in result.samples.rounds)
        for result in (first, second)
    ]
    if len(starts[0]) != len(starts[1]) or not starts[0]:
        return False
    order = sorted([(at, 0) for at in starts[0]] + [(at, 1) for at in starts[1]])
    return all({a, b} == {0, 1} for (_, a), (_, b) in zip(order[::2], order[1::2], strict=True))


def _check_same_question(first: Result, second: Result) -> None:
    pairs: dict[str, tuple[object, object]] = {
        "the scenario": (first.scenario, second.scenario),
        "engine only": (first.settings.engine_only, second.settings.engine_only),
        "the target in ms": (first.settings.target_ms, second.settings.target_ms),
    }
    for what, (a, b) in pairs.items():
        if a != b:
            raise SpecError(
                f"the results answer different questions: {what} is {a} in one, {b} in the other",
                "Measure both with the same options",
            )


def _measured(figure: Figure) -> bool:
    return figure.value > 0 and (figure.low is not None or bool(figure.rounds))


def _change(a: Figure, b: Figure, paired: bool) -> Change:
    times = a.better == "lower"
    if paired and len(a.rounds) == len(b.rounds) and min([*a.rounds, *b.rounds], default=0) > 0:
        ratio = paired_ratio(a.rounds, b.rounds, times=times)
    elif None in (a.low, a.high, b.low, b.high):
        value = a.value / b.value if times else b.value / a.value
        ratio = Ratio(
            value=value, low=None, high=None, confidence=a.confidence, verdict="too few rounds",
            paired=False,
        )  # fmt: skip
    else:
        ratio = independent_ratio(_interval(a), _interval(b), times=times)
    return Change(unit=a.unit, better=a.better, first=a.value, second=b.value, ratio=ratio)


def _interval(figure: Figure) -> Interval:
    assert figure.low is not None
    assert figure.high is not None
    return Interval(
        value=figure.value, low=figure.low, high=figure.high, confidence=figure.confidence
    )


def _other_machine(first: Result, second: Result) -> Iterator[str]:
    for key, (a, b) in _unequal(_lasting(first), _lasting(second)).items():
        if not (_RELEASE.match(a) or _RELEASE.match(b)):
            yield f"another machine: {key} is {a or 'unknown'} and {b or 'unknown'}"
    before = first.machine_before, second.machine_before
    for what, values in (
        ("power mode", [state.power_mode for state in before]),
        ("governor", [", ".join(dict.fromkeys(state.governors)) for state in before]),
        ("clocks fixed", [state.clocks_fixed for state in before]),
    ):
        if values[0] != values[1]:
            yield f"another {what}: {values[0] or 'none'} and {values[1] or 'none'}"


def _differences(first: Result, second: Result) -> Iterator[str]:
    if first.model.sha256 != second.model.sha256:
        a, b = (f"{r.model.name} ({r.model.precision})" for r in (first, second))
        yield f"the model: {a} and {b}" if a != b else f"the model: two graphs called {a}"
    if first.model.engine != second.model.engine:
        yield f"the engine: {first.model.engine} and {second.model.engine}"
    for key, (x, y) in _unequal(_settings(first), _settings(second)).items():
        yield f"{key}: {x} and {y}"
    for key, (x, y) in _unequal(_lasting(first), _lasting(second)).items():
        if _RELEASE.match(x) or _RELEASE.match(y):
            yield f"{key}: {x or 'none'} and {y or 'none'}"


def _lasting(result: Result) -> dict[str, str]:
    """The environment without what changes from one minute to the next."""
    return {
        key: _AVAILABLE.sub("", value)
        for key, value in result.environment.items()
        if key not in _MOMENTARY
    }


def _settings(result: Result) -> dict[str, str]:
    settings = result.settings.model_dump(exclude=_FREE)
    return {key: "its own" if value is None else str(value) for key, value in settings.items()}


def _unequal(a: Mapping[str, str], b: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Keys whose values differ, with both; "" where one lacks it."""
    keys = dict.fromkeys([*a, *b])
    return {k: (a.get(k, ""), b.get(k, "")) for k in keys if a.get(k) != b.get(k)}
