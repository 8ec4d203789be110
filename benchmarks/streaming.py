"""What it saves to split a clip model: overlapping windows with and without it.

    python -m edgevid.benchmarks.streaming MODEL.onnx VIDEO --spec F.toml --window 4

Converts the model twice, split and whole, and slides windows over the video, one sample from
window to window, through the real runtime on ONNX Runtime. Both run in turn, round by round,
and medians are compared. What is printed:

    frames computed   rows that the backbone was fed; of the whole model T a window
    windows/s         by the time from a window that is due to its scores, and by the clock,
                      which counts decoding too
    memory            resident, of a fresh process, beside what engine and rings need
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import edgevid
from edgevid.clips import WindowBuilder
from edgevid.convert import convert
from edgevid.engines import open_engine
from edgevid.engines.split_engine import SplitEngine
from edgevid.pipeline.executor import Request, new_executor
from edgevid.preprocess import Resizer
from edgevid.protocols import Engine
from edgevid.states import States
from edgevid.types import Array, SampledFrame, TensorInfo

_MODULE = "edgevid.benchmarks.streaming"
_STREAMS = 8
_SAMPLES = 20


@dataclass(frozen=True)
class Run:
    """One pass over the video.

    Attributes:
        frames_computed: Frames that went through the backbone, or the part that it would be.
        due_s: Sum over all windows of the time from due to scores.
        wall_s: By the clock.
    """

    labels: list[str]
    scores: Array
    frames_computed: int
    due_s: float
    wall_s: float


@dataclass(frozen=True)
class Memory:
    """Resident memory of one process, in bytes.

    Attributes:
        engine: Added by opening the engine and a first call.
        stream: What one stream holds: pixels of twice a window, and features or states.
        one: Added by the engine and one running stream.
        each_further: Added by each further stream.
    """

    engine: int
    stream: int
    one: int
    each_further: int

    @property
    def ratio(self) -> float:
        """What one stream takes over what engine and rings need."""
        return self.one / (self.engine + self.stream)


@dataclass(frozen=True)
class Comparison:
    """Medians of one comparison."""

    video: str
    windows: int
    rounds: int
    frames_whole: int
    frames_split: int
    whole_per_s: float
    split_per_s: float
    whole_wall_per_s: float
    split_wall_per_s: float
    same_labels: bool
    max_abs_diff: float
    memory: Memory

    @property
    def fewer(self) -> float:
        """How many times fewer frames the split model computes."""
        return self.frames_whole / self.frames_split

    @property
    def faster(self) -> float:
        """How many times the windows a second."""
        return self.split_per_s / self.whole_per_s


class CountingEngine:
    """Passes calls on, and counts the rows of each."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name = engine.name
        self.inputs: Sequence[TensorInfo] = engine.inputs
        self.outputs: Sequence[TensorInfo] = engine.outputs
        self.rows = 0

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """As the engine does."""
        self.rows += len(next(iter(feeds.values())))
        return self._engine.infer(feeds)

    def close(self) -> None:
        """As the engine does."""
        self._engine.close()


def slide(
    bundle: edgevid.Bundle,
    video: Path,
    window_s: float | None,
    threads: int = 1,
    duration_s: float | None = None,
) -> Run:
    """One pass over the video, or its first `duration_s` seconds: a window with every sample."""
    engine = open_engine(bundle, "onnxruntime", threads=threads, notify=lambda _: None)
    if isinstance(engine, SplitEngine):
        counted, frames = CountingEngine(engine.backbone), 1
        engine = SplitEngine(counted, engine.head, engine.positions)
    else:
        frames = bundle.manifest.clip.num_frames
        engine = counted = CountingEngine(engine)
    options = edgevid.SamplingOptions(window_s=window_s)
    started = time.perf_counter()
    predictions = list(
        edgevid.stream(bundle, video, options=options, engine=engine, duration_s=duration_s)
    )
    return Run(
        labels=[p.raw_label for p in predictions],
        scores=np.stack([p.scores for p in predictions]),
        frames_computed=counted.rows * frames,
        due_s=sum(p.timings.infer_ms for p in predictions) / 1e3,
        wall_s=time.perf_counter() - started,
    )


def measure(
    split: Path, whole: Path, video: Path, window_s: float, rounds: int, threads: int
) -> Comparison:
    """Both bundles in turn, `rounds` times after one warm-up each."""
    bundles = [edgevid.load(path) for path in (whole, split)]
    runs: list[list[Run]] = [[], []]
    for number in range(rounds + 1):
        for done, bundle in zip(runs, bundles, strict=True):
            run = slide(bundle, video, window_s, threads)
            if number:
                done.append(run)
    (one, *_), (other, *_) = runs
    windows = len(one.labels)
    due = [windows / statistics.median(r.due_s for r in done) for done in runs]
    wall = [windows / statistics.median(r.wall_s for r in done) for done in runs]
    return Comparison(
        video=video.name,
        windows=windows,
        rounds=rounds,
        frames_whole=one.frames_computed,
        frames_split=other.frames_computed,
        whole_per_s=due[0],
        split_per_s=due[1],
        whole_wall_per_s=wall[0],
        split_wall_per_s=wall[1],
        same_labels=one.labels == other.labels,
        max_abs_diff=float(np.abs(one.scores - other.scores).max()),
        memory=memory_of(split, video),
    )


