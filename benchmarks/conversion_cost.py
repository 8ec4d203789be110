"""What a conversion to INT8 costs: memory, wall and CPU time, step by step.

    python -m edgevid.benchmarks.conversion_cost MODEL.onnx SPEC.toml VIDEOS [--calib-clips 32]

Converts in a process of its own, without an engine, and prints when each step begins, and at
the end the peak of resident memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from edgevid.convert import convert
from edgevid.convert.quantize.settings import QuantizeSettings

_MODULE = "edgevid.benchmarks.conversion_cost"


def convert_here(model: Path, spec: Path, videos: str, calib_clips: int) -> None:
    """Convert in this process; steps go to stderr, the figures to stdout as JSON."""
    started = time.monotonic()

    def say(kind: str, text: str) -> None:
        if kind == "step":
            print(f"{time.monotonic() - started:7.1f} s  {text}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        report = convert(
            model,
            Path(folder) / "out.edgevid",
            spec=spec,
            precision="int8",
            quantize=QuantizeSettings(calib=(videos,), calib_clips=calib_clips),
            target="onnx",
            progress=say,
        ).report
    wall_s = time.monotonic() - started
    quantisation = report.quantisation
    assert quantisation is not None
    usage = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "kept": report.precision,
        "calibration clips": quantisation.calibration.clips,
        "evaluation clips": quantisation.evaluation.clips,
        "wall s": round(wall_s, 1),
        "CPU s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak GB": round(usage.ru_maxrss / 1e6, 2),
    }
    print(json.dumps(figures))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; the value is the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("spec", type=Path)
    parser.add_argument("videos", help="folder, glob, video or CSV, as for --calib")
    parser.add_argument("--calib-clips", type=int, default=32)
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.in_process:
        convert_here(args.model, args.spec, args.videos, args.calib_clips)
        return 0
    command = [sys.executable, "-m", _MODULE, str(args.model), str(args.spec), args.videos]
    command += ["--calib-clips", str(args.calib_clips), "--in-process"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    print(", ".join(f"{name} {value}" for name, value in json.loads(done.stdout).items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
