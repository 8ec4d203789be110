"""How fast each candidate is, measured side by side, and which of them is kept."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from edgevid.errors import ConversionError
from edgevid.spec import Strict

CandidatePrecision = Literal["int8", "mixed", "fp16", "fp32"]
"""`mixed`: INT8 with some layers kept in higher precision."""

EXPECTED_ORDER: tuple[CandidatePrecision, ...] = ("int8", "mixed", "fp16", "fp32")
"""Fastest first, as a device with INT8 and FP16 arithmetic is expected to run them."""

MARGIN = 0.02
"""Candidates whose times differ by less than this share count as equally fast."""

CLOSE = 0.005
"""Candidates whose agreement differs by less than this count as equally accurate."""

_WARMUP_WINDOW = 3
_WARMUP_CALLS = 30
_WARMUP_S = 10.0
_STEADY = 0.05
_MIN_ROUNDS = 5
_RESAMPLES = 2000
_CONFIDENCE = 0.95

Call = Callable[[], object]


class Ratio(Strict):
    """How many times as fast one candidate is as another.

    Attributes:
        median: Over the rounds; above 1.0: faster.
        low, high: The median's 95 % bootstrap interval over the rounds.
    """

    median: float = Field(gt=0)
    low: float = Field(gt=0)
    high: float = Field(gt=0)


class Timing(Strict):
    """What one candidate took.

    Attributes:
        samples_ms: One a round, in order: the mean time of one call in that round.
        median_ms: Of the samples.
        calls: Calls that were timed.
        steady: False where the warm-up ended before its calls took equally long.
        speedup: Against the baseline, round by round.
    """

    samples_ms: tuple[float, ...] = Field(min_length=1)
    median_ms: float = Field(gt=0)
    calls: int = Field(ge=1)
    steady: bool
    speedup: Ratio


def time_candidates(
    candidates: Mapping[str, Call],
    *,
    baseline: str | None = None,
    rounds: int = 15,
    min_seconds: float = 0.1,
    budget_s: float = 10.0,
    clock: Callable[[], float] = time.perf_counter,
    progress: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
) -> dict[str, Timing]:
    """Time candidates in turns, A B C A B C ..., after each has warmed up.

    Turns make what changes slowly (clock frequency, temperature, other programs) meet all
    candidates alike; ratios are taken within a round, so it cancels out of them.

    Args:
        candidates: Name to what runs it once.
        baseline: The candidate that the others are compared with; default: the last one.
        rounds: Turns of each candidate, at most.
        min_seconds: A turn repeats the call until it has lasted that long.
        budget_s: After so many seconds no further round is begun, but for the first 5.
        clock: Seconds that never run backwards.
        progress: Told the turns that are done, and how many there will be.

    Raises:
        ValueError: There is no candidate or no such baseline, or `rounds` is below 1.
    """
    if not candidates or rounds < 1:
        raise ValueError(f"{len(candidates)} candidates in {rounds} rounds: give one or more")
    baseline = next(reversed(list(candidates))) if baseline is None else baseline
    if baseline not in candidates:
        raise ValueError(f"the baseline {baseline!r} is not among {sorted(candidates)}")

    steady = {name: _warm_up(call, clock) for name, call in candidates.items()}
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    calls = dict.fromkeys(candidates, 0)
    turns = rounds * len(candidates)
    start = clock()
    for done in range(turns):
        round_number, place = divmod(done, len(candidates))
        if place == 0 and round_number >= _MIN_ROUNDS and clock() - start >= budget_s:
            progress(turns, turns)
            break
        name = list(candidates)[done % len(candidates)]
        seconds, count = _turn(candidates[name], min_seconds, clock)
        samples[name].append(seconds / count * 1e3)
        calls[name] += count
        progress(done + 1, turns)
    return {
        name: Timing(
            samples_ms=tuple(taken),
            median_ms=float(np.median(taken)),
            calls=calls[name],
            steady=steady[name],
            speedup=compare_samples(samples[baseline], taken),
        )
        for name, taken in samples.items()
    }


def compare_samples(baseline_ms: Sequence[float], samples_ms: Sequence[float]) -> Ratio:
    """How many times as fast `samples_ms` is as `baseline_ms`, paired by round.

    The interval is the percentile bootstrap of the median of the rounds' ratios (Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13), from a fixed seed.

    Raises:
        ValueError: The two differ in length, or are empty.
    """
    if len(baseline_ms) != len(samples_ms) or len(baseline_ms) == 0:
        raise ValueError(f"{len(baseline_ms)} and {len(samples_ms)} rounds cannot be paired")
    ratios = np.asarray(baseline_ms) / np.asarray(samples_ms)
    picks = np.random.default_rng(0).integers(0, len(ratios), (_RESAMPLES, len(ratios)))
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(np.median(ratios[picks], axis=1), [tail, 1 - tail])
    return Ratio(median=float(np.median(ratios)), low=float(low), high=float(high))


def _warm_up(call: Call, clock: Callable[[], float]) -> bool:
    """Call until the times no longer fall; False where they still did at the end."""
    last: deque[float] = deque(maxlen=2 * _WARMUP_WINDOW)
    start = clock()
    for _ in range(_WARMUP_CALLS):
        last.append(_turn(call, 0.0, clock)[0])
        if len(last) == last.maxlen:
            before, after = np.median(np.reshape(last, (2, -1)), axis=1)
            if after >= before * (1 - _STEADY):
                return True
        if clock() - start >= _WARMUP_S:
            break
    return False


def _turn(call: Call, min_seconds: float, clock: Callable[[], float]) -> tuple[float, int]:
    """Seconds that passed, and the calls that took them: at least one."""
    count = 0
    start = clock()
    while True:
        call()
        count += 1
        elapsed = clock() - start
        if elapsed >= min_seconds:
            return elapsed, count


@dataclass(frozen=True)
class Contender:
    """A candidate as the choice sees it.

    Attributes:
        name: For people, such as "INT8".
        precision: Of its graph.
        passed: It answers like the original, by the gate.
        agreement: Share of clips with the same best class as in FP32, in [0, 1].
        megabytes: Size of its graph, in 10^6 bytes.
    """

    name: str
    precision: CandidatePrecision
    passed: bool
    agreement: float
    megabytes: float


@dataclass(frozen=True)
class Choice:
    """The candidate that is kept.

    Attributes:
        name: As in its `Contender`.
        reason: Why, in one sentence for people.
        by_speed: The times decided, not only the expectation.
    """

    name: str
    reason: str
    by_speed: bool


def choose(
    contenders: Sequence[Contender],
    timings: Mapping[str, Timing],
    *,
    engine: str,
    is_device: bool,
    decisive: bool | None = None,
) -> Choice:
    """Of the candidates that pass the gate, keep the fastest.

    Where the times decide, those within noise of the fastest (the interval of the ratio
    reaches 1, or the difference is under `MARGIN`) count as equal: of these the smallest is
    kept that agrees as often as the best of them, but for `CLOSE`.

    Where they do not, the first that passes of int8, mixed, fp16, fp32 is kept. That is so by
    default where nothing was timed on the device itself: a PC's processor computes FP16 by
    way of FP32 and INT8 by other instructions than a GPU, so its times would throw out what
    is fastest on the device. They are told in the reason all the same.

    Args:
        contenders: FP32, which always passes, among them.
        timings: By name; who is missing could not be timed.
        engine: What they were timed on, for people.
        is_device: It is the kind of engine that the bundle is for: TensorRT on a GPU.
        decisive: Whether the times decide; None: as `is_device` says. True is for a bundle
            that will run on the very engine that was timed, or at the user's wish.

    Raises:
        ConversionError: No candidate passes the gate.
    """
    ranked = sorted(contenders, key=lambda c: EXPECTED_ORDER.index(c.precision))
    passed = [c for c in ranked if c.passed]
    if not passed:
        raise ConversionError(
            f"none of {', '.join(c.name for c in ranked)} answers like the original",
            "Convert with --precision fp32, or allow more with --max-drop",
        )
    where = engine if is_device else f"{engine}, not the device"
    timed = [c for c in passed if c.name in timings]
    if timed and (is_device if decisive is None else decisive):
        kept = _fastest(timed, timings)
        why = [_why_not(c, kept, timings, where) for c in ranked[: ranked.index(kept)]]
        return Choice(kept.name, "; ".join([*why, _praise(kept, ranked, timings, where)]), True)
    kept = passed[0]
    why = [_why_not(c, kept, {}, where) for c in ranked[: ranked.index(kept)]]
    why.append(f"{kept.name} kept, agreement {_percent(kept.agreement)}")
    why.extend(_aside(kept, timed, timings, where))
    return Choice(kept.name, "; ".join(why), False)


def _fastest(timed: Sequence[Contender], timings: Mapping[str, Timing]) -> Contender:
    """The fastest, or what is best among those that are as fast within noise."""
    fastest = min(timed, key=lambda c: timings[c.name].median_ms)
    equal = [c for c in timed if _as_fast(c.name, fastest.name, timings)]
    best = max(c.agreement for c in equal)
    return min((c for c in equal if best - c.agreement < CLOSE), key=lambda c: c.megabytes)


def _as_fast(name: str, other: str, timings: Mapping[str, Timing]) -> bool:
    """True where `name` is not slower than `other` beyond noise."""
    ratio = _ratio(name, other, timings)
    return ratio.high >= 1 or ratio.median > 1 - MARGIN


def _ratio(name: str, other: str, timings: Mapping[str, Timing]) -> Ratio:
    """How many times as fast `name` is as `other`."""
    return compare_samples(timings[other].samples_ms, timings[name].samples_ms)


def _why_not(out: Contender, kept: Contender, timings: Mapping[str, Timing], where: str) -> str:
    """Why a candidate that was expected to be faster is not kept."""
    if not out.passed:
        return f"{out.name} fails the gate (agreement {_percent(out.agreement)})"
    if out.name not in timings:
        return f"{out.name} could not be timed on {where}"
    if _as_fast(out.name, kept.name, timings):
        return (
            f"{out.name} is not faster than {kept.name} here ({where}) beyond noise, "
            f"agreement {_percent(out.agreement)}"
        )
    times = _times(_ratio(out.name, kept.name, timings).median)
    return f"{out.name} {times} as fast as {kept.name} here ({where})"


def _praise(
    kept: Contender, ranked: Sequence[Contender], timings: Mapping[str, Timing], where: str
) -> str:
    """Speed against the highest precision that was timed, and agreement."""
    last = next(c for c in reversed(ranked) if c.name in timings)
    agreement = f"agreement {_percent(kept.agreement)}"
    if last is kept:
        return f"{kept.name} kept, {agreement}"
    times = _times(_ratio(kept.name, last.name, timings).median)
    return f"{kept.name} kept: {times} as fast as {last.name} ({where}), {agreement}"


def _aside(
    kept: Contender, timed: Sequence[Contender], timings: Mapping[str, Timing], where: str
) -> Iterator[str]:
    """What times that did not decide say."""
    others = [c for c in timed if c is not kept]
    if kept not in timed or not others:
        yield "its speed was not compared"
        return
    pace = ", ".join(
        f"{_times(_ratio(kept.name, c.name, timings).median)} as fast as {c.name}" for c in others
    )
    yield f"times here ({where}) did not decide: {pace}"


def _times(ratio: float) -> str:
    """ "1.9 times": two digits that count."""
    digits = max(1 - math.floor(math.log10(ratio)), 1)
    return f"{ratio:.{digits}f} times" if ratio < 10 else f"{ratio:.0f} times"


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
