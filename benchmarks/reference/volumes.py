"""PyTorch modules of the families that convolve over time and space at once.

Inputs and outputs as in `networks`.
"""

from __future__ import annotations

from typing import Any

from edgevid.benchmarks.reference.optional_torch import Module, nn, torch


class Factorised(Module):
    """Convolutions over places, then over time: (N, 3, T, S, S).

    R(2+1)D, Tran et al. 2018 (arXiv:1711.11248).
    """

    def __init__(self, classes: int, widths: tuple[int, ...] = (16, 24, 32, 48)) -> None:
        super().__init__()
        layers: list[Any] = []
        for i, (a, b) in enumerate(zip((3, *widths), widths, strict=False)):
            k = 5 if i == 0 else 3
            spatial = nn.Conv3d(a, b, (1, k, k), (1, 2, 2), (0, k // 2, k // 2), bias=False)
            temporal = nn.Conv3d(b, b, (3, 1, 1), padding=(1, 0, 0), bias=False)
            layers += [spatial, nn.BatchNorm3d(b), nn.ReLU()]
            layers += [temporal, nn.BatchNorm3d(b), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.classes = nn.Linear(widths[-1], classes)

    def forward(self, x: Any) -> Any:
        return self.classes(self.layers(x).mean((2, 3, 4)))


def _unit3d(inputs: int, outputs: int, time: int, stride: int = 2, kernel: int = 3) -> Any:
    padding = (time // 2, kernel // 2, kernel // 2)
    conv = nn.Conv3d(
        inputs, outputs, (time, kernel, kernel), (1, stride, stride), padding, bias=False
    )
    return nn.Sequential(conv, nn.BatchNorm3d(outputs), nn.ReLU())


class SlowFast(Module):
    """Two pathways of one clip: fast (N, 3, T, S, S), and slow with every `alpha`-th frame.

    After each stage the fast pathway's features go over into the slow one, by a convolution
    in time with stride `alpha` (the lateral connections of Feichtenhofer et al. 2019,
    arXiv:1812.03982, section 3.4). The fast pathway has a fraction of the channels.
    """

    SLOW = (16, 32, 48, 64)
    FAST = (8, 12, 16, 24)

    def __init__(self, classes: int, alpha: int = 4) -> None:
        super().__init__()
        self.slow, self.fast, self.lateral = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        slow_in, fast_in = 3, 3
        for i, (slow, fast) in enumerate(zip(self.SLOW, self.FAST, strict=True)):
            kernel = 5 if i == 0 else 3
            # Only the later stages of the slow pathway look along time.
            self.slow.append(_unit3d(slow_in, slow, 1 if i < 2 else 3, kernel=kernel))
            self.fast.append(_unit3d(fast_in, fast, 1 if i == 0 else 3, kernel=kernel))
            self.lateral.append(
                nn.Conv3d(fast, 2 * fast, (5, 1, 1), (alpha, 1, 1), (2, 0, 0), bias=False)
            )
            slow_in, fast_in = slow + 2 * fast, fast
        self.classes = nn.Linear(slow_in + fast_in, classes)

    def forward(self, slow: Any, fast: Any) -> Any:
        for one, other, lateral in zip(self.slow, self.fast, self.lateral, strict=True):
            slow, fast = one(slow), other(fast)
            slow = torch.cat([slow, lateral(fast)], 1)
        return self.classes(torch.cat([slow.mean((2, 3, 4)), fast.mean((2, 3, 4))], 1))


class _CausalDepthwise(Module):
    """A depthwise convolution that sees no frame after its own: zeros stand before the clip."""

    def __init__(self, channels: int, time: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.before = time - 1
        self.conv = nn.Conv3d(
            channels,
            channels,
            (time, kernel, kernel),
            (1, stride, stride),
            (0, kernel // 2, kernel // 2),
            groups=channels,
            bias=False,
        )

    def forward(self, x: Any) -> Any:
        return self.conv(nn.functional.pad(x, (0, 0, 0, 0, self.before, 0)))


class _X3dBlock(Module):
    """Widen, depthwise over time and places, narrow; a shortcut where the shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = 2 * outputs
        self.shortcut = inputs == outputs and stride == 1
        self.layers = nn.Sequential(
            nn.Conv3d(inputs, wide, 1, bias=False),
            nn.BatchNorm3d(wide),
            nn.ReLU(),
            _CausalDepthwise(wide, 3, 3, stride),
            nn.BatchNorm3d(wide),
            nn.SiLU(),
            nn.Conv3d(wide, outputs, 1, bias=False),
            nn.BatchNorm3d(outputs),
        )

    def forward(self, x: Any) -> Any:
        y = self.layers(x)
        return torch.relu(x + y if self.shortcut else y)


class CausalX3d(Module):
    """Depthwise 3D convolutions that look back only: (N, 3, T, S, S).

    X3D, Feichtenhofer 2020 (arXiv:2004.04730), with causal convolutions as in MoViNet,
    Kondratyuk et al. 2021 (arXiv:2103.11511); no squeeze-and-excitation. The answer is the
    mean over the frames of the clip.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(3, 16, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False),
            _CausalDepthwise(16, 5, 1, 1),
            nn.BatchNorm3d(16),
            nn.ReLU(),
        )
        widths = ((16, 16, 2), (16, 16, 1), (16, 32, 2), (32, 32, 1), (32, 48, 2))
        self.blocks = nn.Sequential(*(_X3dBlock(*width) for width in widths))
        self.last = nn.Sequential(nn.Conv3d(48, 96, 1, bias=False), nn.BatchNorm3d(96), nn.ReLU())
        self.classes = nn.Linear(96, classes)

    def forward(self, x: Any) -> Any:
        return self.classes(self.last(self.blocks(self.stem(x))).mean((2, 3, 4)))
