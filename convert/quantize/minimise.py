"""Which groups to keep in float: as few as a test that is dear to run lets pass.

worst first   a b c d e f g h i j
keep 1        a                       fails      doubling, until it passes
keep 2        a b                     fails
keep 4        a b c d                 passes
keep 3        a b c                   passes     bisection between 2 and 4
put back      a   c                   fails      each group that was kept, the least
                b c                   fails      harmful first
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

Groups = frozenset[str]
Stage = Literal["bisection", "check", "putting back"]

MAX_PUT_BACK = 16
"""Groups that the search tries to put back."""

_PROBES = (1 / 3, 2 / 3)


class Minimiser:
    """Looks for a small set of groups that have to stay in float.

    It takes for granted that keeping none fails and that keeping all passes. `run` may be
    left at any time by an exception from `passes`; `best` then holds what was found so far.

    Args:
        ordered: The groups, most harmful first.
        passes: Told which groups are kept in float, says whether that is enough.

    Attributes:
        best: The smallest set known to pass; at first, all.
        monotone: False where keeping some of the groups passed, and more of them failed.
    """

    def __init__(self, ordered: Sequence[str], passes: Callable[[Groups, Stage], bool]) -> None:
        self._ordered = tuple(ordered)
        self._passes = passes
        self._known: dict[Groups, bool] = {frozenset(): False, frozenset(ordered): True}
        self.best: Groups = frozenset(ordered)
        self.monotone = True

    def run(self) -> None:
        """At most 2 log2(n) + 1 tests to find a set, two or a bisection more to check that
        the order holds, and `MAX_PUT_BACK` to make it smaller."""
        total = len(self._ordered)
        low, high = 0, 1
        while high < total and not self._keep_worst(high, "bisection"):
            low, high = high, min(2 * high, total)
        count = self._bisect(low, high)
        count = self._check_order(count)
        if count < total:
            self._put_back(count)

    def _bisect(self, low: int, high: int) -> int:
        """The least count in (low, high] that passes, where low fails and high passes."""
        while high - low > 1:
            middle = (low + high) // 2
            if self._keep_worst(middle, "bisection"):
                high = middle
            else:
                low = middle
        return high

    def _check_order(self, count: int) -> int:
        """Bisection trusts that fewer fail where more fail. Try some smaller counts anyhow."""
        failed = 0
        for probe in (int(count * share) for share in _PROBES):
            if self._keep_worst(probe, "check"):
                self.monotone = False
                return self._bisect(failed, probe)
            failed = probe
        return count

    def _put_back(self, count: int) -> None:
        """One after the other, those whose harm alone was least."""
        for group in list(reversed(self._ordered[:count]))[:MAX_PUT_BACK]:
            self._ask(self.best - {group}, "putting back")

    def _keep_worst(self, count: int, stage: Stage) -> bool:
        return self._ask(frozenset(self._ordered[:count]), stage)

    def _ask(self, kept: Groups, stage: Stage) -> bool:
        if kept not in self._known:
            self._known[kept] = self._passes(kept, stage)
            if self._known[kept] and len(kept) < len(self.best):
                self.best = kept
        return self._known[kept]
