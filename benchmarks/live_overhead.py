"""What edgevid costs beside decoder, resizer and engine: CPU time, thread by thread.

Every thread's own clock is read when it ends; what was spent inside PyAV, OpenCV and
ONNX Runtime is measured in place, by the same clock, and taken off. FFmpeg's own threads are
not Python's and do not count. The clock itself costs most of a microsecond, which is measured
and taken off as well.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import onnxruntime as ort
from av.video.reformatter import VideoReformatter

import edgevid
from edgevid.benchmarks.live_material import mobilenet, resnet18_int8, video
from edgevid.benchmarks.live_rows import Row
from edgevid.engines.onnxruntime_engine import OnnxRuntimeEngine
from edgevid.manifest import Bundle
from edgevid.pipeline.capture import CaptureThread
from edgevid.sinks import JsonlSink
from edgevid.sinks.delivery import Delivery
from edgevid.sources import decoder, pixels

PART = "overhead"
STRIDE = 4
ASKED_US = 100.0
_SECONDS, _SHORT_SECONDS = 120, 8
_ROUNDS = 3

Say = Callable[[str], None]

THREADS = {
    "edgevid-capture-0": "reading, sampling, samples",
    "edgevid-inference": "windows, smoothing, labels",
    "edgevid-JsonlSink": "JSON lines",
    "MainThread": "summary, delivery",
}


def overhead(short: bool, data: Path, say: Say) -> list[Row]:
    """Rows of `edgevid run --smooth mean:8 --jsonl`: all threads together, then each."""
    cv2.setNumThreads(1)
    file = video(_SHORT_SECONDS if short else _SECONDS, say)
    found = mobilenet(data, say)
    bundle = found[0] if found else edgevid.load(resnet18_int8(file, say))
    rounds = [own_cpu(bundle, file) for _ in range(1 if short else _ROUNDS)]
    own = min(rounds, key=lambda spent: sum(spent.values()))
    total = sum(own.values())
    rows = [
        Row(PART, "CPU time a frame of the file, every 4th labelled", f"at most {ASKED_US:g} µs",
            f"{total:.0f} µs", total <= ASKED_US)
    ]  # fmt: skip
    return rows + [
        Row(PART, f"of it {what}", "", f"{own[name]:.0f} µs")
        for name, what in THREADS.items()
        if name in own
    ]


def own_cpu(bundle: Bundle, file: Path) -> dict[str, float]:
    """Microseconds a frame of the file, by the name of the thread."""
    with measured() as meter:
        began = time.thread_time()
        options = edgevid.SamplingOptions(frame_interval=STRIDE)
        sink = JsonlSink("/dev/null", bundle.labels)
        stream = edgevid.stream(
            bundle, file, smooth="mean:8", options=options, engine="onnxruntime", threads=1
        )
        # What opened them does not count.
        meter.clear()
        began = time.thread_time()
        delivery = Delivery([sink])
        for prediction in stream:
            delivery.deliver(prediction)
        delivery.close()
        meter.clocks["MainThread"] = time.thread_time() - began
    frames = stream.summary.total("frames_read")
    return {name: meter.own(name) / frames * 1e6 for name in meter.clocks}


@dataclass
class _Spent:
    """Inside the measured calls of one thread."""

    inside_s: float = 0.0
    calls: int = 0


class Meter:
    """CPU seconds by thread: of its life, and inside the calls that are not edgevid's.

    Attributes:
        clocks: Of whole threads, by name.
    """

    def __init__(self) -> None:
        self.clocks: defaultdict[str, float] = defaultdict(float)
        self._spent: defaultdict[str, _Spent] = defaultdict(_Spent)
        self._cost = 0.0
        self._cost = self._calibrated()

    def _calibrated(self) -> float:
        """What one measured call adds to the thread outside of what it measures, in seconds."""
        nothing = self.timed(lambda: None)
        began = time.thread_time()
        for _ in range(10_000):
            nothing()
        inside_s = self._spent[threading.current_thread().name].inside_s
        cost = (time.thread_time() - began - inside_s) / 10_000
        self.clear()
        return cost

    def clear(self) -> None:
        """Begin anew."""
        self.clocks.clear()
        self._spent.clear()

    def own(self, name: str) -> float:
        """Seconds of a thread outside of all measured calls."""
        spent = self._spent[name]
        return self.clocks[name] - spent.inside_s - spent.calls * self._cost

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, measured."""

        def measured_call(*args: Any, **more: Any) -> Any:
            # What this does itself lies inside as far as it can: beside cold caches it costs a
            # multiple of what it costs when it is calibrated.
            began = time.thread_time()
            try:
                return call(*args, **more)
            finally:
                spent = self._spent[threading.current_thread().name]
                spent.calls += 1
                spent.inside_s += time.thread_time() - began

        return measured_call

    def ending(self, run: Callable[[Any], None]) -> Callable[[threading.Thread], None]:
        """A thread's `run` that leaves its clock behind."""

        def watched(thread: threading.Thread) -> None:
            try:
                run(thread)
            finally:
                self.clocks[thread.name] = time.thread_time()

        return watched


@contextmanager
def measured() -> Iterator[Meter]:
    """Measure everything that runs in the block."""
    meter = Meter()

    class Container:
        """An open file whose packets are measured."""

        def __init__(self, container: Any) -> None:
            self._container = container
            self.format, self.duration = container.format, container.duration
            self.streams = container.streams

        def demux(self) -> Iterator[Any]:
            packets = self._container.demux()
            decode = meter.timed(lambda packet: packet.decode())

            def following() -> Packet | None:
                packet = next(packets, None)
                return None if packet is None else Packet(packet, decode)

            return iter(meter.timed(following), None)

    start = decoder.StreamDecoder.__init__

    def started(self: Any, container: Any, *args: Any, **more: Any) -> None:
        start(self, Container(container), *args, **more)

    class Reformatter:
        def __init__(self) -> None:
            self.reformat = meter.timed(VideoReformatter().reformat)

    session = ort.InferenceSession
    with ExitStack() as stack:
        for target, name, value in (
            (decoder.StreamDecoder, "__init__", started),
            (pixels, "VideoReformatter", Reformatter),
            (cv2, "resize", meter.timed(cv2.resize)),
            (session, "run_with_iobinding", meter.timed(session.run_with_iobinding)),
            (ort.IOBinding, "bind_cpu_input", meter.timed(ort.IOBinding.bind_cpu_input)),
            (session, "run", meter.timed(session.run)),
            (OnnxRuntimeEngine, "close", meter.timed(OnnxRuntimeEngine.close)),
            (threading.Thread, "run", meter.ending(threading.Thread.run)),
            (CaptureThread, "run", meter.ending(CaptureThread.run)),
        ):
            stack.enter_context(patch.object(target, name, value))
        yield meter


class Packet:
    """What the decoder asks of a packet, read beforehand."""

    __slots__ = ("_decode", "_packet", "dts", "duration", "is_corrupt", "is_discard", "pts",
                 "size", "stream")  # fmt: skip

    def __init__(self, packet: Any, decode: Callable[[Any], Any]) -> None:
        self._packet, self._decode = packet, decode
        self.stream, self.size = packet.stream, packet.size
        self.pts, self.dts, self.duration = packet.pts, packet.dts, packet.duration
        self.is_corrupt, self.is_discard = packet.is_corrupt, packet.is_discard

    def __bytes__(self) -> bytes:
        return bytes(self._packet)

    def decode(self) -> Any:
        """Its pictures."""
        return self._decode(self._packet)
