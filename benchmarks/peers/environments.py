"""A virtual environment for each peer, made once and kept in the user's cache.

Versions are pinned, and a change of them makes a new environment. PyTorch is taken in its CPU
build where an index has it: the plain one is gigabytes of CUDA on x86-64.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgevid.engines.user_cache import user_cache
from edgevid.errors import EdgevidError

TORCH, TORCHVISION = "2.13.0", "0.28.0"
_NUMPY = "numpy==2.2.6"
_OPENCV = "opencv-python-headless==5.0.0.93"
_ORT = "onnxruntime==1.32.0"
_INSTALL_S = 1200.0


@dataclass(frozen=True)
class Packages:
    """What to install.

    Attributes:
        whole: With all that they depend on.
        bare: Without it: it is listed under `whole` as far as it is needed.
        torch: PyTorch and torchvision as well.
    """

    whole: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    torch: bool = False


OPENCV_AND_ORT = Packages((_NUMPY, _OPENCV, _ORT))
EAGER = Packages(
    (_NUMPY, _OPENCV, "onnx==1.23.2", "pillow==13.0.0"), ("onnx2torch==1.5.15",), torch=True
)
SUPERVISION = Packages((_NUMPY, _OPENCV, _ORT, "supervision==0.31.2"))
ULTRALYTICS = Packages(
    (
        _NUMPY, _OPENCV, _ORT, "onnx==1.23.2", "matplotlib==3.11.2", "pillow==13.0.0",
        "pyyaml==6.0.4", "requests==2.34.2", "psutil==7.2.2", "polars==2.1.0",
    ),
    ("ultralytics==8.4.190", "ultralytics-thop==2.2.3"),
    torch=True,
)  # fmt: skip
MODEL_API = Packages((_NUMPY, "openvino==2026.4.1", "openvino-model-api[onnx]==0.4.7"))


def python_of(name: str, packages: Packages, say: Callable[[str], None]) -> Path:
    """The Python of an environment with these packages; made where it is not there yet.

    Args:
        name: Of the peer.
        packages: What it needs.
        say: Told, in a sentence, when one is made.

    Raises:
        EdgevidError: It could not be made; the last line of pip's complaint is in it.
    """
    torch = [TORCH, TORCHVISION] if packages.torch else []
    key = json.dumps([packages.whole, packages.bare, torch, sys.version_info[:2]])
    digest = hashlib.sha256(key.encode()).hexdigest()[:12]
    folder = user_cache("peers") / f"{name}-{digest}"
    python, done = folder / "bin" / "python", folder / "installed"
    if not done.exists():
        say(f"{name}: making its environment in {folder}")
        _run([sys.executable, "-m", "venv", "--clear", str(folder)], name)
        if packages.whole:
            _install(python, name, *packages.whole)
        if packages.torch:
            _install_torch(python, name)
        if packages.bare:
            _install(python, name, "--no-deps", *packages.bare)
        done.touch()
    return python


def _install_torch(python: Path, name: str) -> None:
    try:
        _install(python, name, "--no-deps", f"torch=={TORCH}+cpu")
    except EdgevidError:
        # No index here has the CPU build.
        _install(python, name, f"torch=={TORCH}")
    _install(python, name, "--no-deps", f"torchvision=={TORCHVISION}")
    _install(python, name, "filelock", "typing-extensions", "sympy", "networkx", "jinja2", "fsspec")


def _install(python: Path, name: str, *arguments: str) -> None:
    _run([str(python), "-m", "pip", "install", "--quiet", *arguments], name)


def _run(command: list[str], name: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_INSTALL_S)
    except subprocess.CalledProcessError as exc:
        complaint = (exc.stderr.strip() or "no reason given").splitlines()[-1]
        raise EdgevidError(
            f"the environment of {name} could not be made: {complaint}",
            "Check the package index (pip config list), or leave the peer out with --only",
        ) from None
    except subprocess.TimeoutExpired:
        raise EdgevidError(
            f"the environment of {name} was not ready after {_INSTALL_S:.0f} s",
            "Try again on a faster network, or leave the peer out with --only",
        ) from None
