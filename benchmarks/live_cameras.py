"""How many cameras one engine carries: `python -m edgevid.benchmarks.live_cameras --bundle B`.

Files of 25 frames a second play at their own rate, as cameras would, each elsewhere in the same
pictures, into one engine; for each number of them a row says what became of their frames and how
long answers took. Where frames are dropped, or p99 runs away from p50, there are too many.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from edgevid.benchmarks.live_paced import files
from edgevid.benchmarks.live_runs import LiveRun, unaccounted

_WARM_UP_S = 5.0

HEAD = """\
| cameras | labels/s | p50 ms | p99 ms | engine ms | frames | dropped | unaccounted | cores busy |
|---|---|---|---|---|---|---|---|---|"""


def main(argv: list[str] | None = None) -> int:
    """Measure and print a table in Markdown; the value is the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 720), metavar=("W", "H"))
    parser.add_argument("--seconds", type=float, default=20.0, help="to watch each number of them")
    parser.add_argument("--options", default="", help='more flags of `edgevid run`: "--hop 0.2"')
    args = parser.parse_args(argv)
    print(HEAD, flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        length_s = args.seconds + 3 * _WARM_UP_S
        paths = files(folder, tuple(args.size), length_s, max(args.cameras))
        for count in args.cameras:
            print(_row(args, folder, paths[:count]), flush=True)
    return 0


def _row(args: argparse.Namespace, folder: Path, paths: list[str]) -> str:
    options = ["--pace", "realtime", "--engine", args.engine, "--max-batch", str(len(paths))]
    with LiveRun(args.bundle, paths, folder, [*options, *shlex.split(args.options)]) as run:
        run.wait_for(lambda: len(run.predictions) == len(paths))
        time.sleep(_WARM_UP_S)
        before = run.sample()
        time.sleep(args.seconds)
        after = run.sample()
        summary = run.stop().summary
    seconds = after.at_s - before.at_s
    answers = [
        line.data["timings_ms"]
        for line in run.lines
        if before.at_s <= line.at_s < after.at_s and line.data["type"] == "prediction"
    ]
    p50, p99 = np.percentile([times["total"] for times in answers], (50, 99))
    engine = np.median([times["infer"] for times in answers])
    cores = (after.cpu_s - before.cpu_s) / seconds
    read, dropped = summary["frames_read"], summary["frames_dropped"]
    return (
        f"| {len(paths)} | {len(answers) / seconds:.1f} | {p50:.1f} | {p99:.1f} "
        f"| {engine:.2f} | {read} | {dropped} | {unaccounted(summary)} "
        f"| {cores:.2f} of {len(os.sched_getaffinity(0))} |"
    )


if __name__ == "__main__":
    sys.exit(main())
