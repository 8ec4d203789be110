"""What an original model answers on the first windows of a video."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgevid.benchmarks.reference.families import Family
from edgevid.benchmarks.reference.original import (
    flow_bytes,
    model_input,
    pictures,
    sample,
)
from edgevid.spec import ClipSpec, InputSpec, OutputKind
from edgevid.types import Array, UInt8Array

Original = Callable[[list[Array]], Array]
"""From the model's inputs for one window, batch 1, to its output `(C,)`; states stay inside."""


def answers(
    begin: Callable[[], Original],
    clip: ClipSpec,
    inputs: Sequence[InputSpec],
    kind: OutputKind,
    video: Path,
    windows: int,
) -> Array:
    """Probabilities `(n, C)` of a video's first windows, n at most `windows`.

    Args:
        begin: Makes the model ready for a new video.
        clip, inputs: What it was trained with.
        kind: Of its output.
    """
    original = begin()
    rows = []
    for frames in sample(video, clip, windows):
        feeds = [_feed(pictures(frames, spec), spec) for spec in inputs]
        rows.append(_probabilities(original(feeds).astype(np.float64), kind))
    return np.stack(rows)


def _feed(window: UInt8Array, spec: InputSpec) -> Array:
    import torch

    window = flow_bytes(window) if spec.modality == "flow" else window
    return np.asarray(model_input(torch.from_numpy(window[np.newaxis]), spec).numpy())


def _probabilities(output: Array, kind: OutputKind) -> Array:
    if kind == "logits":
        return softmax(output)
    return np.asarray(1 / (1 + np.exp(-output))) if kind == "sigmoid" else output


def softmax(logits: Array) -> Array:
    """Of `(C,)` logits, in double precision."""
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(powers / powers.sum())


def torch_original(family: Family, net: Any) -> Callable[[], Original]:
    """A trained module, one frame at a time where it has states."""
    import torch

    module = (family.steps(net) if family.steps else net).eval()

    def begin() -> Original:
        states = [torch.zeros(shape) for shape in family.states.values()]

        def answer(feeds: list[Array]) -> Array:
            with torch.no_grad():
                given = module(*map(torch.from_numpy, feeds), *states)
            given = given if isinstance(given, tuple) else (given,)
            states[:] = given[1:]
            return np.asarray(given[0][0].numpy())

        return answer

    return begin


def torchscript_original(file: Path) -> Callable[[], Original]:
    """A TorchScript archive of a model over windows."""
    import torch

    module = torch.jit.load(str(file)).eval()

    def answer(feeds: list[Array]) -> Array:
        with torch.no_grad():
            return np.asarray(module(*map(torch.from_numpy, feeds))[0].numpy())

    return lambda: answer


def onnx_original(file: Path, scores: str, states: Mapping[str, str]) -> Callable[[], Original]:
    """An ONNX file as its authors made it.

    Args:
        scores: Name of the output.
        states: From the inputs that are states to the outputs that they come from.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    types = {"tensor(float)": np.float32, "tensor(int32)": np.int32, "tensor(int64)": np.int64}
    zeros = {
        i.name: np.zeros([d if isinstance(d, int) else 1 for d in i.shape], types[i.type])
        for i in session.get_inputs()
        if i.name in states
    }
    names = [i.name for i in session.get_inputs() if i.name not in states]

    def begin() -> Original:
        carried = dict(zeros)

        def answer(feeds: list[Array]) -> Array:
            wanted = [scores, *states.values()]
            given = session.run(wanted, {**dict(zip(names, feeds, strict=True)), **carried})
            carried.update(zip(states, given[1:], strict=True))
            return np.asarray(given[0].reshape(-1))

        return answer

    return begin
