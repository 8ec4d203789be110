"""The grammar of `--smooth`: `name:amount,option=amount`, one or several joined by `+`.

An amount is a number of windows (`8`), a time (`1.5s`, `500ms`), or a share (`0.3`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from edgevid.errors import SpecError
from edgevid.protocols import DelayedSmoother, Smoother
from edgevid.smoothing.chain import Chain, DelayedChain, Unsmoothed
from edgevid.smoothing.dynamics import Dynamics, Learned, Sticky
from edgevid.smoothing.exponential import ExponentialMean
from edgevid.smoothing.hmm import FixedLagHmm, HmmFilter
from edgevid.smoothing.hysteresis import Hysteresis
from edgevid.smoothing.mean import RollingLogMean, RollingMean
from edgevid.smoothing.median import RollingMedian
from edgevid.smoothing.transitions import read_transitions
from edgevid.smoothing.vote import MajorityVote

SmootherFactory = Callable[[], Smoother | DelayedSmoother]
"""Makes a fresh smoother: one for every stream."""

MAX_WINDOW = 10_000
"""Far beyond any use, and still little memory (80 MB at 1000 classes)."""

MAX_SPAN_S = 600.0
"""The same, for windows by time."""

HINT = (
    "Write none, mean:8, mean:1.5s, logmean:8, ema:0.3, ema:0.8s, vote:9, median:5, "
    "hysteresis:0.1,for=0.5s, hmm:0.95, hmm:4s,lag=1s, or some of them joined by +"
)

_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)(s|ms)?", re.ASCII)


@dataclass
class _Words:
    """What stands behind a smoother's name; each option is taken once."""

    amount: str
    options: dict[str, str]
    labels: Sequence[str]
    multi_label: bool
    folder: Path = field(default_factory=Path)

    def reach(self, text: str, what: str) -> tuple[int | None, float | None]:
        """A number of windows, or seconds."""
        value, unit = _amount(text, what)
        if unit:
            if not 0 < value <= MAX_SPAN_S:
                raise ValueError(f"{what} takes a time above 0 and up to {MAX_SPAN_S:g}s")
            return None, value
        if "." in text or not 1 <= value <= MAX_WINDOW:
            raise ValueError(f"{what} takes a whole number of windows from 1 to {MAX_WINDOW}")
        return int(value), None


def _amount(text: str, what: str) -> tuple[float, str]:
    """Value in seconds or without a unit, and the unit as written."""
    # A pattern, for float() would also take "+8", " 8", "1_000", "nan" and other scripts' digits.
    found = _NUMBER.fullmatch(text)
    if not found:
        raise ValueError(f"{what} takes a number or a time such as 1.5s, not {text!r}")
    number, unit = found.groups()
    return float(number) / (1000 if unit == "ms" else 1), unit or ""


def _none(words: _Words) -> SmootherFactory:
    if words.amount:
        raise ValueError("none takes no number")
    return Unsmoothed


def _mean(words: _Words) -> SmootherFactory:
    windows, span_s = words.reach(words.amount, "mean")
    return lambda: RollingMean(windows, span_s=span_s)


def _logmean(words: _Words) -> SmootherFactory:
    windows, span_s = words.reach(words.amount, "logmean")
    multi_label = words.multi_label
    return lambda: RollingLogMean(windows, span_s=span_s, multi_label=multi_label)


def _ema(words: _Words) -> SmootherFactory:
    value, unit = _amount(words.amount, "ema")
    if unit:
        if not 0 < value <= MAX_SPAN_S:
            raise ValueError(f"ema takes a time constant above 0 and up to {MAX_SPAN_S:g}s")
        return lambda: ExponentialMean(time_constant_s=value)
    if not 0 < value <= 1:
        raise ValueError("ema takes a weight above 0 and at most 1, or a time such as 0.8s")
    return lambda: ExponentialMean(value)


def _vote(words: _Words) -> SmootherFactory:
    windows, span_s = words.reach(words.amount, "vote")
    return lambda: MajorityVote(windows, span_s=span_s)


def _median(words: _Words) -> SmootherFactory:
    windows, span_s = words.reach(words.amount, "median")
    return lambda: RollingMedian(windows, span_s=span_s)


def _hysteresis(words: _Words) -> SmootherFactory:
    margin, unit = _amount(words.amount, "hysteresis")
    if unit or not 0 <= margin <= 1:
        raise ValueError("hysteresis takes a margin from 0 to 1")
    windows, span_s = words.reach(words.options.pop("for", "1"), "for")
    return lambda: Hysteresis(margin, windows or 1, span_s or 0.0)


