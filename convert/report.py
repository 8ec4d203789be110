"""What a conversion did, as `report.json` holds it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from edgevid.convert.quantize.report import Quantisation, Run
from edgevid.manifest import Parity, Precision, Stage
from edgevid.spec import Spec, Strict

if TYPE_CHECKING:
    from onnx import ModelProto


class GraphReport(Strict):
    """One graph in figures.

    Attributes:
        nodes: Number of nodes.
        operators: Nodes of each kind, most frequent first.
        megabytes: Size of the file, in 10^6 bytes.
    """

    nodes: int
    operators: dict[str, int]
    megabytes: float


class PlanReport(Strict):
    """One TensorRT engine that was asked for, or that this machine could use.

    Attributes:
        flavour: `tensorrt` or `tensorrt-rtx`.
        compute_capability: Of the GPU it is for, such as "8.7"; None: this machine's.
        key: Of the plan in the bundle; None where none was built.
        megabytes: Size of the plan, in 10^6 bytes.
        seconds: Spent building.
        note: Why it was not built, or what the builder remarked.
        stage: Of a split model, the part that it runs.
    """

    flavour: str
    compute_capability: str | None = None
    key: str | None = None
    megabytes: float | None = None
    seconds: float | None = None
    note: str = ""
    stage: Stage | None = None


class Report(Strict):
    """Everything that a conversion did.

    Attributes:
        model: File name of the original.
        precision: Of the converted graph.
        dynamic_batch: False where the batch is fixed at 1.
        assumptions: What nothing said, with how to say otherwise.
        notes: What was done differently than one might expect, and why.
        parity: The converted graph's scores against the original's.
        original, converted: The graphs in figures.
        fp32_nodes: FP16 only: names of nodes kept in FP32, with the reason.
        plans: Engines built and not built.
        run: When, how and where.
        quantisation: What quantising did; None without.
    """

    edgevid_version: str
    model: str
    precision: Precision
    dynamic_batch: bool
    assumptions: tuple[str, ...]
    notes: tuple[str, ...]
    parity: Parity
    original: GraphReport
    converted: GraphReport
    fp32_nodes: dict[str, str]
    plans: tuple[PlanReport, ...]
    run: Run
    quantisation: Quantisation | None = None


def describe(model: ModelProto, *files: Path) -> GraphReport:
    """Figures of a graph and of the files that hold it."""
    operators = Counter(str(node.op_type) for node in model.graph.node)
    return GraphReport(
        nodes=len(model.graph.node),
        operators=dict(operators.most_common()),
        megabytes=round(sum(file.stat().st_size for file in files) / 1e6, 3),
    )


def describe_contract(spec: Spec) -> str:
    """A contract in a few words: "takes clip (NTCHW, 20 x 128x128), gives 5 classes"."""
    inputs = []
    for tensor in spec.inputs:
        frames = f"{tensor.depth(spec.clip.num_frames)} x " if tensor.is_clip else ""
        height, width = tensor.size
        kind = "" if tensor.modality == "rgb" else f"{tensor.modality}, "
        inputs.append(f"{tensor.name} ({kind}{tensor.layout}, {frames}{width}x{height})")
    output = spec.outputs[0]
    return f"takes {', '.join(inputs)}, gives {output.kind} of {len(spec.labels)} classes"
