"""How fast a file is labelled, against the bound and against two loops that users write.

    bound = cores / (decode + (resize + infer) / stride)       frames of the file a second

Each of the three is the CPU time that the bare library calls take alone (PyAV with as many
decoder threads as a run has, OpenCV, the engine), measured in every round of the same run. FFmpeg
needs more time a frame the more threads it has; beside it stands the bound that one would give.
The bound decodes every picture. edgevid leaves out those that no window asks for and no other
picture is predicted from, so it may be passed.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

import edgevid
from edgevid.benchmarks.live_material import mobilenet, resnet18_int8, video
from edgevid.benchmarks.live_rows import Row
from edgevid.benchmarks.peers.loops import edgevid_stream, threaded, tutorial
from edgevid.engines import open_engine
from edgevid.manifest import Bundle
from edgevid.pipeline.lanes import decode_threads
from edgevid.preprocess import Resizer
from edgevid.sources.pixels import BgrConverter
from edgevid.types import UInt8Array

PART = "throughput"
STRIDE = 4
THREADS = 1
_SECONDS, _SHORT_SECONDS = 120, 8
_ROUNDS, _SHORT_ROUNDS = 5, 2

Say = Callable[[str], None]
Loop = Callable[[], list[int]]


@dataclass(frozen=True)
class Stages:
    """CPU milliseconds of the bare calls.

    Attributes:
        decode, decode_alone: For each frame of the file, in several threads and in one.
        resize, infer: For each frame that is labelled.
    """

    decode: float
    decode_alone: float
    resize: float
    infer: float

    @property
    def bound(self) -> float:
        """Frames a second, with every core busy with nothing else."""
        return self._bound(self.decode)

    @property
    def strict_bound(self) -> float:
        """The same, had decoding cost no more than in one thread."""
        return self._bound(self.decode_alone)

    def _bound(self, decode: float) -> float:
        a_frame = decode + (self.resize + self.infer) / STRIDE
        return len(os.sched_getaffinity(0)) / a_frame * 1e3


@dataclass(frozen=True)
class Subject:
    """A bundle, the engine that runs it, and what the other loops run.

    Attributes:
        graph: For `peers.loops`: the model's file and what its input is.
        times: How many times as fast as the tutorial loop edgevid shall be.
    """

    name: str
    bundle: Bundle
    engine: str
    graph: dict[str, Any]
    times: float

    @property
    def job(self) -> dict[str, Any]:
        """What the loops are told, but for the video."""
        (spec,) = self.bundle.manifest.inputs
        words = {"size": spec.size, "mean": spec.mean, "std": spec.std, "scale": spec.scale}
        words |= {"color": spec.color, "stride": STRIDE, "threads": THREADS}
        return {**words, "bundle": self.bundle.path, "engine": self.engine, **self.graph}


def throughput(short: bool, data: Path, say: Say) -> list[Row]:
    """Rows for MobileNetV2 on ONNX Runtime and ResNet-18 in INT8 on what `auto` picks.

    Args:
        short: Only see that it works.
        data: Folder of the shared test data; without it there is no MobileNet.
        say: Told what takes long.
    """
    file = video(_SHORT_SECONDS if short else _SECONDS, say)
    subjects = []
    if (found := mobilenet(data, say)) is not None:
        bundle, model = found
        graph = {"model": str(model), "bytes": False}
        subjects.append(Subject("MobileNetV2", bundle, "onnxruntime", graph, 1.6))
    bundle = edgevid.load(resnet18_int8(file, say))
    # The others run it in FP32: ONNX Runtime is faster with that than with this INT8.
    graph = {"model": str(bundle.file("reference")), "bytes": True}
    subjects.append(Subject("ResNet-18 INT8", bundle, "auto", graph, 2.0))
    rounds = _SHORT_ROUNDS if short else _ROUNDS
    return [row for subject in subjects for row in Turns(subject, file, rounds, say).rows()]


class Turns:
    """Stages and loops in turn, `rounds` times after one warm-up."""

    def __init__(self, subject: Subject, file: Path, rounds: int, say: Say) -> None:
        cv2.setNumThreads(1)
        self._subject = subject
        self._stages = StageTimer(subject.bundle, subject.engine, file)
        job = {**subject.job, "video": str(file)}
        peers = {"edgevid": edgevid_stream, "tutorial": tutorial, "threaded": threaded}
        loops: dict[str, Loop] = {name: peer.prepare(job) for name, peer in peers.items()}
        self._rates: dict[str, list[float]] = {name: [] for name in loops}
        self._labels: dict[str, list[int]] = {}
        self._bounds: list[float] = []
        self._strict_bounds: list[float] = []
        for number in range(rounds + 1):
            say(f"{subject.name}: round {number} of {rounds}")
            stages = self._stages()
            for name, loop in loops.items():
                started = time.perf_counter()
                self._labels[name] = loop()
                spent = time.perf_counter() - started
                if number:
                    self._rates[name].append(self._stages.frames / spent)
            if number:
                self._bounds.append(stages.bound)
                self._strict_bounds.append(stages.strict_bound)

    def rows(self) -> list[Row]:
        """What came of it: medians of the rounds, each figure compared within its round."""
        what = f"{self._subject.name}, {self._stages.engine_name}"
        rate, bound = statistics.median(self._rates["edgevid"]), statistics.median(self._bounds)
        share, times = self._share("edgevid"), self._times("tutorial")
        strict = _median_ratio(self._rates["edgevid"], self._strict_bounds)
        return [
            Row(PART, f"{what}: share of the bound", "at least 0.95",
                f"{share:.2f} ({rate:.0f} of {bound:.0f} frames/s)", share >= 0.95),
            Row(PART, f"{what}: the same, had decoding cost no more than in one thread", "",
                f"{strict:.2f} (of {statistics.median(self._strict_bounds):.0f} frames/s)"),
            Row(PART, f"{what}: against the tutorial loop", f"at least {self._subject.times:g}×",
                f"{times:.2f}× ({self._remark('tutorial')})", times >= self._subject.times),
            Row(PART, f"{what}: against a hand-written threaded loop", "",
                f"{self._times('threaded'):.2f}× ({self._remark('threaded')})"),
        ]  # fmt: skip

    def _share(self, name: str) -> float:
        return _median_ratio(self._rates[name], self._bounds)

    def _times(self, name: str) -> float:
        return _median_ratio(self._rates["edgevid"], self._rates[name])

    def _remark(self, name: str) -> str:
        same = np.mean(np.array(self._labels[name]) == np.array(self._labels["edgevid"]))
        return f"which reaches {self._share(name):.2f} of the bound; labels equal {same:.1%}"


def _median_ratio(above: list[float], below: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


class StageTimer:
    """Times the three stages alone, once a call.

    Attributes:
        frames: Of the file.
        engine_name: What runs the graph.
    """

    def __init__(self, bundle: Bundle, engine: str, file: Path) -> None:
        (spec,) = bundle.manifest.inputs
        self._file = file
        self._resize = Resizer(spec)
        self._engine = open_engine(bundle, engine, threads=THREADS)
        self._input = self._engine.inputs[0].name
        self.engine_name = self._engine.name
        self.frames = 0

    def __call__(self) -> Stages:
        """CPU time, of all threads."""
        alone_s, _ = self._decode(1)
        decode_s, used = self._decode(decode_threads(1))
        started = time.process_time()
        pictures = [np.ascontiguousarray(self._resize(frame))[np.newaxis] for frame in used]
        resize_s = time.process_time() - started
        started = time.process_time()
        for picture in pictures:
            self._engine.infer({self._input: picture})
        infer_s = time.process_time() - started
        return Stages(
            decode_s / self.frames * 1e3,
            alone_s / self.frames * 1e3,
            resize_s / len(used) * 1e3,
            infer_s / len(used) * 1e3,
        )

    def _decode(self, threads: int) -> tuple[float, list[UInt8Array]]:
        """Read the file with nothing but PyAV; the first frames that are converted are kept."""
        used: list[UInt8Array] = []
        convert = BgrConverter()
        started = time.process_time()
        count = 0
        with av.open(str(self._file)) as file:
            stream = file.streams.video[0]
            stream.codec_context.thread_count = threads
            stream.codec_context.thread_type = "AUTO"
            for picture in file.decode(stream):
                if count % STRIDE == 0:
                    frame = convert(picture)
                    if len(used) < 64:
                        used.append(frame)
                count += 1
        self.frames = count
        return time.process_time() - started, used
