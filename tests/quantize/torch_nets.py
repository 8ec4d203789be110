"""Small networks in the shapes that placement has rules for, exported from PyTorch."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import onnx
import pytest

torch = pytest.importorskip("torch", reason="pip install 'edgevid[torch]'")
nn = torch.nn


class Scaled(nn.Module):
    """Some arithmetic in front, as `convert` puts it there."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Any) -> Any:
        return self.body(x * 0.5)


class Residual3d(nn.Module):
    """A plain block, a block with a convolution in its shortcut, a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = self.unit(3, 16)
        self.plain = nn.Sequential(*self.unit(16, 16), *self.unit(16, 16)[:2])
        self.wider = nn.Sequential(*self.unit(16, 32), *self.unit(32, 32)[:2])
        self.down = self.unit(16, 32, kernel=1)[:2]
        self.head = nn.Linear(32, 20)

    @staticmethod
    def unit(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
        conv = nn.Conv3d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        return nn.Sequential(conv, nn.BatchNorm3d(outputs), nn.ReLU())

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        x = torch.relu(self.plain(x) + x)
        x = torch.relu(self.wider(x) + self.down(x))
        return self.head(x.mean((2, 3, 4)))


class Attention(nn.Module):
    """One block of a transformer: 4 heads of 16 over 24 places."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(64), nn.LayerNorm(64)])
        self.queries, self.keys, self.values = (nn.Linear(64, 64) for _ in range(3))
        self.out = nn.Linear(64, 64)
        self.mlp = nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 64))

    def forward(self, x: Any) -> Any:
        y = self.norms[0](x)
        q, k, v = (
            part(y).unflatten(2, (4, 16)).transpose(1, 2)
            for part in (self.queries, self.keys, self.values)
        )
        weights = torch.softmax(q @ k.transpose(2, 3) * 0.25, dim=3)
        x = x + self.out((weights @ v).transpose(1, 2).flatten(2))
        return x + self.mlp(self.norms[1](x))


class Transposed(nn.Module):
    """Down and up again."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 8, 1),
        )

    def forward(self, x: Any) -> Any:
        return self.layers(x)


class Grouped(nn.Module):
    """A convolution in groups, a depthwise one, a narrow one."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1),
            nn.Hardswish(),
            nn.Conv2d(32, 32, 3, padding=1, groups=4),
            nn.ReLU6(),
            nn.Conv2d(32, 32, 3, padding=1, groups=32),
            nn.ReLU6(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 8, 1),
            nn.Conv2d(8, 8, 1),
        )

    def forward(self, x: Any) -> Any:
        return self.layers(x)


class Branches1d(nn.Module):
    """Temporal convolutions with two dilations, joined; and a path around the join."""

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Conv1d(16, 16, 3, padding=1)
        self.far = nn.Conv1d(16, 16, 3, padding=2, dilation=2)
        self.mix = nn.Conv1d(32, 24, 1)
        self.pooled = nn.Conv1d(24, 24, 1)
        self.plain = nn.Conv1d(24, 24, 1)

    def forward(self, x: Any) -> Any:
        x = torch.cat([torch.relu(self.near(x)), 3 * torch.relu(self.far(x))], 1)
        x = torch.relu(self.mix(x))
        pooled = nn.functional.max_pool1d(x, 3, stride=1, padding=1)
        return self.pooled(pooled).relu() * self.plain(x).relu()


class Dense(nn.Module):
    """Linear layers alone: Gemm with transB."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(48, 64), nn.ReLU(), nn.Linear(64, 20))

    def forward(self, x: Any) -> Any:
        return self.layers(x)


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "residual3d": (Residual3d, (1, 3, 4, 12, 12)),
    "attention": (Attention, (1, 24, 64)),
    "transposed": (Transposed, (1, 3, 16, 16)),
    "grouped": (Grouped, (1, 3, 16, 16)),
    "branches1d": (Branches1d, (1, 16, 20)),
    "dense": (Dense, (1, 48)),
}


@cache
def exported(name: str) -> bytes:
    """The ONNX file of a net with random but fixed weights; input `x`, output `y`."""
    make, shape = NETS[name]
    torch.manual_seed(3)
    net = Scaled(make())
    # A pass in training mode gives the BatchNormalizations statistics of their own.
    net(torch.randn(8, *shape[1:]))
    file = io.BytesIO()
    with warnings.catch_warnings():
        # It says that PyTorch has a newer exporter, which takes ten times as long.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net.eval(),
            (torch.randn(*shape),),
            file,
            dynamo=False,
            opset_version=17,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}},
        )
    return file.getvalue()


def network(name: str) -> onnx.ModelProto:
    return onnx.load_from_string(exported(name))
