"""Find out what a model's output means: logits, probabilities, or scores for a sigmoid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from edgevid.convert.journal import Journal
from edgevid.convert.load import Model
from edgevid.convert.spec_file import UserSpec
from edgevid.errors import ModelError, SpecError
from edgevid.spec import OutputKind, OutputSpec, Strict, parse
from edgevid.types import Array

if TYPE_CHECKING:
    from onnx import NodeProto

SEE_THROUGH = ("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Cast", "Dropout")
"""Operators that change a tensor's shape or type, not its values."""

ACTIVATIONS = ("Softmax", "Sigmoid", "HardSigmoid")
"""Operators that make scores in [0, 1]."""

_FLOATS = ("float16", "float32", "float64")
_TOLERANCE = 1e-2


class _Outputs(Strict):
    """As in a spec: for messages that name the field."""

    outputs: tuple[OutputSpec, ...] = Field(min_length=1, max_length=1)


def choose_output(model: Model, user: UserSpec) -> str:
    """Name of the output that holds the scores.

    Raises:
        SpecError: There are several, and the spec does not say which.
        ModelError: It holds no float scores.
    """
    if len(user.outputs) > 1:
        raise SpecError(
            f"{user.where}: outputs: {len(user.outputs)} tables; edgevid reads one output",
            "Keep the one that holds the scores",
        )
    known = [t.name for t in model.outputs]
    named = [str(t["name"]) for t in user.outputs if "name" in t]
    if len(known) > 1 and not named:
        raise SpecError(
            f"the model has {len(known)} outputs ({', '.join(known[:5])}"
            f"{', ...' if len(known) > 5 else ''})",
            "Say which one holds the scores, in a --spec file, under [[outputs]]: "
            f'name = "{known[0]}"',
        )
    name = named[0] if named else known[0]
    user.output_table(name, known)
    tensor = next(t for t in model.outputs if t.name == name)
    if tensor.dtype not in _FLOATS:
        raise ModelError(
            f"output {name!r} is {tensor.dtype}: models that are quantised already are not "
            "supported",
            "Export the float model",
        )
    return name


def as_scores(raw: Array, name: str) -> Array:
    """`(N, C)` float32 from an output of any rank with one axis of classes.

    Raises:
        ModelError: It has more than one axis longer than 1, or another batch than was fed.
    """
    long_axes = [axis for axis, length in enumerate(raw.shape[1:], 1) if length > 1]
    if raw.ndim < 2 or len(long_axes) > 1:
        raise ModelError(
            f"output {name!r} has shape {list(raw.shape)} for a batch of {len(raw)}; "
            "a classifier's is [N, classes]",
            "Export the model with its classification head",
        )
    return raw.reshape(len(raw), -1).astype(np.float32)


def infer_kind(
    model: Model, name: str, scores: Array, user: UserSpec, journal: Journal
) -> OutputSpec:
    """What output `name` means, from the spec, the graph's last nodes and its values.

    Args:
        model: The original.
        name: Of its output.
        scores: `(N, C)`, what it says on real frames.
        user: What the spec says.
        journal: Told of what is assumed or odd.

    Raises:
        SpecError: The spec calls probabilities what leaves [0, 1].
    """
    table = user.output_table(name, [t.name for t in model.outputs])
    found = kind_of(model, name, scores)
    said = parse(_Outputs, {"outputs": [{"kind": found, **table}]}, user.where).outputs[0]
    in_range = scores.min() >= -_TOLERANCE and scores.max() <= 1 + _TOLERANCE
    if said.kind == "probabilities" and not in_range:
        raise SpecError(
            f"{user.where}: output {name!r} is called probabilities, but its values on real "
            f"frames go from {scores.min():.3g} to {scores.max():.3g}",
            'Say kind = "logits" or "sigmoid"',
        )
    if said.kind != "probabilities" and found == "probabilities":
        journal.note(
            f"Output {name!r} is treated as {said.kind}, as the spec says, though it looks like "
            "probabilities already."
        )
    if "kind" not in table and found == "sigmoid":
        journal.assume(
            f"Output {name!r} has one class and no final sigmoid; one is added. Say otherwise "
            'in a --spec file, under [[outputs]]: kind = "probabilities".'
        )
    return OutputSpec(name=name, kind=said.kind)


def final_activation(model: Model, name: str) -> NodeProto | None:
    """The node that output `name` comes from, seen through what only changes shape or type."""
    producers = {out: node for node in model.proto.graph.node for out in node.output}
    node = producers.get(name)
    while node is not None and node.op_type in SEE_THROUGH:
        node = producers.get(node.input[0])
    return node


def kind_of(model: Model, name: str, scores: Array) -> OutputKind:
    """What output `name` is by its last operator, and by `(N, C)` values; NaN says nothing."""
    last = final_activation(model, name)
    if last is not None and last.op_type in ACTIVATIONS:
        return "probabilities"
    # A softmax may be written out as Exp, ReduceSum and Div.
    sums_to_one = bool(np.all(np.abs(scores.sum(axis=1) - 1) < _TOLERANCE))
    if sums_to_one and scores.min() >= 0 and scores.shape[1] > 1:
        return "probabilities"
    return "sigmoid" if scores.shape[1] == 1 else "logits"
