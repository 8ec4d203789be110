"""PyTorch models of one frame that take states and give the next ones."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import onnx
from clip_nets import CLASSES, SIZE, nn, torch


class ShiftStep(nn.Module):
    """TSM online (Lin et al. 2019, arXiv:1811.08383): the first eighth of the channels before each
    convolution is that of the frame before, kept in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.convs = nn.ModuleList(
            [nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.Conv2d(32, 32, 3, padding=1)]
        )
        self.classes = nn.Linear(32, CLASSES)
        self.states = {
            "shift_buffer_0": (1, 2, SIZE // 2, SIZE // 2),
            "shift_buffer_1": (1, 4, SIZE // 4, SIZE // 4),
        }

    def forward(self, x: Any, *buffers: Any) -> Any:
        y, kept = torch.relu(self.stem(x)), []
        for conv, before in zip(self.convs, buffers, strict=True):
            fold = before.shape[1]
            kept.append(y[:, :fold])
            y = torch.relu(conv(torch.cat([before, y[:, fold:]], 1)))
        return self.classes(y.mean((2, 3))), *kept


class CellStep(nn.Module):
    """A CNN and an LSTM or GRU cell: h, and c of an LSTM, are `(N, 24)`."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.frame = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.cell = kind(32, 24)
        self.classes = nn.Linear(24, CLASSES)
        names = ("h", "c") if kind is nn.LSTMCell else ("h",)
        self.states = dict.fromkeys(names, (1, 24))

    def forward(self, x: Any, *states: Any) -> Any:
        features = self.frame(x)
        new = self.cell(features, states if len(states) > 1 else states[0])
        new = new if isinstance(new, tuple) else (new,)
        return self.classes(new[0]), *new


class LayerStep(nn.Module):
    """The same with two layers of nn.LSTM or nn.GRU: states are `(2, N, 24)`."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.frame = CellStep(nn.GRUCell).frame
        self.steps = kind(32, 24, num_layers=2)
        self.classes = nn.Linear(24, CLASSES)
        names = ("h", "c") if kind is nn.LSTM else ("h",)
        self.states = dict.fromkeys(names, (2, 1, 24))

    def forward(self, x: Any, *states: Any) -> Any:
        features = self.frame(x).unsqueeze(0)
        y, new = self.steps(features, states if len(states) > 1 else states[0])
        return self.classes(y[0]), *(new if isinstance(new, tuple) else (new,))


def export(net: Any, path: Path) -> Path:
    """As ONNX with an open batch: `frame` and `*_in` to `logits` and `*_out`."""
    takes, gives = ([f"{name}_{side}" for name in net.states] for side in ("in", "out"))
    examples = [torch.zeros(shape) for shape in net.states.values()]
    axes = {name: {len(shape) == 3: "batch"} for name, shape in
            zip((*takes, *gives), (*net.states.values(),) * 2, strict=True)}  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = io.BytesIO()
        torch.onnx.export(
            net.eval(),
            (torch.rand(1, 3, SIZE, SIZE), *examples),
            file,
            dynamo=False,
            input_names=["frame", *takes],
            output_names=["logits", *gives],
            dynamic_axes={"frame": {0: "batch"}, "logits": {0: "batch"}, **axes},
        )
    onnx.save(onnx.load_from_string(file.getvalue()), path)
    return path
