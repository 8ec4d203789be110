"""INT8 with FP16 for the rest, in the two forms that TensorRT takes.

- FP32 scales: a Cast stands on either side of each pair, which TensorRT fuses away. Right
  everywhere.
- FP16 scales: no casts, from opset 19 on. All scales are FP16 then: TensorRT does not parse an
  FP16 activation scale beside an FP32 weight scale. ONNX Runtime's CPU gives wrong numbers on
  this form: compare answers on the other one, whose scales have the same values where
  `insert_qdq` was told so.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from edgevid.convert.half import to_half
from edgevid.convert.quantize.graph_view import GraphView
from edgevid.convert.quantize.insert import CENTRED
from edgevid.convert.quantize.scales import ScaleType
from edgevid.errors import ConversionError

if TYPE_CHECKING:
    from onnx import ModelProto

HALF_SCALES_OPSET = 19


def to_fp16(
    model: ModelProto, keep: Collection[str], scale_dtype: ScaleType = "float32"
) -> ModelProto:
    """A copy whose float rest computes in FP16.

    Args:
        model: From `insert_qdq`; for FP16 scales with the same `scale_dtype`.
        keep: Names of nodes that stay in FP32; whatever makes a graph output must be one.
        scale_dtype: Type of the scales.

    Raises:
        ConversionError: The graph cannot be raised to the opset that FP16 scales need.
    """
    if scale_dtype == "float32":
        return to_half(model, {*keep, *_centring(model, keep)})
    raised = _raise_opset(model)
    return to_half(raised, {*keep, *_wide_pairs(raised, keep)}, half_scales=True)


def _centring(model: ModelProto, keep: Collection[str]) -> set[str]:
    """The additions in front of a pair whose operand was too large for FP16 as it was made."""
    view = GraphView(model)
    wide = set()
    for node in view.nodes:
        producer = view.producers.get(node.input[0]) if node.input else None
        if node.name.endswith(CENTRED) and producer is not None and producer.name in keep:
            wide.add(node.name)
    return wide


def _wide_pairs(model: ModelProto, keep: Collection[str]) -> set[str]:
    """The Q/DQ that keep FP32 scales, as a node that stays in FP32 makes or reads them.

    Behind such a node FP16 would overflow; in front of it a Cast would hide the pair from
    TensorRT, and the node would run in float.
    """
    view = GraphView(model)
    wide: set[str] = set()
    for node in view.nodes:
        readers = [reader for name in node.output for reader, _ in view.readers[name]]
        quantises = node.op_type == "QuantizeLinear"
        # What centres a tensor for Q stands between the two.
        quantises |= bool(readers) and all(r.op_type == "QuantizeLinear" for r in readers)
        if quantises:
            producer = view.producers.get(node.input[0])
            if producer is not None and producer.name in {*keep, *wide}:
                wide.add(node.name)
        elif node.op_type == "DequantizeLinear" and all(r.name in keep for r in readers):
            wide.add(node.name)
    return wide


def _raise_opset(model: ModelProto) -> ModelProto:
    import onnx
    from onnx import version_converter

    current = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    if current >= HALF_SCALES_OPSET:
        return model
    try:
        raised = version_converter.convert_version(model, HALF_SCALES_OPSET)
        onnx.checker.check_model(raised)
    # The converter is native code and raises what it likes.
    except Exception as exc:
        reason = str(exc).strip().splitlines()[0]
        raise ConversionError(
            f"FP16 scales need opset {HALF_SCALES_OPSET}, and the graph cannot be raised from "
            f"{current}: {reason}",
            "Keep FP32 scales, or export the model with a newer opset",
        ) from None
    # Version 9 of the file format came with that opset.
    raised.ir_version = max(raised.ir_version, 9)
    return raised
