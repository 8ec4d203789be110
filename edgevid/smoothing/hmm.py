"""Hidden Markov models: the label is hidden, the scores are the evidence for it.

    belief(t)  ~  scores(t) * A^T belief(t - 1)           filter: what is known by now
    answer(t)  ~  belief(t) * evidence of windows after   fixed lag: what is known a bit later

A classifier's scores are p(label | window); divided by the labels' prior they are the
likelihood of the window but for a factor (Bourlard & Morgan 1994, Connectionist Speech
Recognition, chapter 7). The prior is taken as even, as is the belief before the first window.
(Rabiner 1989, "A Tutorial on Hidden Markov Models", Proc. IEEE 77:257, section III.)

Windows that share most of their frames make the same mistake together, and an HMM that takes each
for new evidence soon believes it. A weight w below 1 takes scores ** w instead (the acoustic scale
of speech decoders): with w = hop / window, frames count once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from edgevid.protocols import TimedScores
from edgevid.smoothing.dynamics import Dynamics
from edgevid.smoothing.mean import FLOOR
from edgevid.smoothing.reach import ROUNDING_S, Float64Array
from edgevid.types import Float32Array


class HmmFilter:
    """The probability of each label, given the windows so far (the forward algorithm).

    Args:
        dynamics: How labels follow each other.
        weight: Of each window as evidence, above 0 and at most 1.

    Raises:
        ValueError: The weight is out of range.
    """

    def __init__(self, dynamics: Dynamics, weight: float = 1.0) -> None:
        if not 0 < weight <= 1:
            raise ValueError(f"weight {weight} must be above 0 and at most 1")
        self._dynamics = dynamics
        self._weight = weight
        self._belief: Float64Array | None = None
        self._time_s = 0.0

    def update(self, scores: Float32Array, time_s: float) -> Float32Array:
        """The belief `(C,)` float32, which sums to 1.

        Raises:
            ValueError: The number of classes changed without a `reset`.
        """
        return self.believe(self.evidence(scores), time_s).astype(np.float32)

    def evidence(self, scores: Float32Array) -> Float64Array:
        """What the scores say about each label, `(C,)` above 0."""
        floored: Float64Array = np.maximum(scores, FLOOR, dtype=np.float64)
        return floored if self._weight == 1 else floored**self._weight

    def believe(self, evidence: Float64Array, time_s: float) -> Float64Array:
        """The belief in float64, from evidence `(C,)` above 0."""
        belief = self._belief
        if belief is None:
            belief = evidence
        elif evidence.shape != belief.shape:
            raise ValueError(f"scores are {belief.shape}; got {evidence.shape}")
        else:
            belief = self._dynamics.forward(belief, time_s - self._time_s) * evidence
        self._belief = belief * (1 / belief.sum())
        self._time_s = time_s
        return self._belief

    def reset(self) -> None:
        """Forget all windows."""
        self._belief = None


@dataclass(frozen=True)
class _Waiting:
    belief: Float64Array
    evidence: Float64Array
    time_s: float


class FixedLagHmm:
    """The probability of each label, given also the windows of a while after it.

    Each window is answered once windows of `lag_s` seconds (or so many windows) after it are
    there: the filter's belief times the evidence of those (the backward algorithm over the
    lag; Moore 1973, "Discrete-time fixed-lag smoothing algorithms", Automatica 9:163).

    Args:
        dynamics: How labels follow each other.
        windows: The lag in windows, at least 1.
        lag_s: Or in seconds, above 0.
        weight: As for `HmmFilter`.

    Raises:
        ValueError: Not exactly one of them is given, or it is out of range.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        windows: int | None = None,
        *,
        lag_s: float | None = None,
        weight: float = 1.0,
    ) -> None:
        if (windows is None) == (lag_s is None):
            raise ValueError("a lag is a number of windows or a time")
        if windows is not None and windows < 1:
            raise ValueError(f"windows {windows} must be at least 1")
        if lag_s is not None and not lag_s > 0:
            raise ValueError(f"lag_s {lag_s} must be above 0")
        self._dynamics = dynamics
        self._windows = windows
        self._lag_s = lag_s
        self._filter = HmmFilter(dynamics, weight)
        self._waiting: deque[_Waiting] = deque()

    def push(self, scores: Float32Array, time_s: float) -> list[TimedScores]:
        """Take a window; the answers to those that have waited long enough, oldest first."""
        evidence = self._filter.evidence(scores)
        belief = self._filter.believe(evidence, time_s)
        self._waiting.append(_Waiting(belief, evidence, time_s))
        if self._windows is not None:
            return self._answer(len(self._waiting) - self._windows)
        assert self._lag_s is not None
        latest = time_s - self._lag_s + ROUNDING_S
        due = 0
        while due < len(self._waiting) and self._waiting[due].time_s <= latest:
            due += 1
        return self._answer(due)

    def flush(self) -> list[TimedScores]:
        """Answer all windows that wait, with what is there, and forget everything."""
        answers = self._answer(len(self._waiting))
        self._filter.reset()
        return answers

    def _answer(self, count: int) -> list[TimedScores]:
        """Take the oldest `count` windows out, each weighed with all that came after it."""
        if count <= 0:
            return []
        waiting = list(self._waiting)
        after: Float64Array | None = None
        answers: list[TimedScores] = []
        for i in range(len(waiting) - 1, -1, -1):
            window = waiting[i]
            if i < count:
                belief = window.belief if after is None else window.belief * after
                answers.append(((belief / belief.sum()).astype(np.float32), window.time_s))
            if i:
                after = window.evidence if after is None else window.evidence * after
                after = self._dynamics.backward(after, window.time_s - waiting[i - 1].time_s)
        for _ in range(count):
            self._waiting.popleft()
        return answers[::-1]
