"""What is tried: smoothers by kind, and rules of events."""

from __future__ import annotations

from itertools import product

from edgevid.events import EventRule
from edgevid.smoothing.parse import ONE_LABEL

COMPARED = (
    "none", "mean:8", "mean:0.8s", "logmean:8", "ema:0.4", "ema:0.8s", "vote:9", "median:9",
    "hysteresis:0.1,for=0.4s", "hmm:0.95", "hmm:5s", "hmm:5s,lag=0.8s",
    "hmm:60s,weight=0.1,lag=3s", "mean:4+hysteresis:0.1",
)  # fmt: skip
"""One or two of each kind, which the table always shows."""

_WINDOWS = (2, 3, 4, 6, 8, 12, 16, 24, 32)
_ODD = (3, 5, 9, 15, 25)
_SPANS = ("0.3s", "0.5s", "0.8s", "1.2s", "2s", "3s")
_WEIGHTS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7)
_TAUS = ("0.2s", "0.4s", "0.8s", "1.2s", "2s", "3s")
_MARGINS = (0, 0.05, 0.1, 0.2, 0.3, 0.5)
_WAITS = ("1", "0.2s", "0.4s", "0.8s", "1.2s", "1.6s", "2s", "3s")
_STAYS = (0.6, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
_LASTS = ("0.5s", "1s", "2s", "5s", "15s", "60s", "300s")
_WEIGHTED = ("5s", "15s", "60s", "300s")
_EVIDENCE = (0.05, 0.1, 0.2)
_LAGS = ("0.4s", "0.8s", "1.5s", "3s")


def smoothers(multi_label: bool) -> list[str]:
    """Specs of smoothers, simple ones first, each once.

    Args:
        multi_label: Leave out those that assume that one label at a time is true.
    """
    windows = [str(n) for n in _WINDOWS]
    hysteresis = [f"hysteresis:{m},for={w}" for m, w in product(_MARGINS, _WAITS)]
    hmms = [f"hmm:{v}" for v in (*_STAYS, *_LASTS)]
    plain = [
        *(f"mean:{v}" for v in (*windows, *_SPANS)),
        *(f"ema:{v}" for v in (*_WEIGHTS, *_TAUS)),
        *(f"median:{v}" for v in (*map(str, _ODD), *_SPANS)),
        *(f"logmean:{v}" for v in (*windows, *_SPANS)),
        *(f"vote:{v}" for v in (*map(str, _ODD), *_SPANS)),
    ]
    firsts = ("mean:2", "mean:4", "mean:8", "ema:0.4", "ema:0.4s", "logmean:4", "hmm:0.9", "hmm:5s")
    chains = [f"{a}+{b}" for a, b in product(firsts, hysteresis)]
    weighted = [f"hmm:{v},weight={w}" for v, w in product(_WEIGHTED, _EVIDENCE)]
    lagged = [f"{h},lag={lag}" for h, lag in product((*hmms[::5], *weighted), _LAGS)]
    found = dict.fromkeys([*COMPARED, *plain, *hysteresis, *hmms, *weighted, *chains, *lagged])
    return [spec for spec in found if not multi_label or not _needs_one_label(spec)]


def _needs_one_label(spec: str) -> bool:
    return any(part.partition(":")[0] in ONE_LABEL for part in spec.split("+"))


def event_rules() -> list[EventRule]:
    """Rules of events, simple ones first."""
    levels = [
        (onset, offset)
        for onset in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
        for offset in (onset, onset - 0.2)
        if offset > 0
    ]
    return [
        EventRule(onset, round(offset, 2), min_s, merge_s)
        for min_s, merge_s in product((0.0, 0.4, 1.0), (0.0, 0.4, 1.0))
        for onset, offset in levels
    ]
