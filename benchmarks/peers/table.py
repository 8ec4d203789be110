"""The comparison as a Markdown table."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Mapping, Sequence
from datetime import date

from edgevid.benchmarks.harness.ratios import paired_ratio
from edgevid.benchmarks.peers.peers import AUTO, EDGEVID, Peer
from edgevid.benchmarks.peers.rounds import Passes

_HEAD = (
    "", "frames/s", "CPU ms a frame", "memory, MB", "same labels",
    "edgevid is", "with `auto`",
)  # fmt: skip


def table(peers: Sequence[Peer], found: Mapping[str, Passes], frames: int) -> str:
    """A row each; the last two columns say how many times as fast edgevid is.

    Args:
        frames: In the video.
    """
    rows = [_row(peer, found, frames) for peer in peers]
    lines = ["| " + " | ".join(_HEAD) + " |", "|---" * len(_HEAD) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines + _footnotes(peers, found))


def _row(peer: Peer, found: Mapping[str, Passes], frames: int) -> list[str]:
    passes = found[peer.key]
    if passes.failure:
        return [peer.title, "did not run", *[""] * (len(_HEAD) - 2)]
    return [
        peer.title,
        f"{frames / statistics.median(passes.seconds):.0f}",
        f"{statistics.median(passes.cpu_s) / frames * 1e3:.2f}",
        f"{passes.peak_mb:.0f}",
        "" if peer.key == EDGEVID else _agreement(passes, found[EDGEVID]),
        _times(found[EDGEVID], passes),
        _times(found.get(AUTO), passes),
    ]


def _agreement(passes: Passes, reference: Passes) -> str:
    """Share of equal labels; counts where there are more or fewer."""
    if reference.failure:
        return "?"
    pairs = list(zip(passes.labels, reference.labels, strict=False))
    share = sum(a == b for a, b in pairs) / max(len(pairs), 1)
    counted = len(passes.labels) == len(reference.labels)
    return f"{share:.1%}" + ("" if counted else f" ({len(passes.labels)} of them)")


def _times(edgevid: Passes | None, other: Passes) -> str:
    """How many times as fast edgevid is, with an interval where there are rounds enough."""
    if edgevid is None or edgevid.failure or edgevid is other:
        return ""
    ratio = paired_ratio(other.seconds, edgevid.seconds)
    if ratio.low is None or ratio.high is None:
        return f"{ratio.value:.2f}×"
    return f"{ratio.value:.2f}× ({ratio.low:.2f} to {ratio.high:.2f})"


def _footnotes(peers: Sequence[Peer], found: Mapping[str, Passes]) -> list[str]:
    """Who did not run, and whose labels may differ."""
    failed = [found[p.key].failure + "." for p in peers if found[p.key].failure]
    differ = [f"{p.title} {p.remark}." for p in peers if p.remark and not found[p.key].failure]
    return ["", *failed, *differ] if failed or differ else []


def heading(
    model: str, video: str, frames: int, stride: int, threads: int, rounds: int, cores: int
) -> str:
    """What was measured, on what."""
    return (
        f"{model} on {video} ({frames} frames, every {stride}th labelled), {threads} engine "
        f"thread(s), {cores} cores, Python {platform.python_version()}, median of {rounds} rounds "
        f"in turn, {date.today():%d %B %Y}:\n"
    )


def versions(found: Mapping[str, Passes]) -> str:
    """Every package that took part, once for each version."""
    seen = {f"{name} {v}" for passes in found.values() for name, v in passes.versions.items()}
    return "Versions: " + ", ".join(sorted(seen)) + "."
