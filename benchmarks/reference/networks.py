"""PyTorch modules of the families that see frames one by one or stacked.

They are small enough to train on two cores. Inputs are float32, N clips of T frames of S by S
pixels, S a multiple of 16; outputs are logits (N, classes). Without PyTorch the module imports,
but nothing in it can be made.
"""

from __future__ import annotations

from typing import Any

from edgevid.benchmarks.reference.optional_torch import Module, nn, torch

WIDTHS = (24, 48, 72, 96)
"""Channels of the four stages of a network for single frames; each halves the picture."""

DEPTH = 2
"""Convolutions of each of them."""

WIDE = (32, 48, 64, 96)
"""The same of one that takes all frames at once, stacked into channels."""

FEATURES = 128


def _unit(inputs: int, outputs: int, kernel: int = 3, stride: int = 2) -> Any:
    """Convolution, batch normalisation, ReLU."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


def _features(channels: int, places: int = 1) -> Any:
    """From the last stage's picture to `FEATURES` numbers; one place is the mean over all."""
    layers = [nn.AdaptiveAvgPool2d(1)] if places == 1 else []
    layers += [nn.Flatten(), nn.Linear(channels * places, FEATURES, bias=False)]
    return nn.Sequential(*layers, nn.BatchNorm1d(FEATURES), nn.ReLU())


def _stages(channels: int, widths: tuple[int, ...], depth: int = 1) -> list[Any]:
    pairs = zip((channels, *widths), widths, strict=False)
    return [
        nn.Sequential(
            _unit(a, b, 5 if i == 0 else 3), *(_unit(b, b, stride=1) for _ in range(depth - 1))
        )
        for i, (a, b) in enumerate(pairs)
    ]


class Frame(Module):
    """The CNN of one frame: (N, 3, S, S) to (N, FEATURES).

    The places stay apart up to the last layer, so that the features know where the shape is.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        features = _features(WIDTHS[-1], (size // 16) ** 2)
        self.layers = nn.Sequential(*_stages(3, WIDTHS, DEPTH), features)

    def forward(self, x: Any) -> Any:
        return self.layers(x)


class _OnFrame(Module):
    """A network on top of a `Frame`: (N, T, 3, S, S)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.frame = Frame(size)

    def start_from(self, frame: Any) -> None:
        """Take the weights of one that knows pictures."""
        self.frame.load_state_dict(frame.state_dict())

    def see(self, x: Any) -> Any:
        """What `head` takes of each frame: (N, T, ...)."""
        return self.frame(x.flatten(0, 1)).unflatten(0, (-1, x.shape[1]))

    def forward(self, x: Any) -> Any:
        return self.head(self.see(x))


class _OnStages(Module):
    """A network on top of the stages of a `Frame`."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(_stages(3, WIDTHS, DEPTH))

    def start_from(self, frame: Any) -> None:
        """Take the weights of one that knows pictures."""
        for stage, other in zip(self.stages, frame.layers, strict=False):
            stage.load_state_dict(other.state_dict())


class Motion(Module):
    """The CNN of frames stacked into channels: (N, channels, S, S) to (N, FEATURES).

    What moves how can be seen anywhere: the last layer takes the mean over places.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_stages(channels, WIDE), _features(WIDE[-1]))

    def forward(self, x: Any) -> Any:
        return self.layers(x)


class SingleFrame(Module):
    """One picture, one answer: (N, 3, S, S)."""

    def __init__(self, size: int, classes: int) -> None:
        super().__init__()
        self.frame = Frame(size)
        self.classes = nn.Linear(FEATURES, classes)

    def forward(self, x: Any) -> Any:
        return self.classes(self.frame(x))


