"""An RTSP server that is killed and started again while four sources are watched."""

from __future__ import annotations

import random
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from edgevid.benchmarks.live_rows import Row, Slope, slope
from edgevid.benchmarks.live_runs import (
    Ending,
    LiveRun,
    Sample,
    demo_bundle,
    given_out,
    python_blocks,
    unaccounted,
)
from edgevid.benchmarks.rtsp_server import MISSING, RtspServer

_HOP_S = 0.2
_TIMES, _SHORT_TIMES = 80, 3
_CALM_S, _SHORT_CALM_S = 90.0, 2.0
"""Watched without an outage, before them and after."""

_OTHERS = [f"synthetic:?live=1&seconds=3600&seed={seed}" for seed in (1, 2, 3)]
_FOUND_S = 5.0
_BACK_S = 2.0


@dataclass(frozen=True)
class _Outage:
    """One loss: how it was brought about, when it was told, when the return was told."""

    how: str
    found_s: float
    back_s: float


def reconnect(short: bool) -> list[Row]:
    """Kill the server 80 times (3 where `short`), and let it hang an eighth as often.

    What a leak takes, every outage takes. Memory is therefore compared over the second half of the
    outages, when what only they need is loaded and filled, with as much time without any.
    """
    if not RtspServer.is_possible():
        return [Row("reconnect", MISSING, "", "", None)]
    times = _SHORT_TIMES if short else _TIMES
    calm_s = _SHORT_CALM_S if short else _CALM_S
    ways = ["killed"] * times + ["hung"] * max(times // 8, 1)
    random.Random(1).shuffle(ways)
    with tempfile.TemporaryDirectory() as folder:
        server = RtspServer(Path(folder, "none.mp4"))
        try:
            sources = [server.url("camera"), *_OTHERS]
            with LiveRun(demo_bundle(), sources, Path(folder), watch_heap=True) as run:
                run.wait_for(lambda: len(run.predictions) == len(sources))
                time.sleep(calm_s)
                calm_until_s = time.monotonic()
                outages, samples = [], []
                for way in ways:
                    samples.append(_when_well(run, sources[0]))
                    outages.append(_lose(run, server, way))
                samples.append(_when_well(run, sources[0]))
                calm = _watch(run, calm_s)
                ending = run.stop()
        finally:
            server.kill()
    gaps = [_largest_gap(run, calm_until_s, before) for before in (True, False)]
    return [*_rows(outages, samples, gaps, ending), *_memory(samples, calm)]


def _when_well(run: LiveRun, source: str) -> Sample:
    """What the process holds once the source is answered again."""
    before = run.predictions.get(source, 0)
    run.wait_for(lambda: run.predictions[source] >= before + 3)
    return run.sample()


def _watch(run: LiveRun, seconds: float) -> list[Sample]:
    """What the process holds, again and again, while nothing happens to it."""
    until_s = time.monotonic() + seconds
    samples = []
    while time.monotonic() < until_s:
        samples.append(run.sample())
        time.sleep(seconds / 40)
    return samples


def _lose(run: LiveRun, server: RtspServer, way: str) -> _Outage:
    """Take the server away and bring it back."""
    told = len(_outage_lines(run))
    lost_s = time.monotonic()
    if way == "killed":
        server.kill()
    else:
        server.signal(signal.SIGSTOP)
    run.wait_for(lambda: len(_outage_lines(run)) > told, 30)
    time.sleep(random.Random(told).uniform(0, 1.5))
    if way == "hung":
        server.kill()
    server.start()
    up_s = time.monotonic()
    run.wait_for(lambda: len(_outage_lines(run)) > told + 1, 30)
    found_at_s, back_at_s = _outage_lines(run)[-2:]
    return _Outage(way, found_at_s - lost_s, back_at_s - up_s)


def _outage_lines(run: LiveRun) -> list[float]:
    return [line.at_s for line in run.lines if line.data["type"] == "outage"]


def _largest_gap(run: LiveRun, until_s: float, before: bool) -> float:
    """Seconds between two answers of one of the others, at most, before that time or after it."""
    gaps = [0.0]
    for name in _OTHERS:
        times = [
            line.at_s
            for line in run.lines
            if line.data["source"] == name and (line.at_s < until_s) == before
        ]
        gaps += [b - a for a, b in pairwise(times)]
    return max(gaps)


def _rows(
    outages: list[_Outage], samples: list[Sample], gaps: list[float], ending: Ending
) -> list[Row]:
    rows = []
    for way in ("killed", "hung"):
        found = [o.found_s for o in outages if o.how == way]
        rows.append(
            Row("reconnect", f"server {way} {len(found)} times: until it is told, at most",
                f"{_FOUND_S:g} s", f"{max(found):.2f} s", max(found) < _FOUND_S)
        )  # fmt: skip
    back = sorted(o.back_s for o in outages)
    files, threads = {s.files for s in samples[1:]}, {s.threads for s in samples[1:]}
    others = [s for s in ending.summary["sources"] if s["source"] in _OTHERS]
    disturbed = sum(s["outages"] + s["frames_dropped"] + s["clips_dropped"] for s in others)
    lost = unaccounted(ending.summary)
    return [
        *rows,
        Row("reconnect", "from the server's return to the stream's, at most "
            f"(median {back[len(back) // 2]:.2f} s)", f"{_BACK_S:g} s", f"{back[-1]:.2f} s",
            back[-1] < _BACK_S),
        Row("reconnect", "open files and threads after each return", "nothing leaked",
            f"{_span(files)} and {_span(threads)}", len(files) == len(threads) == 1),
        Row("reconnect", f"three other sources, a window every {_HOP_S:g} s: longest time between "
            f"two answers of one ({gaps[0]:.2f} s before the first outage)", "they never notice",
            f"{gaps[1]:.2f} s; outages, frames and windows dropped: {disturbed}",
            disturbed == 0 and gaps[1] < 2 * _HOP_S),
        Row("reconnect", f"{ending.summary['frames_read']} frames read: neither used, skipped nor "
            "dropped", "0", str(lost), lost == 0),
    ]  # fmt: skip


def _memory(samples: list[Sample], calm: list[Sample]) -> list[Row]:
    """What an outage takes, beside what as much time takes without one."""
    first = len(samples) // 2
    outages = samples[first:]
    every_s = (outages[-1].at_s - outages[0].at_s) / (len(outages) - 1)
    figures: list[tuple[str, str, Callable[[Sample], float]]] = [
        ("memory given out", " kB", given_out),
        ("small objects of Python", "", python_blocks),
        (f"resident memory ({outages[0].rss_mb:.1f} MB)", " kB", lambda s: s.rss_mb * 1e3),
    ]
    rows = []
    for what, unit, figure in figures:
        rise = slope(range(len(outages)), [figure(s) for s in outages])
        rest = slope([s.at_s / every_s for s in calm], [figure(s) for s in calm])
        rows.append(
            Row("reconnect", f"{what} for each outage after the first {first}; in as much time "
                "without one", "nothing leaked", f"{_each(rise, unit)}; {_each(rest, unit)}",
                rise.low <= max(rest.high, 0.0))
        )  # fmt: skip
    return rows


def _each(rise: Slope, unit: str) -> str:
    return f"{rise.rise:+.1f}{unit} ({rise.low:+.1f} to {rise.high:+.1f})"


def _span(values: set[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"
