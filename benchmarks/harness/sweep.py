"""Many settings measured as one run: their rounds take turns, and what is best is shown.

    batch=1,2 threads=1,2        1 1    1 2    2 1    2 2
    round 1                      ──►    ──►    ──►    ──►
    round 2                      ◄──    ◄──    ◄──    ◄──
    round 3                      ──►    ...

What changes slowly (clocks, heat, other programs) meets all points alike, every other round
backwards, so points can be compared round by round.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Literal, Protocol

from pydantic import AwareDatetime, Field

from edgevid.benchmarks.harness.ratios import Ratio
from edgevid.benchmarks.harness.results import Result
from edgevid.errors import EdgevidError, SpecError
from edgevid.strict import Strict

Value = int | float | str
Setting = dict[str, Value]
"""Axis to value: one point of the grid."""

SWEEP_VERSION: Literal[1] = 1

_COUNTS = ("batch", "streams", "threads")
_AXES = (*_COUNTS, "hop", "engine")
_IN_THE_BUNDLE = ("model", "precision", "resolution")
_MOST_POINTS = 100


class Accuracy(Strict):
    """How good a model's answers are, as its conversion found out."""

    value: float = Field(ge=0, le=1)
    of: str = Field(description="What it is a share of.")


class Point(Strict):
    """One setting and what was measured with it."""

    setting: dict[str, Value]
    result: Result
    accuracy: Accuracy | None = None
    against_first: Ratio | None = Field(
        None, description="How many times as fast as the first point, round by round."
    )


class Skipped(Strict):
    """One setting that could not be measured, and why."""

    setting: dict[str, Value]
    reason: str


class Sweep(Strict):
    """Everything that a sweep found."""

    schema_version: Literal[1] = SWEEP_VERSION
    command: str
    started: AwareDatetime
    seconds: float
    axes: dict[str, tuple[Value, ...]]
    points: tuple[Point, ...]
    skipped: tuple[Skipped, ...] = ()


class Measurement(Protocol):
    """One point while it is measured."""

    turns: int

    @property
    def measured(self) -> bool:
        """Whether there is anything to tell yet."""
        ...

    def turn(self) -> None:
        """Measure one round.

        Raises:
            EdgevidError: The point cannot be measured.
        """
        ...

    def end_early(self) -> None:
        """Take what was measured for all there will be."""
        ...

    def result(self) -> Result:
        """What all rounds found."""
        ...


def parse_axes(texts: Sequence[str]) -> dict[str, tuple[Value, ...]]:
    """`batch=1,2,4` and others, each to its values, in the order given.

    Raises:
        SpecError: An axis is unknown or given twice, or a value is impossible.
    """
    axes: dict[str, tuple[Value, ...]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip()
        if name in _IN_THE_BUNDLE:
            raise SpecError(
                f"--sweep {text}: the {name} is fixed in a bundle",
                "Convert one for each and give them all: edgevid bench A.edgevid B.edgevid",
            )
        if name not in _AXES:
            raise SpecError(
                f"--sweep {text}: unknown axis {name!r}", f"Give one of {', '.join(_AXES)}"
            )
        if name in axes:
            raise SpecError(f"--sweep {name} is given twice", "Give all its values in one list")
        listed = [value.strip() for value in values.split(",")]
        if not equals or not all(listed):
            raise SpecError(f"--sweep {text}: a value is missing", f"Write {name}=1,2,4")
        axes[name] = tuple(dict.fromkeys(_value(name, value) for value in listed))
    return axes


def _value(axis: str, text: str) -> Value:
    if axis == "engine":
        return text
    try:
        number = int(text) if axis in _COUNTS else float(text)
    except ValueError:
        number = 0
    if not math.isfinite(number) or number <= 0:
        kind = "a whole number from 1 on" if axis in _COUNTS else "a number of seconds above 0"
        raise SpecError(f"--sweep {axis}: {text!r} is not {kind}")
    return number


def settings_of(axes: Mapping[str, Sequence[Value]]) -> list[Setting]:
    """Every combination, the last axis changing fastest.

    Raises:
        SpecError: There are more than a run can hold.
    """
    count = math.prod(len(values) for values in axes.values())
    if count > _MOST_POINTS:
        raise SpecError(
            f"{count} combinations to measure; at most {_MOST_POINTS} make sense in one run",
            "Leave some values out",
        )
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


def take_turns(
    settings: Sequence[Setting],
    begin: Callable[[Setting], Measurement],
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[list[tuple[Setting, Measurement]], list[Skipped]]:
    """Measure every setting, round by round in turns.

    A setting that cannot be measured (a batch that the model does not take) is left out with
    its reason; the others go on. Ctrl-C ends it with what was measured, marked `interrupted`.

    Args:
        settings: At least one.
        begin: Prepares one; called for each before the first round.
        progress: Told the rounds that are done, and how many there will be.

    Returns:
        Those that were measured, and those that were not.

    Raises:
        EdgevidError: None could be measured: the first one's reason.
    """
    begun: list[tuple[Setting, Measurement]] = []
    skipped: list[Skipped] = []
    try:
        _all_turns(settings, begin, progress, begun, skipped)
    except KeyboardInterrupt:
        if not any(measurement.measured for _, measurement in begun):
            raise
        for _, measurement in begun:
            measurement.end_early()
    return [(s, m) for s, m in begun if m.measured], skipped


def _all_turns(
    settings: Sequence[Setting],
    begin: Callable[[Setting], Measurement],
    progress: Callable[[int, int], None],
    begun: list[tuple[Setting, Measurement]],
    skipped: list[Skipped],
) -> None:
    first_error: EdgevidError | None = None
    for setting in settings:
        try:
            measurement = begin(setting)
            begun.append((setting, measurement))
            measurement.turn()
        except EdgevidError as exc:
            first_error = first_error or exc
            begun[:] = [(s, m) for s, m in begun if s is not setting]
            skipped.append(Skipped(setting=setting, reason=str(exc)))
        most = max((m.turns for _, m in begun), default=1)
        progress(len(begun), most * (len(settings) - len(skipped)))
    if first_error is not None and not begun:
        raise first_error
    total = sum(m.turns for _, m in begun)
    for done, measurement in enumerate(_further_turns([m for _, m in begun]), len(begun)):
        measurement.turn()
        progress(done + 1, total)


def _further_turns(measurements: Sequence[Measurement]) -> Iterator[Measurement]:
    """Whose turn it is, after each had its first: to and fro."""
    for number in range(1, max(m.turns for m in measurements)):
        order = measurements if number % 2 == 0 else measurements[::-1]
        yield from (m for m in order if m.turns > number)