class LateFusion(_OnFrame):
    """Towers with the same weights on frames far apart, joined in the first dense layer.

    (N, K, 3, S, S). Karpathy et al. 2014, "Large-scale Video Classification with Convolutional
    Neural Networks", section 3.1.
    """

    def __init__(self, size: int, classes: int, num_frames: int = 2) -> None:
        super().__init__(size)
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(FEATURES * num_frames, 256),
            nn.ReLU(),
            nn.Linear(256, 256),
            nn.ReLU(),
            nn.Linear(256, classes),
        )


class Stacked(Module):
    """Frames stacked into the channels of a 2D network: (N, T * C, S, S).

    Of pixels it is early fusion (Karpathy et al. 2014, section 3.1), of frame differences
    TSN's RGB difference (Wang et al. 2016, arXiv:1608.00859), of optical flow the temporal
    stream of Simonyan & Zisserman 2014 (arXiv:1406.2199).
    """

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.motion = Motion(channels)
        self.classes = nn.Linear(FEATURES, classes)

    def forward(self, x: Any) -> Any:
        return self.classes(self.motion(x))


class ContextFovea(Module):
    """Two streams, the whole frame at low resolution and its centre at full.

    Each (N, T, 3, S, S), stacked into channels. Karpathy et al. 2014, section 3.2.
    """

    def __init__(self, classes: int, num_frames: int) -> None:
        super().__init__()
        self.context = Motion(3 * num_frames)
        self.fovea = Motion(3 * num_frames)
        self.classes = nn.Linear(2 * FEATURES, classes)

    def forward(self, context: Any, fovea: Any) -> Any:
        streams = (self.context(context.flatten(1, 2)), self.fovea(fovea.flatten(1, 2)))
        return self.classes(torch.cat(streams, 1))


class Recurrent(_OnFrame):
    """A CNN for every frame, and an LSTM over their features: (N, T, 3, S, S).

    Donahue et al. 2015, "Long-term Recurrent Convolutional Networks" (arXiv:1411.4389).
    """

    def __init__(self, size: int, classes: int) -> None:
        super().__init__(size)
        self.lstm = nn.LSTM(FEATURES, FEATURES, batch_first=True)
        self.classes = nn.Linear(FEATURES, classes)

    def head(self, features: Any) -> Any:
        """From the features of T frames (N, T, FEATURES) to logits."""
        return self.classes(self.lstm(features)[0][:, -1])


class RecurrentStep(Module):
    """The same network, one frame at a time: (N, 3, S, S) and the LSTM's state (1, N, 128)."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, x: Any, h_in: Any, c_in: Any) -> Any:
        features = self.whole.frame(x)[:, None]
        steps, (h, c) = self.whole.lstm(features, (h_in, c_in))
        return self.whole.classes(steps[:, -1]), h, c


class Shift(_OnStages):
    """A 2D network whose channels are shifted one frame ahead: (N, T, 3, S, S).

    Before each stage but the first, a quarter of the channels comes from the frame before (TSM,
    Lin et al. 2019, arXiv:1811.08383, section 4.2: the form for online use). The answer of a
    clip is the mean over its frames from the fourth on, which know what came before.
    """

    FOLD = 4
    WARM = 3

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.last = _features(WIDTHS[-1])
        self.classes = nn.Linear(FEATURES, classes)

    def forward(self, x: Any) -> Any:
        n, t, c, h, w = x.shape
        x = self.stages[0](x.reshape(n * t, c, h, w))
        for stage in self.stages[1:]:
            clip = x.unflatten(0, (n, t))
            fold = x.shape[1] // self.FOLD
            before = nn.functional.pad(clip[:, :-1, :fold], (0, 0, 0, 0, 0, 0, 1, 0))
            x = stage(torch.cat([before, clip[:, :, fold:]], 2).flatten(0, 1))
        logits = self.classes(self.last(x)).unflatten(0, (n, t))
        return logits[:, self.WARM :].mean(1)


class ShiftStep(Module):
    """The same network, one frame at a time; what it shifts are three buffers."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, x: Any, *buffers: Any) -> Any:
        x = self.whole.stages[0](x)
        kept = []
        for stage, buffer in zip(self.whole.stages[1:], buffers, strict=True):
            fold = buffer.shape[1]
            kept.append(x[:, :fold])
            x = stage(torch.cat([buffer, x[:, fold:]], 1))
        return (self.whole.classes(self.whole.last(x)), *kept)


