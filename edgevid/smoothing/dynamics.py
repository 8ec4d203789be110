"""How labels follow each other, for hidden Markov models.

A transition matrix has in row i, column j the probability that label j follows label i. Those
here never build it where it has only two values: applying it is then one multiplication.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from edgevid.smoothing.reach import Float64Array


class Dynamics(Protocol):
    """The transitions A from one window to the next."""

    def forward(self, belief: Float64Array, step_s: float) -> Float64Array:
        """A^T `belief`: what is to be expected `step_s` later; both `(C,)` sum to 1."""
        ...

    def backward(self, evidence: Float64Array, step_s: float) -> Float64Array:
        """A `evidence` but for a factor: what it says about `step_s` earlier, `(C,)`."""
        ...


class Sticky:
    """A label stays with one probability; all others follow equally often.

    Args:
        stay: Of staying from one window to the next, above 0 and below 1.
        mean_s: Or: how long a label lasts on average, in seconds. Between windows dt apart
            the matrix is then exp(Q dt), with Q the rates of a Markov process in continuous
            time (Norris 1997, Markov Chains, section 2.1), so that the answer does not depend
            on how many windows a second there are.

    Raises:
        ValueError: Not exactly one of them is given, or it is out of range.
    """

    def __init__(self, stay: float | None = None, *, mean_s: float | None = None) -> None:
        if (stay is None) == (mean_s is None):
            raise ValueError("give a probability of staying, or a mean time")
        if stay is not None and not 0 < stay < 1:
            raise ValueError(f"stay {stay} must be above 0 and below 1")
        if mean_s is not None and not mean_s > 0:
            raise ValueError(f"mean_s {mean_s} must be above 0")
        self._stay = stay
        self._mean_s = mean_s

    def forward(self, belief: Float64Array, step_s: float) -> Float64Array:
        """See `Dynamics`."""
        on_top, each = self._values(len(belief), step_s)
        expected: Float64Array = belief * on_top
        expected += each
        return expected

    def backward(self, evidence: Float64Array, step_s: float) -> Float64Array:
        """See `Dynamics`."""
        on_top, each = self._values(len(evidence), step_s)
        before: Float64Array = evidence * (on_top / evidence.sum())
        before += each
        return before

    def _values(self, count: int, step_s: float) -> tuple[float, float]:
        """What the diagonal has beyond the other entries, and these."""
        if count == 1:
            return 1.0, 0.0
        leave = self._leave(count, step_s)
        each = leave / (count - 1)
        return 1 - leave - each, each

    def _leave(self, count: int, step_s: float) -> float:
        if self._stay is not None:
            return 1 - self._stay
        assert self._mean_s is not None
        share = (count - 1) / count
        return share * -math.expm1(-max(step_s, 0.0) / self._mean_s / share)


class Learned:
    """Any transition matrix, from one window to the next.

    Args:
        matrix: `(C, C)`, rows that sum to 1.
    """

    def __init__(self, matrix: Float64Array) -> None:
        self._matrix = np.ascontiguousarray(matrix, np.float64)
        self._transposed = np.ascontiguousarray(self._matrix.T)

    def forward(self, belief: Float64Array, step_s: float) -> Float64Array:  # noqa: ARG002
        """See `Dynamics`."""
        return self._transposed @ belief

    def backward(self, evidence: Float64Array, step_s: float) -> Float64Array:  # noqa: ARG002
        """See `Dynamics`."""
        before: Float64Array = self._matrix @ evidence
        before /= before.sum()
        return before
