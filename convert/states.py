"""Find out which inputs of a model are states, and which outputs they come back from.

What the user's spec says comes first. Else the inputs that are no pictures are states; names
pair them (`h_in` with `h_out`, `h0` with `hn`), then shapes and types, where these leave only
one way. Nothing is guessed beyond that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from pydantic import Field

from edgevid.convert.graph import SCORES
from edgevid.convert.load import Model
from edgevid.convert.picture_shapes import picture_inputs, show
from edgevid.convert.spec_file import UserSpec
from edgevid.errors import SpecError
from edgevid.spec import StateSpec, Strict, parse
from edgevid.types import TensorInfo

_SIDE = re.compile(
    r"(in|out|input|output|old|new|prev|previous|next|past|present|cur|current|init|initial|final"
    r"|0|n)"
)
"""Parts of a name that say on which side of the graph a state stands."""

_SUFFIX = re.compile(r"(?<=[a-z])(0|n)$")
"""As in PyTorch's `h0` and `hn`."""

_HINT = (
    'Say it in a --spec file: states = "states.json", or [[states]] tables with '
    'input = "..." and output = "..."'
)
_SHOWN = 4

Pair = tuple[TensorInfo, TensorInfo]


class _Table(Strict):
    """One of a spec's `states`."""

    input: str
    output: str
    init: str = Field("zeros", pattern="^zeros$")


class _Tables(Strict):
    """As in a spec: for messages that name the field."""

    states: tuple[_Table, ...]


def infer_states(model: Model, user: UserSpec) -> tuple[StateSpec, ...]:
    """The states of a model; none where it takes pictures alone.

    Raises:
        SpecError: The spec names a tensor that is not there, two that do not fit each other,
            or nothing says how states pair.
    """
    pairs = _infer(model, user) if user.states is None else _said(model, user)
    return tuple(_state(*pair, _has_batch_second(model, pair[0].name)) for pair in pairs)


def without_states(model: Model, states: Sequence[StateSpec]) -> Model:
    """The model as if it had pictures and scores alone, for those who look for these."""
    takes, gives = {s.input for s in states}, {s.output for s in states}
    return replace(
        model,
        inputs=tuple(t for t in model.inputs if t.name not in takes),
        outputs=tuple(t for t in model.outputs if t.name not in gives),
    )


def _said(model: Model, user: UserSpec) -> list[Pair]:
    where = f"{user.where}: states"
    tables: _Tables = parse(_Tables, {"states": user.states}, user.where)
    for side in ("input", "output"):
        names = [getattr(table, side) for table in tables.states]
        for name in names:
            if names.count(name) > 1:
                raise SpecError(f"{where}: {side} {name!r} is paired twice", "Keep one of them")
    pairs = []
    for table in tables.states:
        pair = (
            _find(table.input, model.inputs, f"{where}: the model has no input"),
            _find(table.output, model.outputs, f"{where}: the model has no output"),
        )
        if not _fit(*pair):
            raise SpecError(
                f"{where}: {_show(pair[0])} does not go with {_show(pair[1])}: a state comes "
                "back with the shape and type that it went in with",
                "Correct the pair",
            )
        pairs.append(pair)
    paired = [*picture_inputs(model, user), *(one for one, _ in pairs)]
    left = [t for t in model.inputs if t not in paired]
    if pairs and left:
        raise SpecError(
            f"{where}: {_show(left[0])} is neither a picture nor in a pair", "Pair it as well"
        )
    return pairs


def _find(name: str, tensors: Sequence[TensorInfo], complaint: str) -> TensorInfo:
    for tensor in tensors:
        if tensor.name == name:
            return tensor
    shown = ", ".join(t.name for t in tensors[:_SHOWN])
    raise SpecError(f"{complaint} {name!r}", f"It has: {shown}")


