"""What queueing theory says of a server with a constant service time, M/D/1."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

_DIGITS = 60
"""Terms of the sum alternate and are large: floats would cancel."""


def share_that_waits_at_most(wait: float, load: float) -> float:
    """P(W <= wait), both in units of the service time.

    Erlang 1909, as Crommelin 1932 has it for one server:
    (1 - load) sum over k from 0 to floor(wait) of (-u)^k / k! e^u, with u = load (wait - k).
    """
    with localcontext() as context:
        context.prec = _DIGITS
        rho, t, total = Decimal(load), Decimal(wait), Decimal(0)
        for k in range(int(t) + 1):
            u = rho * (t - k)
            total += ((-u) ** k if k else Decimal(1)) / math.factorial(k) * u.exp()
        return float((1 - rho) * total)


def highest_load(target: float, percentile: float) -> float:
    """The load at which that share of latencies is within the target, in service times."""
    low, high = 0.0, 1.0
    while high - low > 1e-6:
        load = (low + high) / 2
        holds = share_that_waits_at_most(target - 1, load) >= percentile / 100
        low, high = (load, high) if holds else (low, load)
    return low
