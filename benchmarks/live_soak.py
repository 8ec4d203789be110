"""Four cameras that misbehave all the time, watched from outside for half an hour."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import IO

from edgevid.benchmarks.live_rows import Row, Slope, slope
from edgevid.benchmarks.live_runs import (
    Ending,
    LiveRun,
    Sample,
    demo_bundle,
    given_out,
    unaccounted,
)

_CAMERAS = 4
_EVERY_S = 5.0
_WARM_UP = 1 / 3
"""Of the time: what is filled once (caches, the allocator's arenas) is no growth."""


class _Cameras:
    """The process that plays the cameras.

    Attributes:
        urls: One for each.
        faults: How many of each kind happened so far.
    """

    def __init__(self, every_s: float) -> None:
        command = [sys.executable, "-m", "edgevid.benchmarks.faulty_camera"]
        command += ["--cameras", str(_CAMERAS), "--every", str(every_s)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.urls: list[str] = json.loads(self._process.stdout.readline())["urls"]
        self.faults: Counter[str] = Counter()
        self._reader = threading.Thread(
            target=self._read, args=(self._process.stdout,), daemon=True
        )
        self._reader.start()

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            self.faults[json.loads(line)["kind"]] += 1

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def soak(minutes: float, short: bool) -> list[Row]:
    """Run for so many minutes (half a minute where `short`); crash, memory and counts."""
    seconds = 30.0 if short else minutes * 60
    cameras = _Cameras(_EVERY_S / 5 if short else _EVERY_S)
    try:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "facts.jsonl")
            options = ["--smooth", "mean:8", "--max-batch", "4", "--log", str(log)]
            keep = ("outage",)
            with LiveRun(
                demo_bundle(), cameras.urls, Path(folder), options,
                keep=lambda line: line["type"] in keep, watch_heap=True,
            ) as run:  # fmt: skip
                run.wait_for(lambda: len(run.predictions) == _CAMERAS)
                samples = _watch(run, seconds)
                outages = sum(line.data["attempts"] == 0 for line in run.lines)
                ending = run.stop()
            unforeseen = _unforeseen(log)
    finally:
        cameras.close()
    return _rows(seconds, dict(cameras.faults), outages, samples, ending, unforeseen)


def _unforeseen(log: Path) -> list[str]:
    """What the log tells of faults of edgevid or of a library."""
    facts = [json.loads(line) for line in log.read_text().splitlines()]
    return [fact["reason"] for fact in facts if "traceback" in fact]


def _watch(run: LiveRun, seconds: float) -> list[Sample]:
    samples = [run.sample()]
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        time.sleep(min(1.0, seconds / 30))
        samples.append(run.sample())
        if len(samples) % 60 == 0:
            run.scrape("/metrics")
            s = samples[-1]
            print(
                f"{s.at_s - samples[0].at_s:6.0f} s  {s.rss_mb:7.1f} MB, "
                f"{given_out(s) / 1e3:.1f} MB given out  {s.files} files  "
                f"{s.threads} threads  {s.cpu_s:.0f} s of CPU",
                file=sys.stderr, flush=True,
            )  # fmt: skip
    return samples


def _rows(
    seconds: float,
    faults: dict[str, int],
    outages: int,
    samples: list[Sample],
    ending: Ending,
    unforeseen: list[str],
) -> list[Row]:
    what = ", ".join(f"{count} {kind}" for kind, count in sorted(faults.items()))
    warm = samples[int(len(samples) * _WARM_UP) :]
    hours = [s.at_s / 3600 for s in warm]
    held = slope(hours, [given_out(s) / 1e3 for s in warm])
    resident = slope(hours, [s.rss_mb for s in warm])
    lost = unaccounted(ending.summary)
    length = f"{seconds / 60:g} min, {_CAMERAS} streams"
    sources = ending.summary["sources"]
    least, most = (pick(one["clips"] for one in sources) for pick in (min, max))
    over = [one["error"] for one in sources if one["error"]]
    return [
        Row("soak", f"{length}; faults: {what}; {outages} outages", "no crash",
            f"status {ending.status}; {least} to {most} windows of each answered; "
            f"ended for good: {'; '.join(over) or 'none'}; "
            f"faults that nobody foresaw: {'; '.join(unforeseen) or 'none'}",
            ending.status == 0 and not over and not unforeseen),
        Row("soak", "slope of the memory given out "
            f"({given_out(warm[-1]) / 1e3:.0f} MB at the end)", "zero within noise",
            _an_hour(held), held.is_zero),
        Row("soak", f"slope of resident memory ({warm[-1].rss_mb:.0f} MB at the end)",
            "zero within noise", _an_hour(resident), resident.is_zero),
        Row("soak", "open files, threads: least and most after the warm-up", "nothing leaked",
            f"{_span([s.files for s in warm])}, {_span([s.threads for s in warm])}"),
        Row("soak", f"{ending.summary['frames_read']} frames read: neither used, skipped nor "
            "dropped", "0", str(lost), lost == 0),
        Row("soak", "from SIGTERM to the end", "2 s", f"{ending.seconds:.2f} s",
            ending.seconds <= 2),
    ]  # fmt: skip


def _an_hour(rise: Slope) -> str:
    return f"{rise.rise:+.1f} MB an hour, 95 % interval {rise.low:+.1f} to {rise.high:+.1f}"


def _span(values: list[int]) -> str:
    return f"{min(values)} to {max(values)}"
