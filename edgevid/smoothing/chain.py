"""Smoothers one after another, and one face for those that answer at once and those that wait."""

from __future__ import annotations

from collections.abc import Sequence

from edgevid.protocols import DelayedSmoother, Smoother, TimedScores
from edgevid.types import Float32Array


class Unsmoothed:
    """Gives every window's scores back as they are."""

    def update(self, scores: Float32Array, time_s: float) -> Float32Array:  # noqa: ARG002
        return scores

    def reset(self) -> None:
        """Nothing to forget."""


class Chain:
    """Each smoother takes what the one before it gives.

    Args:
        stages: At least one.
    """

    def __init__(self, stages: Sequence[Smoother]) -> None:
        self._stages = tuple(stages)

    def update(self, scores: Float32Array, time_s: float) -> Float32Array:
        """The last one's answer."""
        for stage in self._stages:
            scores = stage.update(scores, time_s)
        return scores

    def reset(self) -> None:
        """All of them forget."""
        for stage in self._stages:
            stage.reset()


class Immediate:
    """A smoother that answers at once, with the face of one that may wait."""

    def __init__(self, smoother: Smoother) -> None:
        self._smoother = smoother

    def push(self, scores: Float32Array, time_s: float) -> list[TimedScores]:
        return [(self._smoother.update(scores, time_s), time_s)]

    def flush(self) -> list[TimedScores]:
        self._smoother.reset()
        return []


class DelayedChain:
    """As `Chain`, where some of the smoothers wait.

    Args:
        stages: At least one.
    """

    def __init__(self, stages: Sequence[Smoother | DelayedSmoother]) -> None:
        self._stages = tuple(as_delayed(stage) for stage in stages)

    def push(self, scores: Float32Array, time_s: float) -> list[TimedScores]:
        """Take a window; the answers that are ready by now, oldest first."""
        return self._through([(scores, time_s)], 0)

    def flush(self) -> list[TimedScores]:
        """Answer all windows that wait, and forget everything."""
        answers: list[TimedScores] = []
        for i, stage in enumerate(self._stages):
            # What a stage lets go of still passes those behind it, before they let go too.
            answers += self._through(stage.flush(), i + 1)
        return answers

    def _through(self, ready: list[TimedScores], first: int) -> list[TimedScores]:
        for stage in self._stages[first:]:
            ready = [answer for scores, time_s in ready for answer in stage.push(scores, time_s)]
        return ready


def as_delayed(smoother: Smoother | DelayedSmoother) -> DelayedSmoother:
    """The smoother itself, or its wrapper, so that both kinds are used alike."""
    return Immediate(smoother) if isinstance(smoother, Smoother) else smoother
