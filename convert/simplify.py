"""Fold constants and drop what a graph does not need, with its interface left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevid.convert.journal import Journal
from edgevid.convert.session import Session

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto


def simplify(model: ModelProto, journal: Journal) -> ModelProto:
    """`model`, simplified; as it was, with a note, where that fails or changes the interface."""
    import onnx
    import onnxslim

    before = onnx.ModelProto()
    before.CopyFrom(model)
    try:
        slim = onnxslim.slim(before)
        reason = _changed(model, slim)
        if reason is None:
            _restore_dimensions(model, slim)
            del slim.metadata_props[:]
            slim.metadata_props.extend(model.metadata_props)
            Session(slim)
    # The simplifier runs many rewrites, any of which may trip over an unusual graph.
    except Exception as exc:
        reason = str(exc).strip().split("\n")[0] or type(exc).__name__
    if reason is not None:
        journal.note(f"The graph was not simplified: {reason}.")
        return model
    return slim


def _changed(model: ModelProto, slim: ModelProto) -> str | None:
    """What the simplifier changed of the interface, if anything."""
    for side in ("input", "output"):
        before = [_signature(v) for v in getattr(model.graph, side)]
        after = [_signature(v) for v in getattr(slim.graph, side)]
        if before != after:
            return f"the simplifier changes an {side}"
    return None


def _signature(value: ValueInfoProto) -> tuple[str, int, int]:
    tensor = value.type.tensor_type
    return value.name, tensor.elem_type, len(tensor.shape.dim)


def _restore_dimensions(model: ModelProto, slim: ModelProto) -> None:
    """The simplifier writes a fixed batch where it finds one inside; whether that is so is
    tried out later."""
    for side in ("input", "output"):
        values = getattr(slim.graph, side)
        del values[:]
        values.extend(getattr(model.graph, side))
    del slim.graph.value_info[:]
