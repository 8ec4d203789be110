"""Eight files that play at their own rate into one engine: shares, and how steady latency is."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from edgevid.benchmarks.live_rows import Row
from edgevid.benchmarks.live_runs import LiveRun, demo_bundle, unaccounted
from edgevid.sources.synthetic import SyntheticSource

SOURCES = 8
FPS = 25
LOAD = 0.70
_START = (1280, 720)
_LOOP_S = 4
_NOISE = 3.0
_WARM_UP_S = 4.0
_SHARE = 0.05
_RATIO = 1.5
_OPTIONS = ["--pace", "realtime", "--max-batch", str(SOURCES), "--max-wait-ms", "20"]


def paced(short: bool) -> list[Row]:
    """Play eight files of a size at which the machine is at 70 % load."""
    seconds = 6.0 if short else 30.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = _START
        for _ in range(0 if short else 2):
            load, _, _ = _play(folder, size, 6.0)
            size = _scaled(size, LOAD / load)
        load, totals_ms, summary = _play(folder, size, seconds)
    counts = [len(of_one) for of_one in totals_ms.values()]
    worst = max(abs(c / np.mean(counts) - 1) for c in counts)
    all_ms = np.concatenate([np.array(of_one) for of_one in totals_ms.values()])
    p50, p99 = np.percentile(all_ms, (50, 99))
    lost = unaccounted(summary)
    what = f"{SOURCES} files of {size[0]}x{size[1]} at {FPS} frames/s, {load:.0%} of the cores busy"
    return [
        Row("paced", f"{what}: farthest from an equal share", f"{_SHARE:.0%}", f"{worst:.1%}",
            len(counts) == SOURCES and bool(worst <= _SHARE)),
        Row("paced", f"p99 over p50 of {all_ms.size} latencies ({p50:.1f} and {p99:.1f} ms)",
            f"{_RATIO:g}", f"{p99 / p50:.2f}", bool(p99 / p50 <= _RATIO)),
        Row("paced", f"{summary['frames_read']} frames read: neither used, skipped nor dropped",
            "0", str(lost), lost == 0),
    ]  # fmt: skip


def _scaled(size: tuple[int, int], area: float) -> tuple[int, int]:
    """A size of so many times the area, each side a multiple of 16, 1920 wide at most."""
    factor = min(area**0.5, 1920 / size[0])
    return (16 * round(size[0] * factor / 16), 16 * round(size[1] * factor / 16))


def _play(
    folder: Path, size: tuple[int, int], seconds: float
) -> tuple[float, dict[str, list[float]], dict[str, Any]]:
    """Share of the machine's cores that was busy; latencies by source; the summary."""
    paths = _files(folder, size, seconds + _WARM_UP_S + 8)
    with LiveRun(demo_bundle(), paths, folder, _OPTIONS) as run:
        run.wait_for(lambda: len(run.predictions) == SOURCES)
        time.sleep(_WARM_UP_S)
        before = run.sample()
        time.sleep(seconds)
        after = run.sample()
        ending = run.stop()
    cores = len(os.sched_getaffinity(0))
    load = (after.cpu_s - before.cpu_s) / (after.at_s - before.at_s) / cores
    totals: dict[str, list[float]] = {}
    for line in run.lines:
        if before.at_s <= line.at_s < after.at_s and line.data["type"] == "prediction":
            totals.setdefault(line.data["source"], []).append(line.data["timings_ms"]["total"])
    return load, totals, ending.summary


def _files(folder: Path, size: tuple[int, int], seconds: float) -> Sequence[str]:
    """A file of that length under eight names; its few seconds of pictures come again and again."""
    path = folder / f"{size[0]}x{size[1]}-{seconds:g}.mp4"
    _write(path, size, seconds)
    names = [folder / f"{number}-{path.name}" for number in range(SOURCES)]
    for name in names:
        if not name.exists():
            name.symlink_to(path)
    return [str(name) for name in names]


def _write(path: Path, size: tuple[int, int], seconds: float) -> None:
    source = SyntheticSource.from_uri(
        f"synthetic:?motions=left,grow&seconds={_LOOP_S // 2}&fps={FPS}&size={size[0]}x{size[1]}"
    )
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"preset": "veryfast", "bf": "0"}
        packets = []
        # A sensor's noise, without which there is next to nothing to decode.
        noise = np.random.default_rng(0).normal(0, _NOISE, (*size[::-1], 3)).astype(np.int16)
        while (frame := source.read()) is not None:
            noisy = frame.data + np.roll(noise, 97 * frame.time.index, axis=(0, 1))
            pixels = np.clip(noisy, 0, 255).astype(np.uint8)
            picture = av.VideoFrame.from_ndarray(pixels, format="bgr24")
            picture.pts, picture.time_base = frame.time.index, Fraction(1, FPS)
            packets += [bytes(p) for p in stream.encode(picture)]
        packets += [bytes(p) for p in stream.encode()]
        for number in range(round(seconds * FPS)):
            packet = av.Packet(packets[number % len(packets)])
            packet.stream, packet.time_base = stream, Fraction(1, FPS)
            packet.pts = packet.dts = number
            packet.is_keyframe = number % len(packets) == 0
            out.mux(packet)
