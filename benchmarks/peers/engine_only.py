"""NVIDIA's own tools on the bare engine, where TensorRT is: trtexec and Polygraphy.

Both leave decoding and preprocessing out, so their figures stand beside `edgevid bench
--engine-only`, not in the table of loops.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

from edgevid.manifest import Bundle

_TRTEXEC = Path("/usr/src/tensorrt/bin/trtexec")  # where JetPack and the Debian packages put it
_WITHIN_S = 600.0


def engine_only(model: Path, bundle: Bundle) -> list[str]:
    """A sentence for each tool: what it measured, or why it did not."""
    (spec,) = bundle.manifest.inputs
    shape = "x".join(str(n) for n in (1, 3, *spec.size))
    return [_trtexec(model, f"{spec.name}:{shape}"), _polygraphy(model, f"{spec.name}:{shape}")]


def _trtexec(model: Path, shapes: str) -> str:
    found = shutil.which("trtexec") or (str(_TRTEXEC) if _TRTEXEC.exists() else None)
    if found is None:
        return "trtexec: not here (it comes with TensorRT)."
    command = [found, f"--onnx={model}", f"--shapes={shapes}", "--duration=5"]
    return _said("trtexec", command, r"Throughput: ([\d.]+) qps", "{} batches of one a second")


def _polygraphy(model: Path, shapes: str) -> str:
    for package in ("tensorrt", "polygraphy"):
        if importlib.util.find_spec(package) is None:
            return f"Polygraphy: not run, {package} is not installed in this Python."
    name, _, shape = shapes.partition(":")
    sizes = ",".join(shape.split("x"))
    command = [sys.executable, "-m", "polygraphy", "run", str(model), "--trt"]
    command += ["--input-shapes", f"{name}:[{sizes}]", "--iterations", "200"]
    return _said("Polygraphy", command, r"Average inference time: ([\d.]+) ms", "{} ms a call")


def _said(tool: str, command: list[str], pattern: str, words: str) -> str:
    """Run a tool and read its figure."""
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{tool}: stopped after {_WITHIN_S:.0f} s."
    figure = re.search(pattern, ended.stdout + ended.stderr)
    if ended.returncode or figure is None:
        lines = (ended.stderr or ended.stdout).strip().splitlines() or ["it said nothing"]
        return f"{tool}: failed: {lines[-1]}"
    return f"{tool}: {words.format(figure.group(1))}."
