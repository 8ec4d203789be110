"""How fast is a file labelled: `edgevid run` against the loop that tutorials show.

    python -m edgevid.benchmarks.throughput BUNDLE MODEL.onnx VIDEO --stride 4

Both sides run the same model on the same file, take the same frames and use the same number
of engine threads. They run in turn, and the medians of all rounds are compared, so that a
drift of the machine touches both.

The bound is what two workers that never wait for each other would reach: one decodes, one
crops, resizes and infers, each on a core of its own:

    bound = 1 / max(decode, (preprocess + infer) / stride)     frames a second

Its three times are measured alone, in the same run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

import edgevid
from edgevid.engines import open_engine
from edgevid.preprocess import Resizer
from edgevid.spec import InputSpec

_SMOOTH = 8


@dataclass(frozen=True)
class Throughput:
    """Medians of one comparison; rates in frames of the file a second, times in milliseconds."""

    video: str
    model: str
    stride: int
    threads: int
    rounds: int
    decode_ms: float
    preprocess_ms: float
    infer_ms: float
    bound_fps: float
    tutorial_fps: float
    edgevid_fps: float
    same_labels: bool

    @property
    def ratio(self) -> float:
        """edgevid over the tutorial loop."""
        return self.edgevid_fps / self.tutorial_fps

    @property
    def share_of_bound(self) -> float:
        return self.edgevid_fps / self.bound_fps

    @property
    def tutorial_share_of_bound(self) -> float:
        return self.tutorial_fps / self.bound_fps


def tutorial_loop(
    model: Path, video: Path, spec: InputSpec, stride: int, threads: int
) -> list[int]:
    """Read every frame, resize and normalise in NumPy, infer, mean of the last eight.

    Returns:
        The smoothed class index of every frame used.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    mean = np.array(spec.mean, np.float32)
    std = np.array(spec.std, np.float32)
    recent: deque[npt.NDArray[np.float32]] = deque(maxlen=_SMOOTH)
    labels = []
    capture = cv2.VideoCapture(str(video))
    index = 0
    while True:
        ok, frame = capture.read()
        if not ok:
            break
        if index % stride == 0:
            resized = cv2.resize(frame, (spec.size[1], spec.size[0]))
            if spec.color == "rgb":
                resized = cv2.cvtColor(resized, cv2.COLOR_BGR2RGB)
            pixels = (resized.astype(np.float32) * spec.scale - mean) / std
            batch = np.ascontiguousarray(pixels.transpose(2, 0, 1))[np.newaxis]
            recent.append(session.run(None, {spec.name: batch})[0][0])
            labels.append(int(np.mean(recent, axis=0).argmax()))
        index += 1
    return labels


def edgevid_run(bundle: edgevid.Bundle, video: Path, stride: int, threads: int) -> list[int]:
    """The same through edgevid.

    Returns:
        The smoothed class index of every frame used.
    """
    options = edgevid.SamplingOptions(frame_interval=stride)
    predictions = edgevid.stream(
        bundle, video, smooth=f"mean:{_SMOOTH}", options=options, engine="onnxruntime",
        threads=threads,
    )  # fmt: skip
    return [int(np.argmax(p.smoothed)) for p in predictions]


def measure(
    bundle_path: Path, model: Path, video: Path, stride: int, threads: int, rounds: int
) -> Throughput:
    """Run both sides in turn, `rounds` times after one warm-up each."""
    cv2.setNumThreads(1)
    bundle = edgevid.load(bundle_path)
    (spec,) = bundle.manifest.inputs
    decode, preprocess, infer, frames = stage_times(bundle, video, stride, threads)
    tutorial_s, edgevid_s = [], []
    same = True
    for number in range(rounds + 1):
        spent_t, labels_t = _timed(lambda: tutorial_loop(model, video, spec, stride, threads))
        spent_e, labels_e = _timed(lambda: edgevid_run(bundle, video, stride, threads))
        same = same and labels_t == labels_e
        if number:
            tutorial_s.append(spent_t)
            edgevid_s.append(spent_e)
    bound = 1e3 / max(decode, (preprocess + infer) / stride)
    return Throughput(
        video=video.name,
        model=bundle.manifest.model.name,
        stride=stride,
        threads=threads,
        rounds=rounds,
        decode_ms=decode,
        preprocess_ms=preprocess,
        infer_ms=infer,
        bound_fps=bound,
        tutorial_fps=frames / statistics.median(tutorial_s),
        edgevid_fps=frames / statistics.median(edgevid_s),
        same_labels=same,
    )


def stage_times(
    bundle: edgevid.Bundle, video: Path, stride: int, threads: int
) -> tuple[float, float, float, int]:
    """Each stage alone, best of three passes.

    Returns:
        Decoding (ms a frame of the file, every `stride`-th one converted), crop and resize
        (ms a frame used), inference (ms a window), and the number of frames in the file.
    """
    used: list[npt.NDArray[np.uint8]] = []
    decode = []
    count = 0
    for _ in range(3):
        source = edgevid.open_source(str(video))
        used.clear()
        started = time.perf_counter()
        while (frame := source.read(lambda t: t.index % stride == 0)) is not None:
            used.append(frame.data)
        decode.append(time.perf_counter() - started)
        count = source.stats.frames_read
        source.close()
    (spec,) = bundle.manifest.inputs
    resize = Resizer(spec)
    batches = [np.ascontiguousarray(resize(f))[np.newaxis] for f in used]
    preprocess = min(_timed(lambda: [resize(f) for f in used])[0] for _ in range(3))
    engine = open_engine(bundle, "onnxruntime", threads=threads, notify=lambda _: None)
    infer = min(
        _timed(lambda: [engine.infer({spec.name: b}) for b in batches])[0] for _ in range(3)
    )
    engine.close()
    return (
        min(decode) / count * 1e3,
        preprocess / len(used) * 1e3,
        infer / len(used) * 1e3,
        count,
    )


def _timed(work: Callable[[], object]) -> tuple[float, object]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def render(t: Throughput) -> str:
    """The comparison as a small table."""
    return "\n".join(
        [
            f"{t.model} on {t.video}, every {t.stride}th frame, {t.threads} engine thread(s), "
            f"median of {t.rounds} rounds",
            f"  stages alone   decode {t.decode_ms:.2f} ms a frame, resize {t.preprocess_ms:.2f} "
            f"and inference {t.infer_ms:.2f} ms a frame used",
            f"  bound          {t.bound_fps:7.1f} frames/s",
            f"  tutorial loop  {t.tutorial_fps:7.1f} frames/s  "
            f"{t.tutorial_share_of_bound:.2f} of the bound",
            f"  edgevid run    {t.edgevid_fps:7.1f} frames/s  {t.share_of_bound:.2f} of the bound",
            f"  ratio          {t.ratio:.2f}  (labels {'equal' if t.same_labels else 'DIFFER'})",
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Measure and print; the value is the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("bundle", type=Path, help="a one-frame model's bundle")
    parser.add_argument("model", type=Path, help="the ONNX file that it was converted from")
    parser.add_argument("video", type=Path)
    parser.add_argument("--stride", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    result = measure(args.bundle, args.model, args.video, args.stride, args.threads, args.rounds)
    print(render(result))
    if args.json:
        args.json.write_text(json.dumps(asdict(result), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
