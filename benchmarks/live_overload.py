"""Four cameras that ask three times what the engine can do: memory, latency and counts.

The engine is a scripted one that takes its time asleep, so that the load is exact.
"""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgevid.benchmarks.live_rows import Row, slope
from edgevid.benchmarks.live_runs import unaccounted
from edgevid.engines.scripted import ScriptedEngine
from edgevid.pipeline import CaptureJob, NamedSource, Stream
from edgevid.sources import open_source
from edgevid.spec import ClipSpec, InputSpec
from edgevid.types import Prediction, TensorInfo

_LANES, _FPS, _FRAMES, _HOP = 4, 30, 8, 3
_OVERLOAD = 3.0
_SERVICE_S = _OVERLOAD * _HOP / (_LANES * _FPS)
_SIZE = (64, 64)


def overload(short: bool) -> list[Row]:
    """Run for a minute (five seconds where `short`)."""
    seconds = 5.0 if short else 60.0
    uris = [f"synthetic:?live=1&seconds=600&fps={_FPS}&seed={n}" for n in range(_LANES)]
    stream = Stream(
        _engine(), ("a", "b"), [[_named(uri)] for uri in uris],
        CaptureJob(
            ClipSpec(num_frames=_FRAMES, fps=_FPS, hop_s=_HOP / _FPS),
            (InputSpec(name="clip", layout="NTHWC", size=_SIZE),),
        ),
    )  # fmt: skip
    started_s = time.monotonic()
    # What is kept here is looked at as well: eight bytes a number.
    times, memory_mb, totals_ms = array("d"), array("d"), array("d")

    def look() -> None:
        elapsed_s = time.monotonic() - started_s
        if not times or elapsed_s - times[-1] > 0.1:
            times.append(elapsed_s)
            memory_mb.append(_rss_mb())
        if elapsed_s > seconds:
            stream.stop()

    for result in stream.results(look):
        if isinstance(result, Prediction):
            totals_ms.append(result.timings.total_ms)
    return _rows(stream, times, memory_mb, totals_ms)


def _engine() -> ScriptedEngine:
    return ScriptedEngine(
        [TensorInfo("clip", (1, _FRAMES, *_SIZE, 3), "uint8")],
        [TensorInfo("scores", (1, 2), "float32")],
        [[0.25, 0.75]],
        service_s=_SERVICE_S,
    )


def _named(uri: str) -> NamedSource:
    return NamedSource(uri, lambda: open_source(uri))


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _rows(
    stream: Stream, times: Sequence[float], memory_mb: Sequence[float], totals_ms: Sequence[float]
) -> list[Row]:
    summary = stream.summary.to_dict()
    warm = len(times) // 3
    rise = slope([t / 60 for t in times[warm:]], memory_mb[warm:])
    bound_ms = 1e3 * (_SERVICE_S * (_LANES + 1) + _HOP / _FPS)
    lost = unaccounted(summary)
    answered, dropped = summary["clips"], summary["clips_dropped"]
    due = sum((s["frames_used"] - _FRAMES) // _HOP + 1 for s in summary["sources"])
    what = f"{_LANES} cameras, {_OVERLOAD:g} times what the engine can do, {times[-1]:.0f} s"
    return [
        Row("overload", f"{what}: slope of memory", "flat",
            f"{rise.rise:+.2f} MB a minute, 95 % interval {rise.low:+.2f} to {rise.high:+.2f}",
            rise.low <= 0 or rise.rise < 0.1),
        Row("overload", f"longest latency (p50 {np.median(totals_ms):.0f} ms); asked: a call for "
            "every source, the one that runs, and a hop", f"{bound_ms:.0f} ms",
            f"{max(totals_ms):.0f} ms", max(totals_ms) <= bound_ms),
        Row("overload", f"{due} windows due: {answered} answered, {dropped} dropped", "all counted",
            f"{due - answered - dropped} not counted", due == answered + dropped),
        Row("overload", f"{summary['frames_read']} frames read: neither used, skipped nor dropped",
            "0", str(lost), lost == 0),
    ]  # fmt: skip