class _Attention(Module):
    """Self-attention over the last axis but one of four, added to what went in.

    Each pair of positions has a bias of its own (Liu et al. 2021, arXiv:2103.14030), drawn at
    random: attention that begins even over all frames is slow to find what comes after what.
    """

    def __init__(self, width: int, heads: int, length: int) -> None:
        super().__init__()
        self.norm, self.heads = nn.LayerNorm(width), heads
        self.bias = nn.Parameter(2 * torch.randn(heads, length, length))
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Any) -> Any:
        _, outer, length, width = x.shape
        parts = self.qkv(self.norm(x)).reshape(-1, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        bias = self.bias[:, :length, :length] if self.training else self.bias
        weights = q @ k.transpose(-1, -2) * (width // self.heads) ** -0.5 + bias
        mixed = (weights.softmax(-1) @ v).transpose(1, 2).reshape(-1, outer, length, width)
        return x + self.out(mixed)


class _Block(Module):
    """Attention over time at every place, then over places in every frame, then an MLP."""

    def __init__(self, width: int, heads: int, num_frames: int, places: int) -> None:
        super().__init__()
        self.time = _Attention(width, heads, num_frames)
        self.space = _Attention(width, heads, places)
        # At first every place keeps to itself: what changes in time is the harder to find.
        nn.init.zeros_(self.space.out.weight)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Any) -> Any:
        x = self.time(x.transpose(1, 2)).transpose(1, 2)
        x = self.space(x)
        return x + self.mlp(x)


class DividedAttention(_OnFrame):
    """Attention divided into time and space: (N, T, 3, S, S).

    TimeSformer, Bertasius et al. 2021 (arXiv:2102.05095). A `Frame` makes the tokens instead of
    one large convolution, which small data needs (Xiao et al. 2021, arXiv:2106.14881): its last
    stage those of the places, its features that of the class, one for each frame. Most batches in
    training leave out the places (Liu et al. 2022, PatchDropout, arXiv:2208.07220).
    """

    LEFT_OUT = 0.9

    def __init__(
        self, size: int, classes: int, num_frames: int, width: int = 96, depth: int = 2
    ) -> None:
        super().__init__(size)
        self.whole, self.part = nn.Linear(FEATURES, width), nn.Linear(WIDTHS[-1], width)
        places = 1 + (size // 16) ** 2
        self.places = nn.Parameter(0.5 * torch.randn(1, 1, places, width))
        self.times = nn.Parameter(0.5 * torch.randn(1, num_frames, 1, width))
        self.blocks = nn.Sequential(*(_Block(width, 4, num_frames, places) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.classes = nn.Linear(width, classes)

    def see(self, x: Any) -> Any:
        """What `head` takes of each frame: (N, T, channels, side, side)."""
        return self.frame.layers[:-1](x.flatten(0, 1)).unflatten(0, (-1, x.shape[1]))

    def head(self, pictures: Any) -> Any:
        """From what is seen of T frames to logits."""
        count = pictures.shape[1]
        whole = self.whole(self.frame.layers[-1](pictures.flatten(0, 1)))[:, None]
        parts = self.part(pictures.flatten(0, 1).flatten(2).transpose(1, 2))
        tokens = torch.cat([whole, parts], 1).unflatten(0, (-1, count)) + self.places + self.times
        if self.training and torch.rand(()) < self.LEFT_OUT:
            tokens = tokens[:, :, :1]
        mixed = self.blocks(tokens)
        return self.classes(self.norm(mixed[:, :, 0]).mean(1))
