"""The grammar of `--smooth`: `name` or `name:argument`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from edgevid.errors import SpecError
from edgevid.protocols import Smoother
from edgevid.smoothing.mean import RollingMean
from edgevid.types import Float32Array

SmootherFactory = Callable[[], Smoother]
"""Makes a fresh smoother: one for every stream."""

MAX_WINDOW = 10_000
"""Far beyond any use, and still little memory (80 MB at 1000 classes)."""


class Unsmoothed:
    """Gives every window's scores back as they are."""

    def update(self, scores: Float32Array, time_s: float) -> Float32Array:  # noqa: ARG002
        return scores

    def reset(self) -> None:
        """Nothing to forget."""


def _none(argument: str) -> SmootherFactory:
    if argument:
        raise ValueError("none takes no number")
    return Unsmoothed


def _mean(argument: str) -> SmootherFactory:
    # isdecimal and isascii: int() would also take "+8", " 8", "1_000" and other scripts' digits.
    window = int(argument) if argument.isdecimal() and argument.isascii() else 0
    if not 1 <= window <= MAX_WINDOW:
        raise ValueError(f"mean takes a whole number of windows from 1 to {MAX_WINDOW}")
    return lambda: RollingMean(window)


# A new smoother is one line here and one file beside mean.py.
_KINDS: Mapping[str, Callable[[str], SmootherFactory]] = MappingProxyType(
    {"none": _none, "mean": _mean}
)


def parse_smoother(text: str) -> SmootherFactory:
    """Read a smoothing spec: `none`, or `mean:8` (rolling mean over the last 8 windows).

    Returns:
        A factory; call it once for every stream, for a smoother has a memory.

    Raises:
        SpecError: No such smoother, or an argument that it cannot take.
    """
    name, _, argument = text.strip().partition(":")
    hint = "Write none, or mean:N such as mean:8"
    if name not in _KINDS:
        raise SpecError(f"unknown smoothing {text!r}", hint)
    try:
        return _KINDS[name](argument)
    except ValueError as exc:
        raise SpecError(f"smoothing {text!r}: {exc}", hint) from None
