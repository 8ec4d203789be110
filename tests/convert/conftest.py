"""The folder of real models, and factories in files of their own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the shared test data is not at {os.path.relpath(SHARED)}")
    return SHARED


@pytest.fixture
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a Python module into the current folder; gives `name:` to put a factory behind."""
    monkeypatch.chdir(tmp_path)
    count = 0

    def write(body: str) -> str:
        nonlocal count
        count += 1
        name = f"made_factory_{os.getpid()}_{abs(hash(str(tmp_path)))}_{count}"
        Path(f"{name}.py").write_text(f"import torch\nfrom torch import nn\n{body}\n")
        return f"{name}:"

    yield write
    for name in [n for n in sys.modules if n.startswith("made_factory_")]:
        del sys.modules[name]
