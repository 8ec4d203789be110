"""How long until the first label: from the start of the process `edgevid run` to its first line."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from edgevid.benchmarks.live_material import mobilenet, resnet18_int8, video
from edgevid.benchmarks.live_rows import Row
from edgevid.errors import EdgevidError

PART = "start"
ASKED_S = 1.2
_WITHIN_S = 60.0
_STARTS, _SHORT_STARTS = 7, 2

Say = Callable[[str], None]


def start(short: bool, data: Path, say: Say) -> list[Row]:
    """Rows for ONNX Runtime, and for `auto` when it tries and when it remembers.

    The files are in the page cache; Python's own start is part of it.
    """
    file = video(8, say)
    found = mobilenet(data, say)
    bundle = found[0].path if found else resnet18_int8(file, say)
    starts = _SHORT_STARTS if short else _STARTS
    with tempfile.TemporaryDirectory(prefix="edgevid-start-") as cache:
        first_label(bundle, file, "onnxruntime", cache)
        plain = [first_label(bundle, file, "onnxruntime", cache) for _ in range(starts)]
        tried = first_label(bundle, file, "auto", cache)
        remembered = [first_label(bundle, file, "auto", cache) for _ in range(starts)]
    seen = statistics.median(plain)
    what = "from a cached bundle to the first label"
    return [
        Row(PART, f"{what}, ONNX Runtime", f"at most {ASKED_S:g} s",
            f"{seen:.2f} s ({min(plain):.2f} to {max(plain):.2f})", seen <= ASKED_S),
        Row(PART, f"{what}, `--engine auto`, remembered", "",
            f"{statistics.median(remembered):.2f} s"),
        Row(PART, f"{what}, `--engine auto`, tried", "", f"{tried:.2f} s"),
    ]  # fmt: skip


def first_label(bundle: Path, file: Path, engine: str, cache: str) -> float:
    """Seconds to the first line on standard output.

    Raises:
        EdgevidError: There was none.
    """
    command = [sys.executable, "-m", "edgevid", "run", str(bundle), "--source", str(file)]
    command += ["--engine", engine, "--stride", "4", "--jsonl", "-", "--quiet"]
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - began
        process.kill()
    if not line.startswith(b"{"):
        raise EdgevidError(f"edgevid run --engine {engine} gave no label; it said {line!r}")
    return seconds
