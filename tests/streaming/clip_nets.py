"""Small clip models in the shapes that papers and tutorials give them."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import onnx
import pytest

from edgevid.convert.batch import settle_batch
from edgevid.convert.graph import bake
from edgevid.convert.journal import Journal
from edgevid.convert.simplify import simplify
from edgevid.spec import ClipSpec, InputSpec, OutputSpec, Spec

torch = pytest.importorskip("torch", reason="pip install 'edgevid[torch]'")
nn = torch.nn

SIZE = 24
CLASSES = 5


class Frame(nn.Module):
    """The CNN of one frame: (N, 3, H, W) to (N, 12)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3, padding=1),
            nn.Hardswish(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )

    def forward(self, x: Any) -> Any:
        return self.body(x)


class Patches(nn.Module):
    """The transformer of one frame: 9 patches, a class token in front, places, one block."""

    def __init__(self) -> None:
        super().__init__()
        self.cut = nn.Conv2d(3, 12, 8, stride=8)
        self.token = nn.Parameter(torch.randn(1, 1, 12))
        self.places = nn.Parameter(torch.randn(1, 10, 12))
        self.block = nn.TransformerEncoderLayer(12, 2, 24, batch_first=True, dropout=0.0)

    def forward(self, x: Any) -> Any:
        x = self.cut(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        return self.block(x)[:, 0]


class Clip(nn.Module):
    """(N, T, 3, H, W): T folded into the batch, then a head over (N, T, 12)."""

    def __init__(self, head: nn.Module, frame: Any = Frame) -> None:
        super().__init__()
        self.frame, self.head = frame(), head

    def forward(self, x: Any) -> Any:
        n, t = x.shape[:2]
        return self.head(self.frame(x.reshape(n * t, 3, SIZE, SIZE)).reshape(n, t, 12))


class TimeFirst(Clip):
    """The same, folded the other way round: T * N."""

    def forward(self, x: Any) -> Any:
        n, t = x.shape[:2]
        frames = x.transpose(0, 1).reshape(t * n, 3, SIZE, SIZE)
        return self.head(self.frame(frames).reshape(t, n, 12).transpose(0, 1))


class Unrolled(Clip):
    """A loop over T, which exporters unroll into T branches."""

    def forward(self, x: Any) -> Any:
        frames = [self.frame(x[:, t]) for t in range(x.shape[1])]
        return self.head(torch.stack(frames, dim=1))


class Unbound(Clip):
    """The same, dealt out at once."""

    def forward(self, x: Any) -> Any:
        return self.head(torch.stack([self.frame(f) for f in torch.unbind(x, 1)], dim=1))


class Mean(nn.Module):
    """TSN's consensus: the mean of every frame's class scores."""

    def __init__(self) -> None:
        super().__init__()
        self.classes = nn.Linear(12, CLASSES)

    def forward(self, x: Any) -> Any:
        return self.classes(x).mean(1)


class Fusion(nn.Module):
    """Late fusion: all frames' features side by side (Karpathy et al. 2014)."""

    def __init__(self, num_frames: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(12 * num_frames, 16), nn.ReLU(), nn.Linear(16, CLASSES)
        )

    def forward(self, x: Any) -> Any:
        return self.layers(x)


class Recurrent(nn.Module):
    """The last step of an LSTM or GRU."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.steps = kind(12, 10, batch_first=True)
        self.classes = nn.Linear(10, CLASSES)

    def forward(self, x: Any) -> Any:
        return self.classes(self.steps(x)[0][:, -1])


class Attention(nn.Module):
    """One block of a transformer over time, with places, then the mean."""

    def __init__(self, num_frames: int) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.randn(1, num_frames, 12))
        self.block = nn.TransformerEncoderLayer(12, 2, 24, batch_first=True, dropout=0.0)
        self.classes = nn.Linear(12, CLASSES)

    def forward(self, x: Any) -> Any:
        return self.classes(self.block(x + self.places).mean(1))


class Volume(nn.Module):
    """(N, 3, T, H, W) through Conv3d that are 1 in time, then what `over_time` does."""

    def __init__(self, over_time: Any) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(3, 8, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
            nn.BatchNorm3d(8),
            nn.ReLU(),
            nn.MaxPool3d((1, 2, 2)),
            nn.Conv3d(8, 12, (1, 3, 3), padding=(0, 1, 1)),
            nn.ReLU(),
        )
        self.over_time = over_time
        self.classes = nn.Linear(12, CLASSES)

    def forward(self, x: Any) -> Any:
        return self.classes(self.over_time(self.body(x)).mean((2, 3, 4)))


class Full3d(nn.Module):
    """A 3D CNN: its first layer already spans three frames."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 8, 3, padding=1)
        self.classes = nn.Linear(8, CLASSES)

    def forward(self, x: Any) -> Any:
        return self.classes(torch.relu(self.conv(x)).mean((2, 3, 4)))


class Shift(Clip):
    """A temporal shift module on the pixels' first features (Lin et al. 2019)."""

    def __init__(self) -> None:
        super().__init__(Mean())
        self.stem = nn.Conv2d(3, 3, 1)

    def forward(self, x: Any) -> Any:
        n, t = x.shape[:2]
        y = self.stem(x.reshape(n * t, 3, SIZE, SIZE)).reshape(n, t, 3, SIZE, SIZE)
        back = torch.cat([y[:, 1:, :1], torch.zeros_like(y[:, :1, :1])], 1)
        ahead = torch.cat([torch.zeros_like(y[:, :1, 1:2]), y[:, :-1, 1:2]], 1)
        return super().forward(torch.cat([back, ahead, y[:, :, 2:]], 2))


class TwoLevels(Clip):
    """Its head also reads the frames' first features."""

    def __init__(self) -> None:
        super().__init__(Recurrent(nn.LSTM))
        self.early = nn.Linear(8, CLASSES)

    def forward(self, x: Any) -> Any:
        n, t = x.shape[:2]
        early = self.frame.body[:3](x.reshape(n * t, 3, SIZE, SIZE))
        late = self.head(self.frame.body[3:](early).reshape(n, t, 12))
        return late + self.early(early.mean((2, 3)).reshape(n, t, 8).mean(1))


class MaxInside(nn.Module):
    """Takes the maximum over time in the middle of the net."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 2, 3, stride=2, padding=1)
        self.rest = nn.Sequential(
            nn.Conv2d(2, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU()
        )
        self.classes = nn.Linear(32, CLASSES)

    def forward(self, x: Any) -> Any:
        n, t = x.shape[:2]
        y = self.stem(x.reshape(n * t, 3, SIZE, SIZE)).unflatten(0, (n, t)).amax(1)
        return self.classes(self.rest(y).mean((2, 3)))


class Training(Clip):
    """Normalises each batch of frames by its own mean, as in training."""

    def __init__(self) -> None:
        super().__init__(Mean())
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: Any) -> Any:
        n, t = x.shape[:2]
        y = x.reshape(n * t, 3, SIZE, SIZE)
        scale, shift = self.norm.weight, self.norm.bias
        mean, spread = self.norm.running_mean, self.norm.running_var
        y = nn.functional.batch_norm(y, mean, spread, scale, shift, training=True)
        return super().forward(y.reshape(n, t, 3, SIZE, SIZE))


class ChannelsLast(Clip):
    """(N, T, H, W, 3), as Keras lays frames out."""

    def forward(self, x: Any) -> Any:
        return super().forward(x.permute(0, 1, 4, 2, 3))


def baked(
    net: Any, num_frames: int, layout: str = "NTCHW", *, dynamo: bool = False, batch: bool = True
) -> onnx.ModelProto:
    """The graph that `convert` would split: from uint8 frames to scores.

    Args:
        net: A module.
        num_frames: T.
        layout: Of its input.
        dynamo: Export by `torch.export`, else by tracing.
        batch: Leave the batch open.
    """
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2.0)
    axes = {"N": 2 if batch else 1, "T": num_frames, "C": 3, "H": SIZE, "W": SIZE}
    example = torch.randn([axes[axis] for axis in layout])
    names = {"input_names": ["clip"], "output_names": ["logits"]}
    if dynamo:
        open_batch = torch.export.Dim("batch")
        names["dynamic_shapes"] = ({0: open_batch},) if batch else None
    elif batch:
        names["dynamic_axes"] = {"clip": {0: "batch"}, "logits": {0: "batch"}}
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net.eval(), (example,), file, dynamo=dynamo, verbose=False, **names)
    model = onnx.load_from_string(file.getvalue())
    return prepared(model, spec_of(num_frames, layout))


def prepared(model: onnx.ModelProto, spec: Spec) -> onnx.ModelProto:
    """As `convert` makes it ready."""
    journal = Journal()
    graph = simplify(bake(model, spec), journal)
    return settle_batch(graph, clips(spec.clip.num_frames), journal)


def spec_of(num_frames: int, layout: str = "NTCHW") -> Spec:
    picture = InputSpec(name="clip", layout=layout, size=(SIZE, SIZE), scale=1 / 255)
    return Spec(
        labels=tuple("abcde"),
        clip=ClipSpec(num_frames=num_frames, fps=10.0),
        inputs=(picture,),
        outputs=(OutputSpec(name="logits", kind="logits"),),
    )


def clips(num_frames: int, count: int = 3) -> list[dict[str, Any]]:
    """Windows of noise."""
    rng = np.random.default_rng(7)
    shape = (1, num_frames, SIZE, SIZE, 3)
    return [{"clip": rng.integers(0, 256, shape, np.uint8)} for _ in range(count)]
