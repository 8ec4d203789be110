"""Eight files that play at their own rate into one engine: shares, and how steady latency is."""

from __future__ import annotations

import io
import math
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from edgevid.benchmarks.live_material import resnet18_fp32
from edgevid.benchmarks.live_rows import Row
from edgevid.benchmarks.live_runs import LiveRun, unaccounted
from edgevid.sources.synthetic import SyntheticSource

SOURCES = 8
FPS = 25
LOAD = 0.70
_ENGINE_LOAD = 0.65
"""Of one core: how long the engine may be busy, which has one thread."""
_START = (1280, 720)
_START_STRIDE = 10
_LOOP_S = 4
_TRIES, _NEAR = 6, 0.02
_NOISE = 3.0
_WARM_UP_S = 4.0
_SHARE = 0.05
_RATIO = 1.5


@dataclass(frozen=True)
class _Played:
    """One run: share of the cores that was busy, medians and latencies, and its summary."""

    load: float
    infer_ms: float
    totals_ms: dict[str, list[float]]
    summary: dict[str, Any]
    seconds: float

    @property
    def engine_load(self) -> float:
        """Share of the cores that the engine took."""
        counts = sum(len(of_one) for of_one in self.totals_ms.values())
        return counts * self.infer_ms / 1e3 / self.seconds / _cores()


def paced(short: bool, say: Callable[[str], None]) -> list[Row]:
    """A ResNet-18 on eight files; how often it looks, and their size, make a load of 70 %."""
    bundle = resnet18_fp32(say)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size, stride = _START, _START_STRIDE
        # How much there is to decode does not grow evenly with the size.
        for _ in range(1 if short else _TRIES):
            tried = _play(bundle, folder, size, stride, 3.0 if short else 2.0 * _LOOP_S)
            say(f"{size[0]}x{size[1]}, every {stride}th frame: {tried.load:.0%}")
            if abs(tried.load - LOAD) < _NEAR:
                break
            beside = (LOAD - _ENGINE_LOAD / _cores()) / (tried.load - tried.engine_load)
            size = _scaled(size, beside)
            stride = math.ceil(SOURCES * FPS * tried.infer_ms / 1e3 / _ENGINE_LOAD)
        played = _play(bundle, folder, size, stride, 4.0 if short else 30.0)
    what = f"{SOURCES} files of {size[0]}x{size[1]} at {FPS} frames/s, every {stride}th labelled"
    return _rows(what, played)


def _rows(what: str, played: _Played) -> list[Row]:
    counts = [len(of_one) for of_one in played.totals_ms.values()]
    worst = max(abs(c / np.mean(counts) - 1) for c in counts)
    all_ms = np.concatenate([np.array(of_one) for of_one in played.totals_ms.values()])
    p50, p99 = np.percentile(all_ms, (50, 99))
    lost = unaccounted(played.summary)
    return [
        Row("paced", f"{what}, {played.load:.0%} of the cores busy: farthest from an equal share",
            f"{_SHARE:.0%}", f"{worst:.1%}", len(counts) == SOURCES and bool(worst <= _SHARE)),
        Row("paced", f"p99 over p50 of {all_ms.size} latencies ({p50:.1f} and {p99:.1f} ms; the "
            f"engine alone {played.infer_ms:.1f} ms)",
            f"{_RATIO:g}", f"{p99 / p50:.2f}", bool(p99 / p50 <= _RATIO)),
        Row("paced", f"{played.summary['frames_read']} frames read: neither used, skipped nor "
            "dropped", "0", str(lost), lost == 0),
    ]  # fmt: skip


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _scaled(size: tuple[int, int], area: float) -> tuple[int, int]:
    """A size of so many times the area, each side a multiple of 16, 320 to 1920 wide."""
    width = min(max(size[0] * max(area, 0.0) ** 0.5, 320), 1920)
    return (16 * round(width / 16), 16 * round(width * size[1] / size[0] / 16))


def _play(
    bundle: Path, folder: Path, size: tuple[int, int], stride: int, seconds: float
) -> _Played:
    paths = files(folder, size, seconds + _WARM_UP_S + 8, SOURCES)
    options = ["--pace", "realtime", "--stride", str(stride)]
    with LiveRun(bundle, paths, folder, options) as run:
        run.wait_for(lambda: len(run.predictions) == SOURCES)
        time.sleep(_WARM_UP_S)
        before = run.sample()
        time.sleep(seconds)
        after = run.sample()
        ending = run.stop()
    load = (after.cpu_s - before.cpu_s) / (after.at_s - before.at_s) / _cores()
    totals: dict[str, list[float]] = {}
    infer_ms = []
    for line in run.lines:
        if before.at_s <= line.at_s < after.at_s and line.data["type"] == "prediction":
            times = line.data["timings_ms"]
            totals.setdefault(line.data["source"], []).append(times["total"])
            infer_ms.append(times["infer"])
    return _Played(
        load, float(np.median(infer_ms)), totals, ending.summary, after.at_s - before.at_s
    )


def files(folder: Path, size: tuple[int, int], seconds: float, count: int) -> list[str]:
    """So many files of that length, in which the same few seconds of pictures come again and again.

    Each is elsewhere in them than the others, as cameras are: what is costly to decode, key frames
    above all, does not come from all of them at once.
    """
    loop = _loop(size)
    paths = [folder / f"{n}-{size[0]}x{size[1]}-{seconds:g}.mp4" for n in range(count)]
    for number, path in enumerate(paths):
        first = len(loop) * (count - number) // count
        _write(path, size, [*loop[:first], *loop * math.ceil(seconds / _LOOP_S)], seconds)
    return [str(path) for path in paths]


def _loop(size: tuple[int, int]) -> list[bytes]:
    """A few seconds of noisy pictures, encoded; they begin with a key frame."""
    source = SyntheticSource.from_uri(
        f"synthetic:?motions=left,grow&seconds={_LOOP_S // 2}&fps={FPS}&size={size[0]}x{size[1]}"
    )
    # A sensor's noise, without which there is next to nothing to decode.
    noise = np.random.default_rng(0).normal(0, _NOISE, (*size[::-1], 3)).astype(np.int16)
    with av.open(io.BytesIO(), "w", format="mp4") as out:
        stream = _stream(out, size)
        packets = []
        while (frame := source.read()) is not None:
            noisy = frame.data + np.roll(noise, 97 * frame.time.index, axis=(0, 1))
            pixels = np.clip(noisy, 0, 255).astype(np.uint8)
            picture = av.VideoFrame.from_ndarray(pixels, format="bgr24")
            picture.pts, picture.time_base = frame.time.index, Fraction(1, FPS)
            packets += stream.encode(picture)
        return [bytes(packet) for packet in (*packets, *stream.encode())]


def _stream(out: Any, size: tuple[int, int]) -> Any:
    stream = out.add_stream("libx264", rate=FPS)
    stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
    stream.options = {"preset": "veryfast", "bf": "0"}
    return stream


def _write(path: Path, size: tuple[int, int], packets: Sequence[bytes], seconds: float) -> None:
    with av.open(str(path), "w") as out:
        stream = _stream(out, size)
        stream.encode(None)  # opens the encoder, which knows what the file's header must say
        for number, data in enumerate(packets[: round(seconds * FPS)]):
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, FPS)
            packet.pts = packet.dts = number
            packet.is_keyframe = data == packets[0]
            out.mux(packet)
