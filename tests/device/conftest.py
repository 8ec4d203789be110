"""Machines made of a recorded tree, with chosen Python packages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgevid.device import Machine

ROOTS = Path(__file__).parents[1] / "data" / "roots"

_CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "mjpeg", "mpeg4")


def _loader(codecs: tuple[str, ...], broken: dict[str, Exception]) -> Any:
    modules = {
        "numpy": SimpleNamespace(__version__="2.2.0"),
        "cv2": SimpleNamespace(__version__="4.11.0"),
        "av": SimpleNamespace(__version__="15.0.0", codecs_available=set(codecs)),
        "onnxruntime": SimpleNamespace(
            __version__="1.22.0", get_available_providers=lambda: ["CPUExecutionProvider"]
        ),
    }

    def load(name: str) -> Any:
        if name in broken:
            raise broken[name]
        if name not in modules:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return modules[name]

    return load


def _runner(smi: Path, gstreamer: bool) -> Callable[[tuple[str, ...]], str | None]:
    def run(command: tuple[str, ...]) -> str | None:
        if command[0] == "gst-launch-1.0":
            return "gst-launch-1.0 version 1.20.3\nGStreamer 1.20.3" if gstreamer else None
        return smi.read_text() if smi.exists() else None

    return run


@pytest.fixture
def machine() -> Callable[..., Machine]:
    """Make the machine of a recorded tree.

    `packages` are distribution versions, `broken` what importing a module raises; further
    arguments replace fields of `Machine`.
    """

    def make(
        tree: str | Path,
        packages: dict[str, str] | None = None,
        *,
        gstreamer: bool = False,
        codecs: tuple[str, ...] = _CODECS,
        broken: dict[str, Exception] | None = None,
        **changes: Any,
    ) -> Machine:
        root = ROOTS / tree
        smi = root / "commands" / "nvidia-smi"
        made = Machine(
            root=root,
            arch="x86_64" if str(tree).startswith("pc") else "aarch64",
            python=(3, 10, 12),
            in_venv=True,
            version=(packages or {}).get,
            load=_loader(codecs, broken or {}),
            run=_runner(smi, gstreamer),
            may_open=Path.exists,
        )
        return replace(made, **changes)

    return make
