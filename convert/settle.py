"""Which precision a bundle is kept in: the one that was asked for, or what answers the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from edgevid.convert.build_trt import Target
from edgevid.convert.checked import Checked
from edgevid.convert.journal import Journal
from edgevid.convert.load import Model
from edgevid.convert.parity import require_parity
from edgevid.convert.precision import convert_to_fp16
from edgevid.convert.quantize.existing import find_existing_qdq
from edgevid.convert.quantize.procedure import QuantizeSettings, quantise
from edgevid.convert.quantize.report import Quantisation
from edgevid.errors import ModelError, ParityError, SpecError
from edgevid.manifest import Parity, Precision

if TYPE_CHECKING:
    from onnx import ModelProto

Asked = Literal["auto", "fp32", "fp16", "int8"]
"""What may be asked for. `auto`: the fastest that answers the same."""


@dataclass(frozen=True)
class Final:
    """What the bundle keeps.

    Attributes:
        graph: In the precision that was settled on.
        judged: What stands in for it where answers are compared; often the same.
    """

    graph: ModelProto
    judged: ModelProto
    precision: Precision
    parity: Parity
    fp32_nodes: dict[str, str]
    kept_in_float: tuple[str, ...] = ()
    quantisation: Quantisation | None = None


def asked_precision(precision: Asked | None, quantize: QuantizeSettings | None) -> Asked:
    """What is asked for where the precision is left out.

    Raises:
        SpecError: The two do not go together.
    """
    if precision is None:
        return "fp32" if quantize is None else "auto"
    if precision == "int8" and quantize is None:
        raise SpecError(
            "INT8 needs real videos to find the ranges of activations on",
            "Give some with --calib VIDEOS: 20 to 100 that look like what the model will see",
        )
    if precision in ("fp32", "fp16") and quantize is not None:
        raise SpecError(
            f"--calib is of no use with --precision {precision}", "Leave one of the two out"
        )
    return precision


def check_existing(original: Model, asked: Asked, target: Target, journal: Journal) -> bool:
    """True where the model comes quantised, and is kept as it is.

    Raises:
        ModelError: It is, in a way that TensorRT cannot take.
    """
    found = find_existing_qdq(original.proto)
    if found.kind == "none":
        return False
    if found.kind == "unsupported" and target != "onnx":
        raise ModelError(
            f"{original.path} comes quantised, and TensorRT cannot take it: {found.reason}",
            f"{found.hint}; or run it on ONNX Runtime alone: --target onnx",
        )
    if asked in ("fp16", "int8"):
        raise ModelError(
            f"{original.path} comes quantised: it cannot be converted to {asked}",
            "Leave --precision out to keep it as it is, or export the float model",
        )
    journal.note(f"The model comes quantised ({found.nodes} nodes), and is kept as it is.")
    return True


def settle(
    checked: Checked,
    asked: Asked | Literal["as it is"],
    quantize: QuantizeSettings | None,
    journal: Journal,
) -> Final:
    """The graph in the precision that was asked for, or in the fastest that answers the same."""
    if asked == "as it is":
        return Final(checked.graph, checked.graph, "int8", checked.parity, {})
    if asked == "fp32":
        return Final(checked.graph, checked.graph, "fp32", checked.parity, {})
    if quantize is not None:
        settings = replace(quantize, int8_only=asked == "int8")
        result = quantise(checked.graph, checked.spec, settings, journal)
        return Final(
            result.graph,
            result.judged,
            result.precision,
            checked.compare(result.judged),
            result.fp32_nodes,
            result.kept_in_float,
            result.report,
        )
    journal.step("Converting to FP16")
    graph, fp32_nodes = convert_to_fp16(checked.graph, checked.windows)
    parity = checked.compare(graph)
    try:
        require_parity(parity, "fp16")
    except ParityError as exc:
        if asked == "fp16":
            raise
        journal.note(f"FP32 kept: {exc.message}")
        return Final(checked.graph, checked.graph, "fp32", checked.parity, {})
    if asked == "auto":
        journal.note("INT8 was not tried: it needs videos to find ranges on (--calib).")
    return Final(graph, graph, "fp16", parity, fp32_nodes)
