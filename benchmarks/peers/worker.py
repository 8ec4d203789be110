"""Runs one peer's loop: started with that peer's own Python, told what to do on standard input.

    python -m peers.worker LOOP       with the folder above this one on PYTHONPATH

One JSON value a line, each answered by one line on standard output:

    {job}     {"ready": true, "versions": {...}}
    "go"      {"seconds", "cpu_s", "peak_mb", "labels"}

`seconds` and `cpu_s` are of one pass over the video, from opening it to the last label; what a
peer prints goes to standard error. A failure is answered with {"error": its last line}.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

_TOLD = ("edgevid", "onnxruntime", "opencv-python", "opencv-python-headless", "openvino",
         "openvino-model-api", "supervision", "torch", "torchvision", "ultralytics")  # fmt: skip


def main() -> None:
    """Answer every line until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    run: Callable[[], list[int]] | None = None
    for line in sys.stdin:
        try:
            if run is None:
                loop = importlib.import_module(f".loops.{sys.argv[1]}", __package__)
                run = loop.prepare(json.loads(line))
                answer: dict[str, Any] = {"ready": True, "versions": _versions()}
            else:
                answer = measured(run)
        except Exception as exc:
            traceback.print_exc()
            answer = {"error": f"{type(exc).__name__}: {exc}".splitlines()[0]}
        print(json.dumps(answer), file=answers, flush=True)


def measured(run: Callable[[], list[int]]) -> dict[str, Any]:
    """One pass: what it took, and its labels."""
    cpu_s, started = time.process_time(), time.perf_counter()
    labels = run()
    return {
        "seconds": time.perf_counter() - started,
        "cpu_s": time.process_time() - cpu_s,
        "peak_mb": _peak_mb(),
        "labels": labels,
    }


def _peak_mb() -> float:
    """Most memory that was resident; what `getrusage` says may be the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _versions() -> dict[str, str]:
    installed = {d.metadata["Name"]: d.version for d in distributions()}
    return {name: installed[name] for name in _TOLD if name in installed}


if __name__ == "__main__":
    main()
