"""How much memory calibration takes, by the number of clips.

    python -m edgevid.benchmarks.calibration_memory --clips 16 256

Draws clips from moving shapes and collects the ranges of every activation of a 3D network
that takes 16 frames of 112x112, each count in a process of its own, and prints the peak of
resident memory. It must not grow with the clips.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np

from edgevid.convert.graph import bake
from edgevid.convert.quantize.clipset import draw
from edgevid.convert.quantize.ranges import Method, collect_ranges
from edgevid.spec import ClipSpec, InputSpec, OutputSpec, Spec

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_MODULE = "edgevid.benchmarks.calibration_memory"

FRAMES, SIDE, CLASSES = 16, 112, 8
VIDEOS = [f"synthetic:?seconds=4&seed={seed}&size=160x120" for seed in range(4)]

SPEC = Spec(
    labels=tuple(map(str, range(CLASSES))),
    clip=ClipSpec(num_frames=FRAMES, frame_interval=2, fps=30.0),
    inputs=(InputSpec(name="clip", layout="NCTHW", size=(SIDE, SIDE), scale=1 / 255),),
    outputs=(OutputSpec(name="logits", kind="logits"),),
)

_STAGES = ((3, 24, (1, 2, 2)), (24, 24, (1, 1, 1)), (24, 48, (2, 2, 2)), (48, 96, (2, 2, 2)))
"""Channels in, channels out, stride."""


@dataclass(frozen=True)
class Peak:
    """One calibration.

    Attributes:
        clips: How many clips.
        method: How the ranges were chosen.
        peak_mib: Peak resident memory of the process, in MiB.
        seconds: Drawing and collecting together.
    """

    clips: int
    method: str
    peak_mib: float
    seconds: float


def network() -> ModelProto:
    """Four 3D convolutions with ReLU and a classifier, random weights, as `convert` bakes it."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weights = {}
    nodes: list[NodeProto] = []
    tensor = "clip"
    for i, (channels_in, channels_out, stride) in enumerate(_STAGES):
        scale = (2 / (27 * channels_in)) ** 0.5
        weights[f"w{i}"] = rng.normal(0, scale, (channels_out, channels_in, 3, 3, 3))
        nodes += [
            helper.make_node("Conv", [tensor, f"w{i}"], [f"conv{i}"], strides=stride, pads=[1] * 6),
            helper.make_node("Relu", [f"conv{i}"], [f"relu{i}"]),
        ]
        tensor = f"relu{i}"
    weights["dense"] = rng.normal(0, 0.1, (_STAGES[-1][1], CLASSES))
    nodes += [
        helper.make_node("GlobalAveragePool", [tensor], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "dense"], ["logits"]),
    ]
    shape = ["batch", 3, FRAMES, SIDE, SIDE]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("clip", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bake(model, SPEC)


def calibrate(clips: int, method: Method) -> Peak:
    """Draw and collect in this process."""
    model = network()
    activations = [name for node in model.graph.node for name in node.output]
    started = time.perf_counter()
    drawn = draw(VIDEOS, SPEC.clip, SPEC.inputs, clips)
    if len(drawn) != clips:
        raise RuntimeError(f"{len(drawn)} clips drawn, not {clips}")
    collect_ranges(model, activations, drawn.feeds, method)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Peak(clips, method, peak, seconds)


def measure(counts: Sequence[int], method: Method) -> list[Peak]:
    """Each count in a process of its own, one after the other."""
    peaks = []
    for count in counts:
        command = [sys.executable, "-m", _MODULE, "--in-process", str(count)]
        done = subprocess.run(
            [*command, "--method", method], check=True, stdout=subprocess.PIPE, text=True
        )
        peaks.append(Peak(**json.loads(done.stdout)))
    return peaks


def render(peaks: Sequence[Peak]) -> str:
    """The figures as lines of text; the last one is their ratio."""
    lines = [
        f"{p.clips:5d} clips of {FRAMES}x{SIDE}x{SIDE}, {p.method}: peak {p.peak_mib:7.1f} MiB, "
        f"{p.seconds:6.1f} s"
        for p in peaks
    ]
    ratio = peaks[-1].peak_mib / peaks[0].peak_mib
    lines.append(f"ratio of the peaks, {peaks[-1].clips} to {peaks[0].clips} clips: {ratio:.3f}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; the value is the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--clips", type=int, nargs="+", default=[16, 256])
    parser.add_argument("--method", choices=get_args(Method), default="entropy")
    parser.add_argument("--in-process", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.in_process:
        print(json.dumps(asdict(calibrate(args.in_process, args.method))))
    else:
        print(render(measure(args.clips, args.method)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
