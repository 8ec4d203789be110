"""Make the batch dynamic where the graph allows, and prove that it does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgevid.convert.frames import Window
from edgevid.convert.graph import SCORES, carried_states, note_states
from edgevid.convert.journal import Journal
from edgevid.convert.session import Session
from edgevid.states import States, can_batch, gather

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

_TEST_BATCH = 3
_TOLERANCE = 1e-4


def settle_batch(model: ModelProto, windows: Sequence[Window], journal: Journal) -> ModelProto:
    """`model` with a batch that works: dynamic if possible, else 1.

    Args:
        model: Its inputs and `scores` claim a dynamic batch; nothing proves it yet.
        windows: Real frames; at least one window.
        journal: Told where the batch stays fixed, and why.
    """
    states = carried_states(model)
    fixed = next((s for s in states if s.batch_axis is None), None)
    if fixed is not None:
        journal.note(
            f"The batch is fixed at 1: state {fixed.input!r} of shape {list(fixed.shape)} has no "
            "axis for several streams."
        )
        return _with_batch_of_one(model)
    check = _states_problem if states else _problem
    problem = check(model, windows)
    if problem is None:
        return model
    loosened = _with_loose_reshapes(model)
    if check(loosened, windows) is None:
        return loosened
    reason = f"streams cannot share a call ({problem})" if states else problem
    journal.note(f"The batch is fixed at 1: {reason}.")
    return _with_batch_of_one(model)


def has_dynamic_batch(model: ModelProto) -> bool:
    """True where the batch of every input is open."""
    if not can_batch(carried_states(model)):
        return False
    states = {s.input for s in carried_states(model)}
    pictures = [v for v in model.graph.input if v.name not in states]
    return all(not v.type.tensor_type.shape.dim[0].HasField("dim_value") for v in pictures)


def _problem(model: ModelProto, windows: Sequence[Window]) -> str | None:
    """Why a batch of several windows does not give each window's own scores; None if it does."""
    chosen = [windows[i % len(windows)] for i in range(_TEST_BATCH)]
    together = {name: np.concatenate([w[name] for w in chosen]) for name in chosen[0]}
    try:
        session = Session(model)
        joint = session.run(together)[SCORES]
        alone = session.run_each(chosen, SCORES)
    except RuntimeError as exc:
        return _reason(exc)
    if joint.shape != alone.shape:
        return f"a batch of {_TEST_BATCH} gives scores of shape {list(joint.shape)}"
    difference = np.abs(joint - alone).max()
    # Written so that NaN is a problem too.
    if not difference <= _TOLERANCE:
        return f"windows of one batch change each other's scores by {difference:.2g}"
    return None


def _states_problem(model: ModelProto, windows: Sequence[Window]) -> str | None:
    """Why streams of different ages in one call do not each get what they get alone."""
    try:
        session = Session(model)
        streams = [
            _stream_of_age(session, windows[i % len(windows)], i) for i in range(_TEST_BATCH)
        ]
        feeds = [
            {n: a[i : i + 1] for n, a in windows[i % len(windows)].items()}
            for i in range(_TEST_BATCH)
        ]
        alone = [
            session.run({**feed, **gather([s])}) for feed, s in zip(feeds, streams, strict=True)
        ]
        together = {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}
        joint = session.run({**together, **gather(streams)})
    except (RuntimeError, ValueError) as exc:
        return _reason(exc)
    axes = {SCORES: 0, **{s.output: s.batch_axis or 0 for s in carried_states(model)}}
    for name, axis in axes.items():
        expected = np.concatenate([outputs[name] for outputs in alone], axis=axis)
        if joint[name].shape != expected.shape:
            return f"a batch of {_TEST_BATCH} gives {name} of shape {list(joint[name].shape)}"
        difference = np.abs(joint[name].astype(float) - expected).max()
        if not difference <= _TOLERANCE * max(1.0, np.abs(expected).max()):
            return f"streams of one batch change each other's {name} by {difference:.2g}"
    return None


def _reason(exc: Exception) -> str:
    """Which node failed, where ONNX Runtime says it; else its message."""
    node = re.search(r"running (\w+) node. Name:'([^']*)'", str(exc))
    if node is None:
        return str(exc)
    return f"{node[1]} {node[2]!r} does not take a batch of {_TEST_BATCH}"


def _stream_of_age(session: Session, window: Window, age: int) -> States:
    """The states after the first `age` steps of a window."""
    first = {name: array[:age] for name, array in window.items()}
    states = States(session.states)
    for outputs in session.run_steps(first):
        states.take(outputs)
    return states


def _with_loose_reshapes(model: ModelProto) -> ModelProto:
    """A copy whose constant Reshape targets leave the first axis open.

    Exporters write the batch they traced with into such targets: `[1, 512]`, `[20, 3, 128, 128]`
    for a batch folded into time, or `[1, -1]`, which is `[-1, 512]` once shapes are known.
    """
    import onnx
    from onnx import numpy_helper

    shapes = _shapes(_with_batch_of_one(model))
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    constants = {t.name: numpy_helper.to_array(t) for t in copy.graph.initializer}
    for node in list(copy.graph.node):
        if node.op_type == "Reshape" and node.input[1] in constants:
            target = _loose(constants[node.input[1]].tolist(), shapes.get(node.output[0]))
            if target is not None:
                _set_target(copy.graph, node, target)
    return copy


def _loose(target: list[int], known: list[int] | None) -> list[int] | None:
    if not target or target[0] < 1:
        return None
    if -1 in target:
        if known is None or len(known) != len(target):
            return None
        target = known
    return [-1, *target[1:]]


def _set_target(graph: GraphProto, node: NodeProto, target: list[int]) -> None:
    from onnx import numpy_helper

    name = f"{node.output[0]}/open_shape"
    graph.initializer.append(numpy_helper.from_array(np.array(target, np.int64), name))
    node.input[1] = name


def _shapes(model: ModelProto) -> dict[str, list[int]]:
    """Every tensor's shape that is fully known."""
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    shapes = {}
    for value in inferred.graph.value_info:
        dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
        if dims and all(dims):
            shapes[value.name] = dims
    return shapes


def _with_batch_of_one(model: ModelProto) -> ModelProto:
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    states = carried_states(model)
    axes = {name: s.batch_axis for s in states for name in (s.input, s.output)}
    for value in (*copy.graph.input, *copy.graph.output):
        axis = axes.get(value.name, 0)
        if axis is not None:
            value.type.tensor_type.shape.dim[axis].dim_value = 1
    if states:
        note_states(copy, [s.model_copy(update={"batch_axis": None}) for s in states])
    return copy
