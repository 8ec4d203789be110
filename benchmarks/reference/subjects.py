"""The models of the table: the reference models, and real ones where the data is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgevid.benchmarks.demo_data import demo_spec
from edgevid.benchmarks.reference.answers import (
    Original,
    onnx_original,
    softmax,
    torch_original,
    torchscript_original,
)
from edgevid.benchmarks.reference.data import FPS
from edgevid.benchmarks.reference.families import FAMILIES, Family
from edgevid.benchmarks.reference.real import CONV3D, LRCN, MOBILENET, MOVINET
from edgevid.benchmarks.reference.training import Trainer, export
from edgevid.demo import MODEL as DEMO
from edgevid.spec import ClipSpec, InputSpec, OutputKind
from edgevid.types import Array


@dataclass(frozen=True)
class Subject:
    """One model of the table.

    Attributes:
        name, contract: First columns of its row.
        model: ONNX file.
        spec: What `convert` is told.
        begin: The original, see `answers`.
        clip, inputs, kind: What the original was trained with.
        moving: It tells moving shapes apart: it has an accuracy on the rendered videos.
        stateful: Convert it with `--stateful`; its original is the model over windows.
        against: The original, in words.
    """

    name: str
    contract: str
    model: Path
    spec: Mapping[str, Any]
    begin: Callable[[], Original]
    clip: ClipSpec
    inputs: tuple[InputSpec, ...]
    kind: OutputKind = "logits"
    moving: bool = False
    stateful: bool = False
    against: str = "torch"


def reference(family: Family, trainer: Trainer) -> Subject:
    """A reference model, trained where it is not in the cache."""
    net = trainer.trained(family)
    folder = trainer.cache / "onnx"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{family.name}.onnx"
    export(family, net, file)
    frames = 1 if family.states else family.num_frames
    return Subject(
        name=family.name,
        contract=family.contract,
        model=file,
        spec=family.spec,
        begin=torch_original(family, net),
        clip=ClipSpec(num_frames=frames, frame_interval=family.frame_interval, fps=FPS),
        inputs=tuple(family.exported_inputs),
        moving=True,
    )


def stateful(family: Family, trainer: Trainer) -> Subject:
    """A reference model over windows that `convert` makes take frame by frame."""
    return replace(
        reference(family, trainer),
        name=f"{family.name}, stateful",
        contract="one frame and states made by `--stateful`",
        stateful=True,
    )


def two_stream(trainer: Trainer) -> Subject:
    """The spatial stream on one frame and the temporal one on flow, in two files.

    Simonyan & Zisserman 2014 (arXiv:1406.2199): the weighted mean of their scores.
    """
    spatial = reference(FAMILIES["single-frame"], trainer)
    temporal = reference(FAMILIES["flow"], trainer)
    frame = {**spatial.spec["inputs"][0], "frames": "last"}
    inputs = [frame, *temporal.spec["inputs"]]
    weights = np.array([1.0, 1.5]) / 2.5

    def begin() -> Original:
        streams = [spatial.begin(), temporal.begin()]

        def answer(feeds: list[Array]) -> Array:
            logits = [stream([feed]) for stream, feed in zip(streams, feeds, strict=True)]
            return np.asarray(weights @ [softmax(x) for x in logits])

        return answer

    return replace(
        temporal,
        name="two-stream",
        contract="one frame in one model, 7 fields of flow in another, weights 1 and 1.5",
        model=spatial.model,
        spec={
            **temporal.spec,
            "inputs": inputs,
            "models": [{"file": str(temporal.model.absolute()), "weight": 1.5}],
        },
        begin=begin,
        inputs=tuple(InputSpec(**table) for table in inputs),
        kind="probabilities",
    )


def demo(*_: object) -> Subject:
    """The model that ships: a 3D CNN (as C3D, Tran et al. 2015, arXiv:1412.0767)."""
    spec = demo_spec()
    words = spec.model_dump(exclude_unset=True)
    return Subject(
        name="demo (3D CNN)",
        contract="N,C,T,H,W of 8 frames",
        model=DEMO,
        spec={**words, "clip": {**words["clip"], "hop_s": spec.clip.period_s}},
        begin=onnx_original(DEMO, spec.outputs[0].name, {}),
        clip=spec.clip,
        inputs=spec.inputs,
        moving=True,
        against="ONNX Runtime",
    )


def _real(data: Path, name: str, words: Mapping[str, Any], **more: Any) -> Subject:
    model = data / "models" / name / "model.onnx"
    options = {
        "begin": onnx_original(model, "probs", {}),
        "clip": ClipSpec(**words.get("clip", {})),
        "inputs": tuple(InputSpec(**table) for table in words["inputs"]),
        "kind": "probabilities",
        "against": "ONNX Runtime",
    }
    return Subject(name=name, model=model, spec=words, **{**options, **more})


def _mobilenet(data: Path) -> Subject:
    labels = str(data / "models/mobilenet-v2-imagenet/labels.txt")
    words = {**MOBILENET, "labels": labels, "clip": {"frame_interval": 4}}
    return _real(data, "mobilenet-v2-imagenet", words, contract="one frame")


def _conv3d(data: Path) -> Subject:
    return _real(data, "conv3d-ucf101", CONV3D, contract="N,T,C,H,W of 2 frames")


def _lrcn(data: Path) -> Subject:
    begin = torchscript_original(data / "models/lrcn-ucf50/model.torchscript.pt")
    return _real(
        data, "lrcn-ucf50", LRCN, contract="N,T,C,H,W of 20 frames", begin=begin, against="torch"
    )


def _lrcn_stateful(data: Path) -> Subject:
    windows = LRCN["clip"]
    # What a state is carried over is a steady stream: its frames are as far apart as a
    # live window's.
    clip = {"num_frames": windows["num_frames"], "fps": windows["num_frames"] / windows["window_s"]}
    words = {**LRCN, "clip": clip}
    begin = torchscript_original(data / "models/lrcn-ucf50/model.torchscript.pt")
    subject = _real(
        data, "lrcn-ucf50", words, contract="one frame and (h, c)", begin=begin, against="torch"
    )
    return replace(subject, name="lrcn-ucf50, stateful", stateful=True)


def _movinet(data: Path) -> Subject:
    folder = data / "models" / "movinet-a0-stream"
    said = json.loads((folder / "states.json").read_text(encoding="utf-8"))
    states = {state["input"]: state["output"] for state in said["states"]}
    spec = InputSpec(name=said["image"], layout="NTHWC", size=(172, 172), scale=1 / 255)
    words = {
        **MOVINET,
        "labels": str(folder / "labels.txt"),
        "states": str(folder / "states.json"),
    }
    return Subject(
        name="movinet-a0-stream",
        contract=f"one frame and {len(states)} states",
        model=folder / "model.onnx",
        spec=words,
        begin=onnx_original(folder / "model.onnx", said["logits"], states),
        clip=ClipSpec(**MOVINET["clip"]),
        inputs=(spec,),
        against="ONNX Runtime",
    )


REAL: Mapping[str, Callable[[Path], Subject]] = {
    "mobilenet-v2-imagenet": _mobilenet,
    "conv3d-ucf101": _conv3d,
    "lrcn-ucf50": _lrcn,
    "lrcn-ucf50-stateful": _lrcn_stateful,
    "movinet-a0-stream": _movinet,
}
"""Trained models of others, from the folder of shared test data."""

DERIVED: Mapping[str, Callable[[Trainer], Subject]] = {
    "demo": demo,
    "two-stream": two_stream,
    "causal-x3d-stateful": partial(stateful, FAMILIES["causal-x3d"]),
}
"""The shipped model, and what is made of trained reference models."""

NAMES = (*FAMILIES, *DERIVED, *REAL)
