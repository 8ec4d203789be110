"""What it saves to take causal 3D convolutions frame by frame, at a window with every frame.

    python -m edgevid.benchmarks.causal VIDEO

Makes an X3D-S-like network (causal_net.py: 26 blocks, 16 frames of 160x160, random weights)
and converts it twice, to steps and to windows (`--streaming off`). Both run over the video
through the real runtime, in turns, on the same engine with one thread; medians are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import edgevid
from edgevid.benchmarks.causal_net import write_causal_x3d
from edgevid.convert import convert
from edgevid.engines import open_engine
from edgevid.types import Prediction

NUM_FRAMES = 16
_CLASSES = 400


@dataclass(frozen=True)
class Comparison:
    """Medians of one comparison.

    Attributes:
        windows_per_s, steps_per_s: Answers a second, by the time from a window or frame that
            is due to its scores.
        windows_wall_per_s, steps_wall_per_s: The same by the clock, which counts decoding.
        difference: Of the scores after exactly T frames, relative to the best one.
        later_difference: The same of later ones, which differ by design.
        later_same_labels: Share of later windows with the same best class.
    """

    video: str
    windows: int
    rounds: int
    windows_per_s: float
    steps_per_s: float
    windows_wall_per_s: float
    steps_wall_per_s: float
    difference: float
    later_difference: float
    later_same_labels: float

    @property
    def faster(self) -> float:
        """How many times the answers a second."""
        return self.steps_per_s / self.windows_per_s


def measure(windows: Path, steps: Path, video: Path, rounds: int, duration_s: float) -> Comparison:
    """Both bundles in turns, `rounds` times after one warm-up each."""
    bundles = [edgevid.load(path) for path in (windows, steps)]
    runs: list[list[tuple[list[Prediction], float]]] = [[], []]
    for number in range(rounds + 1):
        for done, bundle in zip(runs, bundles, strict=True):
            run = _pass(bundle, video, duration_s)
            if number:
                done.append(run)
    (one, _), (other, _) = runs[0][0], runs[1][0]
    whole, stepped = (np.stack([p.scores for p in run]) for run in (one, other))
    # The first window is due with frame T; from then on there is one with every frame.
    stepped = stepped[NUM_FRAMES - 1 :]
    apart = np.abs(whole - stepped).max(axis=1) / whole.max(axis=1)
    due = [statistics.median(_due_per_s(p) for p, _ in done) for done in runs]
    wall = [statistics.median(len(p) / seconds for p, seconds in done) for done in runs]
    return Comparison(
        video=video.name,
        windows=len(whole),
        rounds=rounds,
        windows_per_s=due[0],
        steps_per_s=due[1],
        windows_wall_per_s=wall[0],
        steps_wall_per_s=wall[1],
        difference=float(apart[0]),
        later_difference=float(apart[1:].max()),
        later_same_labels=float((whole.argmax(1) == stepped.argmax(1))[1:].mean()),
    )


def _pass(bundle: edgevid.Bundle, video: Path, duration_s: float) -> tuple[list[Prediction], float]:
    """All answers over the video's first seconds, and the seconds that they took."""
    engine = open_engine(bundle, "onnxruntime", threads=1, notify=lambda _: None)
    started = time.perf_counter()
    predictions = list(edgevid.stream(bundle, video, engine=engine, duration_s=duration_s))
    return predictions, time.perf_counter() - started


def _due_per_s(predictions: Sequence[Prediction]) -> float:
    return len(predictions) / sum(p.timings.infer_ms for p in predictions) * 1e3


def render(c: Comparison) -> str:
    """The comparison as a small table."""
    return "\n".join(
        [
            f"{c.windows} windows of {NUM_FRAMES} frames of {c.video}, one with every frame, "
            f"median of {c.rounds} rounds",
            "                      windows      steps      ratio",
            f"  answers/s        {c.windows_per_s:10.1f} {c.steps_per_s:10.1f} {c.faster:10.1f}",
            f"  with decoding    {c.windows_wall_per_s:10.1f} {c.steps_wall_per_s:10.1f} "
            f"{c.steps_wall_per_s / c.windows_wall_per_s:10.1f}",
            f"  scores after exactly {NUM_FRAMES} frames differ by {c.difference:.1g} of the best "
            f"one, later ones by at most {c.later_difference:.1g}; same best class on "
            f"{c.later_same_labels:.1%}",
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Measure and print; the value is the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("video", type=Path)
    parser.add_argument("--size", type=int, default=160, help="pixels a side")
    parser.add_argument("--blocks", default="3,5,11,7", help="in each stage")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--duration", type=float, default=4.0, help="seconds of the video")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    spec = {
        "preset": "unit",
        "clip": {"num_frames": NUM_FRAMES, "frame_interval": 2, "fps": 30.0, "hop_s": 1 / 15},
    }
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "causal-x3d.onnx")
        depths = [int(part) for part in args.blocks.split(",")]
        write_causal_x3d(model, NUM_FRAMES, args.size, _CLASSES, depths)
        steps, windows = Path(folder, "steps.edgevid"), Path(folder, "windows.edgevid")
        convert(model, steps, spec=spec, target="onnx")
        convert(model, windows, spec=spec, target="onnx", streaming="off")
        if edgevid.load(steps).manifest.stepped is None:
            raise SystemExit("the network was not taken frame by frame")
        result = measure(windows, steps, args.video, args.rounds, args.duration)
    print(render(result))
    if args.json:
        args.json.write_text(json.dumps({**asdict(result), "faster": result.faster}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