def _infer(model: Model, user: UserSpec) -> list[Pair]:
    scores = {str(table["name"]) for table in user.outputs if "name" in table}
    outputs = [t for t in model.outputs if t.name not in scores]
    described = {table["name"] for table in user.inputs if "name" in table}
    pictures = [
        t for t in picture_inputs(model, user) if t.name in described or not _is_buffer(t, outputs)
    ]
    inputs = [t for t in model.inputs if t not in pictures]
    if not inputs or len(inputs) == len(model.inputs):
        return []
    pairs: list[Pair] = []
    for fits in (_same_name, _fit):
        found = _sole_pairs(inputs, outputs, fits)
        pairs += found
        inputs = [t for t in inputs if t not in (i for i, _ in found)]
        outputs = [t for t in outputs if t not in (o for _, o in found)]
    if inputs:
        more = f" and {len(inputs) - _SHOWN} more" if len(inputs) > _SHOWN else ""
        raise SpecError(
            f"the model takes {len(inputs)} input(s) that are no pictures, and nothing says "
            f"which outputs they come back from: {', '.join(map(_show, inputs[:_SHOWN]))}{more}",
            _HINT,
        )
    return sorted(pairs, key=lambda pair: model.inputs.index(pair[0]))


def _is_buffer(one: TensorInfo, outputs: Sequence[TensorInfo]) -> bool:
    """True for what looks like a picture and comes back under its name: a buffer of features."""
    return bool(_stem(one.name)) and any(_same_name(one, other) for other in outputs)


def _sole_pairs(
    inputs: Sequence[TensorInfo],
    outputs: Sequence[TensorInfo],
    fits: Callable[[TensorInfo, TensorInfo], bool],
) -> list[Pair]:
    """Those of which each fits the other and nothing else."""
    pairs = []
    for one in inputs:
        matching = [o for o in outputs if fits(one, o)]
        if len(matching) == 1 and sum(fits(i, matching[0]) for i in inputs) == 1:
            pairs.append((one, matching[0]))
    return pairs


def _same_name(one: TensorInfo, other: TensorInfo) -> bool:
    return _stem(one.name) == _stem(other.name) and _fit(one, other)


def _stem(name: str) -> tuple[str, ...]:
    """A name without what says on which side it stands."""
    words = re.findall(r"[a-z]+[0-9]*|[0-9]+", name.lower())
    return tuple(_SUFFIX.sub("", word) for word in words if not _SIDE.fullmatch(word))


def _fit(one: TensorInfo, other: TensorInfo) -> bool:
    return (
        one.dtype == other.dtype
        and len(one.shape) == len(other.shape)
        and all(a == b or None in (a, b) for a, b in zip(one.shape, other.shape, strict=True))
    )


_RECURRENT = {"LSTM": (5, 6), "GRU": (5,), "RNN": (5,)}
"""Which of their operands are states, `[directions, batch, hidden]`."""


def _has_batch_second(model: Model, name: str) -> bool:
    """True for what a recurrent layer takes as its first state."""
    return any(
        node.input[i] == name
        for node in model.proto.graph.node
        for i in _RECURRENT.get(node.op_type, ())
        if i < len(node.input)
    )


def _state(one: TensorInfo, other: TensorInfo, batch_second: bool) -> StateSpec:
    """A state with the axis that may be its batch; whether it is one is tried out later."""
    known = [a if a is not None else b for a, b in zip(one.shape, other.shape, strict=True)]
    if known.count(None) > 1:
        raise SpecError(
            f"state {_show(one)} leaves several axes open; only the batch may be",
            "Export the model with states of a fixed size",
        )
    if SCORES in (one.name, other.name):
        raise SpecError(
            f"a state is called {SCORES!r}, which the scores are called in a bundle",
            "Export the model with another name for it",
        )
    shape = [1 if d is None else d for d in known]
    if None in known:
        axis: int | None = known.index(None)
    elif batch_second and shape[1:2] == [1]:
        axis = 1
    else:
        axis = shape.index(1) if 1 in shape else None
    fields = {
        "input": one.name,
        "output": other.name,
        "shape": shape,
        "dtype": one.dtype,
        "batch_axis": axis,
    }
    state: StateSpec = parse(StateSpec, fields, f"state {one.name!r}")
    return state


def _show(tensor: TensorInfo) -> str:
    return f"{tensor.name!r} ({tensor.dtype} {show(tensor)})"
