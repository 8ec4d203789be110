"""Models that take their frames one by one, in a loop that is kept in the graph."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from clip_nets import CLASSES, SIZE, Frame, nn, torch
from onnx import numpy_helper, parser

from edgevid.convert.graph import reads
from edgevid.convert.torch_export import export_torch

T = 5


class Loop(nn.Module):
    """A list of features, put together behind the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.frame, self.classes = Frame().body, nn.Linear(12, CLASSES)
        self.steps = nn.LSTM(12, 12, batch_first=True)

    def forward(self, x):
        rows = []
        for t in range(x.shape[1]):
            rows.append(self.frame(x[:, t]))
        return self.classes(self.steps(torch.stack(rows, 1))[0][:, -1])


class Filled(Loop):
    """Writes features into a tensor that is there before the loop."""

    def forward(self, x):
        rows = torch.zeros(x.shape[0], x.shape[1], 12)
        for t in range(x.shape[1]):
            rows[:, t] = self.frame(x[:, t])
        return self.classes(self.steps(rows)[0][:, -1])


class Summed(Loop):
    """Carries a sum of features."""

    def forward(self, x):
        total = torch.zeros(x.shape[0], 12)
        for t in range(x.shape[1]):
            total = total + self.frame(x[:, t])
        return self.classes(total / x.shape[1])


class Cell(nn.Module):
    """Carries an LSTM cell's state: backbone and recurrence are one loop's body."""

    def __init__(self) -> None:
        super().__init__()
        self.frame, self.classes = Frame().body, nn.Linear(12, CLASSES)
        self.cell = nn.LSTMCell(12, 12)

    def forward(self, x):
        h = torch.zeros(x.shape[0], 12)
        c = torch.zeros(x.shape[0], 12)
        for t in range(x.shape[1]):
            h, c = self.cell(self.frame(x[:, t]), (h, c))
        return self.classes(h)


class Feedback(Loop):
    """Its layers see what they made of the frame before."""

    def forward(self, x):
        rows = torch.zeros(x.shape[0], 12)
        for t in range(x.shape[1]):
            rows = self.frame(x[:, t] + rows.mean())
        return self.classes(rows)


class Pairs(Loop):
    """A turn takes two frames."""

    def forward(self, x):
        total = torch.zeros(x.shape[0], 12)
        for t in range(2):
            total = total + self.frame(x[:, 2 * t] - x[:, 2 * t + 1])
        return self.classes(total)


class Stopped(Loop):
    """Goes on as long as frames are bright."""

    def forward(self, x):
        total = torch.zeros(x.shape[0], 12)
        t = 0
        while t < 5 and bool(x[:, t].mean() > 0.1):
            total = total + self.frame(x[:, t])
            t += 1
        return self.classes(total)


class Apart(nn.Module):
    """A loop over the frames that exporters write out; every frame has layers of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = nn.ModuleList(Frame() for _ in range(T))
        self.classes = nn.Linear(12, CLASSES)

    def forward(self, x: Any) -> Any:
        rows = [frame(x[:, t]) for t, frame in enumerate(self.frames)]
        return self.classes(torch.stack(rows, 1).mean(1))


def scripted(net: Any, folder: Path) -> Path:
    """A TorchScript archive by way of edgevid's exporter, as `convert` takes it."""
    torch.manual_seed(0)
    file = folder / "net.pt"
    torch.jit.script(net.eval()).save(str(file))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = export_torch(
            str(file), folder, example_shape=(1, T, 3, SIZE, SIZE), notify=lambda _: None
        )
    return done.path


_BODY = """
    y = Conv <kernel_shape = [3, 3], strides = [2, 2]> (x, kernel)
    z = Relu (y)
    p = GlobalAveragePool (z)
    f = Flatten (p)
"""

SCANS = {
    "along the time": """
        features = Scan <num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [1],
            body = b (float[N,3,24,24] x) => (float[N,8] f) {BODY}> (clip)
        m = ReduceMean <axes = [1], keepdims = 0> (features)
    """,
    "time first": """
        first = Transpose <perm = [1, 0, 2, 3, 4]> (clip)
        s = Scan <num_scan_inputs = 1, body = b
            (float[N,3,24,24] x) => (float[N,8] f) {BODY}> (first)
        m = ReduceMax <axes = [0], keepdims = 0> (s)
    """,
    "backwards": """
        s = Scan <num_scan_inputs = 1, scan_input_axes = [1], scan_input_directions = [1],
            scan_output_directions = [1], body = b
            (float[N,3,24,24] x) => (float[N,8] f) {BODY}> (clip)
        g = Gather <axis = 0> (s, two)
        last = Gather <axis = 0> (s, three)
        m = Sub (g, last)
    """,
    "with a sum": """
        start = Constant <value = float[1,8] {1, 2, 3, 4, 5, 6, 7, 8}> ()
        first = Transpose <perm = [1, 0, 2, 3, 4]> (clip)
        m, s = Scan <num_scan_inputs = 1, body = b
            (float[M,8] before, float[N,3,24,24] x) => (float[M,8] after, float[M,8] copy) {BODY
            after = Add (before, f)
            copy = Identity (after)}> (start, first)
    """,
}
"""Graphs of a Scan from the frames to `m`, `(N, 8)`."""

COUNTED = """
    none, s = Loop <body = b
        (int64 turn, bool more, int64 place) => (bool again, int64 next, float[N,8] f) {
        x = Gather <axis = 1> (clip, place)
        BODY
        step = Constant <value_int = 1> ()
        next = Add (place, step)
        again = Less (next, length)}> (far, yes, zero)
    m = ReduceMean <axes = [0], keepdims = 0> (s)
"""
"""The same with a Loop that counts by itself, as tf2onnx writes them."""


def by_hand(text: str) -> onnx.ModelProto:
    """A model of one of these graphs, and a layer of classes behind it."""
    lines = text.replace("BODY", _BODY)
    model = parser.parse_model(
        f"""<ir_version: 9, opset_import: ["" : 17]>
        net (float[N,{T},3,{SIZE},{SIZE}] clip) => (float[N,{CLASSES}] logits)
        {{ {lines}
        logits = Gemm (m, classes) }}"""
    )
    rng = np.random.default_rng(5)
    weights = {
        "kernel": rng.normal(size=(8, 3, 3, 3)).astype(np.float32),
        "classes": rng.normal(size=(8, CLASSES)).astype(np.float32),
        "far": np.array(2**40, np.int64),
        "yes": np.array(True),
        "zero": np.array(0, np.int64),
        "two": np.array(2, np.int64),
        "three": np.array(3, np.int64),
        "length": np.array(T, np.int64),
    }
    read = {name for node in model.graph.node for name in reads(node)}
    model.graph.initializer.extend(
        numpy_helper.from_array(a, n) for n, a in weights.items() if n in read
    )
    return model


SPEC = {"preset": "unit", "clip": {"num_frames": T, "fps": 10.0, "hop_s": 0.1}}
