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


def _loader(gstreamer: bool, codecs: tuple[str, ...], broken: dict[str, Exception]) -> Any:
    answer = "YES (1.20.3)" if gstreamer else "NO"
    build = f"  Video I/O:\n    FFMPEG:     YES\n    GStreamer:                   {answer}\n"
    modules = {
        "numpy": SimpleNamespace(__version__="2.2.0"),
        "cv2": SimpleNamespace(__version__="4.11.0", getBuildInformation=lambda: build),
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
            load=_loader(gstreamer, codecs, broken or {}),
            run=lambda _: smi.read_text() if smi.exists() else None,
            may_open=Path.exists,
        )
        return replace(made, **changes)

    return make