def _hmm(words: _Words) -> SmootherFactory:
    file = words.options.pop("file", "")
    if bool(file) == bool(words.amount):
        raise ValueError("hmm takes a probability of staying, a mean time, or file=TRANSITIONS.csv")
    if file:
        dynamics: Dynamics = Learned(read_transitions(words.folder / file, words.labels))
    else:
        dynamics = _sticky(words.amount)
    weight, unit = _amount(words.options.pop("weight", "1"), "weight")
    if unit or not 0 < weight <= 1:
        raise ValueError("weight must be above 0 and at most 1")
    if "lag" not in words.options:
        return lambda: HmmFilter(dynamics, weight)
    windows, lag_s = words.reach(words.options.pop("lag"), "lag")
    return lambda: FixedLagHmm(dynamics, windows, lag_s=lag_s, weight=weight)


def _sticky(amount: str) -> Dynamics:
    value, unit = _amount(amount, "hmm")
    if unit:
        if not value > 0:
            raise ValueError("hmm takes a mean time above 0")
        return Sticky(mean_s=value)
    if not 0 < value < 1:
        raise ValueError("hmm takes a probability of staying above 0 and below 1, or a time")
    return Sticky(value)


# A new smoother is one line here and one file beside mean.py.
_KINDS: Mapping[str, Callable[[_Words], SmootherFactory]] = MappingProxyType(
    {
        "none": _none,
        "mean": _mean,
        "logmean": _logmean,
        "ema": _ema,
        "vote": _vote,
        "median": _median,
        "hysteresis": _hysteresis,
        "hmm": _hmm,
    }
)

ONE_LABEL = frozenset({"vote", "hysteresis", "hmm"})
"""Smoothers that assume that one label at a time is true."""


def parse_smoother(
    text: str,
    *,
    labels: Sequence[str] = (),
    multi_label: bool = False,
    folder: Path | None = None,
) -> SmootherFactory:
    """Read a smoothing spec; docs/smoothing.md lists them.

    Args:
        text: Such as `none`, `mean:8`, `mean:4+hysteresis:0.1`.
        labels: One name per class: for transitions from a file.
        multi_label: The scores are sigmoids: several labels may be true at once.
        folder: Where files named in it lie; default: the working folder.

    Returns:
        A factory; call it once for every stream, for a smoother has a memory.

    Raises:
        SpecError: No such smoother, an argument that it cannot take, one that assumes a
            single label for a model of several, or a file that is wrong.
    """
    parts = text.strip().split("+")
    factories = [_part(part, text, labels, multi_label, folder or Path()) for part in parts]
    if len(factories) == 1:
        return factories[0]
    return lambda: _joined([make() for make in factories])


def _part(
    part: str, text: str, labels: Sequence[str], multi_label: bool, folder: Path
) -> SmootherFactory:
    name, _, rest = part.partition(":")
    if name not in _KINDS:
        raise SpecError(f"unknown smoothing {text!r}", HINT)
    if multi_label and name in ONE_LABEL:
        raise SpecError(
            f"smoothing {text!r}: {name} assumes one label at a time, and this model's scores "
            "are sigmoids: several labels may be true at once",
            "Use none, mean:8, logmean:8, ema:0.8s or median:5, and events for each label",
        )
    try:
        words = _Words(*_split(rest), labels, multi_label, folder)
        factory = _KINDS[name](words)
        if words.options:
            raise ValueError(f"{name} has no option {next(iter(words.options))!r}")
    except ValueError as exc:
        raise SpecError(f"smoothing {text!r}: {exc}", HINT) from None
    return factory


def _split(rest: str) -> tuple[str, dict[str, str]]:
    """The amount and the options: "0.1,for=3" gives "0.1" and {"for": "3"}."""
    words = rest.split(",")
    amount = "" if "=" in words[0] else words.pop(0)
    options: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not value:
            raise ValueError(f"{word!r} is no option: it has the form name=value")
        if key in options:
            raise ValueError(f"{key!r} is given twice")
        options[key] = value
    return amount, options


def _joined(stages: Sequence[Smoother | DelayedSmoother]) -> Smoother | DelayedSmoother:
    at_once = [stage for stage in stages if isinstance(stage, Smoother)]
    return Chain(at_once) if len(at_once) == len(stages) else DelayedChain(stages)