def memory_of(bundle: Path, video: Path) -> Memory:
    """What a bundle takes that is split or carries states, in a process of its own."""
    command = [sys.executable, "-m", _MODULE, "--memory", str(bundle), str(video)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Memory(**json.loads(done.stdout))


def _memory_here(path: Path, video: Path) -> Memory:
    bundle = edgevid.load(path)
    samples = _samples(bundle, video)
    features, states = bundle.manifest.features, bundle.manifest.states
    if features is None and not states:
        raise SystemExit(f"{path} is not split, and carries no states")
    clip, (spec,) = bundle.manifest.clip, bundle.manifest.inputs
    pixels = 2 * clip.num_frames * int(np.prod(spec.size)) * spec.channels
    kept = sum(array.nbytes for array in States(states).feeds.values())
    if features is not None:
        each = int(np.prod(features.shape)) * np.dtype(features.dtype).itemsize
        kept = clip.num_frames * each
    before = _resident()
    engine = open_engine(bundle, "onnxruntime", threads=1, notify=lambda _: None)
    (taken,) = (info for info in engine.inputs if info.name == spec.name)
    shape = [size or 1 for size in taken.shape]
    engine.infer({spec.name: np.zeros(shape, np.uint8), **States(states).feeds})
    opened = _resident()
    executor = new_executor(engine, states)
    running = []
    sizes = []
    for _ in range(_STREAMS):
        build, memory = WindowBuilder(clip, [spec], 1, "a stream"), executor.new_memory()
        for sample in samples:
            due = build.push(sample)
            if due is not None:
                executor.run([Request(due, memory)])
        running.append((build, memory))
        sizes.append(_resident())
    further = (sizes[-1] - sizes[0]) // (_STREAMS - 1)
    return Memory(opened - before, pixels + kept, sizes[0] - before, further)


def _samples(bundle: edgevid.Bundle, video: Path) -> list[SampledFrame]:
    """A few windows' worth of samples, at least `_SAMPLES`, every fifth frame."""
    (spec,) = bundle.manifest.inputs
    resize = Resizer(spec)
    source = edgevid.open_source(str(video))
    samples: list[SampledFrame] = []
    while len(samples) < max(4 * bundle.manifest.clip.num_frames, _SAMPLES):
        frame = source.read(lambda t: t.index % 5 == 0)
        if frame is None:
            break
        pixels = {spec.name: resize(frame.data).copy()}
        samples.append(SampledFrame(pixels, frame.time, frame.time.pts_s))
    source.close()
    return samples


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def render(c: Comparison) -> str:
    """The comparison as a small table."""
    m, mib = c.memory, 2**20
    labels = "equal" if c.same_labels else "DIFFER"
    return "\n".join(
        [
            f"{c.windows} windows of {c.video}, one sample apart, median of {c.rounds} rounds",
            "                        whole      split      ratio",
            f"  frames computed  {c.frames_whole:10d} {c.frames_split:10d} {c.fewer:10.1f}",
            f"  windows/s        {c.whole_per_s:10.1f} {c.split_per_s:10.1f} {c.faster:10.1f}",
            f"  with decoding    {c.whole_wall_per_s:10.1f} {c.split_wall_per_s:10.1f} "
            f"{c.split_wall_per_s / c.whole_wall_per_s:10.1f}",
            f"  labels {labels}, scores differ by at most {c.max_abs_diff:.1g}",
            f"  memory of a stream {m.one / mib:.1f} MiB; engine {m.engine / mib:.1f} and rings "
            f"{m.stream / mib:.1f} MiB: ratio {m.ratio:.2f}; each further stream "
            f"{m.each_further / mib:.1f} MiB",
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Measure and print; the value is the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("model", type=Path, help="a model over windows; with --memory a bundle")
    parser.add_argument("video", type=Path)
    parser.add_argument("--spec", type=Path, help="its contract")
    parser.add_argument("--window", type=float, default=4.0, help="seconds that a window spans")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory", action="store_true", help="measure memory in this process")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    if args.memory:
        print(json.dumps(asdict(_memory_here(args.model, args.video))))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        split, whole = Path(folder, "split.edgevid"), Path(folder, "whole.edgevid")
        convert(args.model, split, spec=args.spec, target="onnx")
        convert(args.model, whole, spec=args.spec, target="onnx", streaming="off")
        result = measure(split, whole, args.video, args.window, args.rounds, args.threads)
    print(render(result))
    if args.json:
        args.json.write_text(json.dumps(asdict(result), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
