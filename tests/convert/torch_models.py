"""PyTorch models to export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgevid.convert.torch_export import ExportedModel, export_torch

torch = pytest.importorskip("torch")
nn = torch.nn

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

SHAPE = (1, 3, 4, 16, 20)


class Net(nn.Module):  # type: ignore[misc, name-defined]
    """A 3D classifier with the layers that exporters treat apart."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm3d(6)
        self.drop = nn.Dropout(0.5)
        self.out = nn.Linear(6, 5)

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.conv(clip))).mean((2, 3, 4))
        return self.out(self.drop(x.flatten(1)))


def export(source: str | Path, out: Path, **options: Any) -> ExportedModel:
    return export_torch(str(source), out, notify=lambda _: None, **options)


def saved_program(path: Path, module: Any, *examples: Any, dynamic: bool = True) -> Path:
    shapes = tuple({0: torch.export.Dim("n")} for _ in examples) if dynamic else None
    torch.export.save(torch.export.export(module, examples, dynamic_shapes=shapes), path)
    return path
