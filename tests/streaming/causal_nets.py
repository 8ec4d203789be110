"""Clip models whose convolutions over time need the past alone."""

from __future__ import annotations

from typing import Any

from clip_nets import CLASSES, Clip, nn, torch

F = nn.functional


class CausalConv(nn.Module):
    """A 3D convolution with all its temporal padding before the first frame."""

    def __init__(self, *args: Any, dilation: int = 1, **options: Any) -> None:
        super().__init__()
        kernel = args[2]
        self.pad = (kernel[0] - 1) * dilation
        space = (0, kernel[1] // 2, kernel[2] // 2)
        self.conv = nn.Conv3d(*args, padding=space, dilation=(dilation, 1, 1), **options)

    def forward(self, x: Any) -> Any:
        return self.conv(F.pad(x, (0, 0, 0, 0, self.pad, 0)))


class Squeeze(nn.Module):
    """Squeeze and excitation with the mean of each frame alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv3d(channels, 4, 1), nn.Conv3d(4, channels, 1)

    def forward(self, x: Any) -> Any:
        y = torch.relu(self.down(x.mean((3, 4), keepdim=True)))
        return x * torch.sigmoid(self.up(y))


class Block(nn.Module):
    """A bottleneck as in X3D: expand, depthwise over space and time, excite, project."""

    def __init__(self, channels: int, kernel: Any, dilation: int) -> None:
        super().__init__()
        inner = 2 * channels
        self.layers = nn.Sequential(
            nn.Conv3d(channels, inner, 1, bias=False),
            nn.BatchNorm3d(inner),
            nn.ReLU(),
            CausalConv(inner, inner, kernel, groups=inner, dilation=dilation, bias=False),
            nn.BatchNorm3d(inner),
            Squeeze(inner),
            nn.SiLU(),
            nn.Conv3d(inner, channels, 1, bias=False),
            nn.BatchNorm3d(channels),
        )

    def forward(self, x: Any) -> Any:
        return torch.relu(x + self.layers(x))


class CausalX3d(nn.Module):
    """Stem, two residual blocks, the mean over the clip (X3D, Feichtenhofer 2020, made causal)."""

    def __init__(self, kernel: Any = (3, 3, 3), dilation: int = 1) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(3, 8, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
            CausalConv(8, 8, (5, 1, 1), groups=8),
            nn.BatchNorm3d(8),
            nn.ReLU(),
            nn.MaxPool3d((1, 2, 2)),
        )
        self.blocks = nn.Sequential(Block(8, kernel, dilation), Block(8, kernel, dilation))
        self.mix = CausalConv(8, 12, (3, 1, 1))
        self.classes = nn.Linear(12, CLASSES)

    def forward(self, x: Any) -> Any:
        y = torch.relu(self.mix(self.blocks(self.stem(x))))
        return self.classes(self.pool(y).flatten(1))

    def pool(self, y: Any) -> Any:
        return y.mean((2, 3, 4))


class GlobalPooled(CausalX3d):
    def pool(self, y: Any) -> Any:
        return F.adaptive_avg_pool3d(y, 1)


class WindowPooled(CausalX3d):
    def pool(self, y: Any) -> Any:
        return F.avg_pool3d(y, (8, 6, 6))


class Unpadded(CausalX3d):
    """Its last convolution over time makes fewer frames of the clip's."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv3d(8, 12, (3, 1, 1))


class Ahead(Unpadded):
    """Its last convolution over time sees one frame ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv3d(8, 12, (3, 1, 1), padding=(1, 0, 0))


class Strided(Unpadded):
    """Its last convolution over time leaves out every second frame."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = CausalConv(8, 12, (3, 1, 1), stride=(2, 1, 1))


class Excited(CausalX3d):
    """Excited by the mean over the whole clip, as X3D itself is."""

    def forward(self, x: Any) -> Any:
        y = self.stem(x)
        return self.classes(
            self.mix(y * torch.sigmoid(y.mean((2, 3, 4), keepdim=True))).mean((2, 3, 4))
        )


class Tcn(nn.Module):
    """Dilated causal 1D convolutions over features, padded at both ends and chomped (Bai 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv1d(12, 12, 3, padding=2 * d, dilation=d) for d in (1, 2))
        self.classes = nn.Linear(12, CLASSES)

    def forward(self, x: Any) -> Any:
        y = x.transpose(1, 2)
        for conv in self.convs:
            y = y + torch.relu(conv(y)[..., : -conv.padding[0]])
        return self.classes(y[..., -1])


class Stacked(nn.Module):
    """Two layers, and the last hidden state (not the last output)."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.steps = kind(12, 10, num_layers=2)
        self.classes = nn.Linear(10, CLASSES)

    def forward(self, x: Any) -> Any:
        last = self.steps(x.transpose(0, 1))[1]
        return self.classes((last[0] if isinstance(last, tuple) else last)[-1])


class Head(nn.Module):
    """An LSTM and what `take` makes of its outputs (N, T, 10 or 20)."""

    def __init__(self, take: Any, **options: Any) -> None:
        super().__init__()
        self.steps = nn.LSTM(12, 10, batch_first=True, **options)
        self.take = take
        self.classes = nn.Linear(20 if options.get("bidirectional") else 10, CLASSES)

    def forward(self, x: Any) -> Any:
        return self.take(self.classes(self.steps(x)[0]))


def clip_with(head: nn.Module) -> nn.Module:
    return Clip(head)


class Loop(nn.Module):
    """A cell in a loop over T, which exporters unroll into T copies."""

    def __init__(self, kind: Any, layers: int = 1) -> None:
        super().__init__()
        self.cells = nn.ModuleList(kind(12 if i == 0 else 10, 10) for i in range(layers))
        self.classes = nn.Linear(10, CLASSES)

    def forward(self, x: Any) -> Any:
        zeros = x.new_zeros(x.shape[0], 10)
        states = [(zeros, zeros) for _ in self.cells]
        for t in range(x.shape[1]):
            y = x[:, t]
            for i, cell in enumerate(self.cells):
                new = cell(y, states[i] if isinstance(cell, nn.LSTMCell) else states[i][0])
                states[i] = new if isinstance(new, tuple) else (new, new)
                y = states[i][0]
        return self.classes(y)
