"""Who is compared: a row each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edgevid.benchmarks.peers import environments
from edgevid.benchmarks.peers.environments import Packages


@dataclass(frozen=True)
class Peer:
    """One row of the table.

    Attributes:
        key: Names it on the command line.
        title: Names it in the table.
        loop: Its file in `loops`.
        packages: Of its environment; None: this Python.
        words: What its job says beside what all jobs say.
        remark: Why its labels may differ; empty: they must not.
    """

    key: str
    title: str
    loop: str
    packages: Packages | None = None
    words: dict[str, Any] = field(default_factory=dict)
    remark: str = ""


EDGEVID, AUTO = "edgevid", "edgevid-auto"

PEERS = (
    Peer(EDGEVID, "edgevid, ONNX Runtime", "edgevid_stream", words={"engine": "onnxruntime"}),
    Peer(AUTO, "edgevid, `--engine auto`", "edgevid_stream", words={"engine": "auto"}),
    Peer("tutorial", "tutorial loop", "tutorial", environments.OPENCV_AND_ORT),
    Peer("threaded", "hand-written threaded loop", "threaded", environments.OPENCV_AND_ORT),
    Peer(
        "supervision", "supervision + ONNX Runtime", "supervision_loop",
        environments.SUPERVISION, {"ahead": 0},
    ),
    Peer(
        "supervision-prefetch", "the same, `prefetch=64`", "supervision_loop",
        environments.SUPERVISION, {"ahead": 64},
    ),
    Peer(
        "torchvision", "torchvision eager", "torchvision_eager", environments.EAGER,
        remark="resizes in another way",
    ),
    Peer(
        "ultralytics", "Ultralytics classify, `vid_stride`", "ultralytics_classify",
        environments.ULTRALYTICS,
        remark="takes the last frame of each stride, antialiases, crops",
    ),
    Peer(
        "model-api", "OpenVINO Model API", "model_api_action", environments.MODEL_API,
    ),
)  # fmt: skip
