"""Small models made on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def save(
    path: Path,
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    weights: dict[str, Any] | None = None,
    opset: int = 17,
) -> Path:
    """Write a graph; `inputs` and `outputs` are (name, shape[, type])."""
    graph = helper.make_graph(
        list(nodes),
        "made",
        [_value(*i) for i in inputs],
        [_value(*o) for o in outputs],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, str(path))
    return path


def _value(name: str, shape: Sequence[Any], elem_type: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, elem_type, list(shape))


def classifier(
    path: Path,
    layout: str = "NCHW",
    *,
    frames: int = 4,
    size: tuple[int, int] = (24, 32),
    classes: int = 5,
    batch: int | str = "batch",
    end: str = "Softmax",
    trailing: int = 0,
    name: str = "clip",
    output: str = "probs",
    gain: float = 1.0,
    elem_type: int = TensorProto.FLOAT,
    shape: Sequence[Any] | None = None,
    opset: int = 17,
) -> Path:
    """A convolutional classifier in any layout, with random but fixed weights.

    Its first convolution tells colours, places and (for clips) instants apart, so that a
    wrong channel order, flip or transposition changes the scores.
    """
    rng = np.random.default_rng(7)
    lengths = {"N": batch, "C": 3, "T": frames, "H": size[0], "W": size[1]}
    shape = shape or [lengths[axis] for axis in layout]
    first = "NCTHW" if "T" in layout else "NCHW"
    rank = len(first) - 2
    kernel = rng.normal(0, 0.4 * gain, (8, 3, *[3] * rank)).astype(np.float32)
    # Weights over places, so that a mirrored picture is another one.
    places = rng.normal(0, 1, [1 if a == "N" else 8 if a == "C" else lengths[a] for a in first])
    weights = {
        "kernel": kernel,
        "places": places.astype(np.float32),
        "dense": rng.normal(0, 1.0 / gain, (8, classes)).astype(np.float32),
        "bias": rng.normal(0, 0.3, classes).astype(np.float32),
    }
    nodes = []
    source = name
    if elem_type == TensorProto.UINT8:
        nodes.append(helper.make_node("Cast", [source], ["as_float"], to=TensorProto.FLOAT))
        source = "as_float"
    if layout != first:
        perm = [layout.index(axis) for axis in first]
        nodes.append(helper.make_node("Transpose", [source], ["first"], perm=perm))
        source = "first"
    nodes += [
        helper.make_node("Conv", [source, "kernel"], ["conv"], pads=[1] * 2 * rank),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("Mul", ["relu", "places"], ["placed"]),
        helper.make_node("GlobalAveragePool", ["placed"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "dense", "bias"], ["logits"]),
    ]
    last = "logits"
    if end:
        nodes.append(helper.make_node(end, ["logits"], ["answer"]))
        last = "answer"
    if trailing:
        weights["last_shape"] = np.array([-1, classes, *[1] * trailing], np.int64)
        nodes.append(helper.make_node("Reshape", [last, "last_shape"], ["trailing"]))
        last = "trailing"
    nodes.append(helper.make_node("Identity", [last], [output]))
    return save(
        path,
        nodes,
        [(name, shape, elem_type)],
        [(output, [batch, classes, *[1] * trailing])],
        weights,
        opset,
    )


def probe(
    path: Path, inputs: dict[str, Sequence[int]], classes: int = 4, gain: float = 1.0
) -> Path:
    """A softmax over one random weight a class for every number of every input.

    Whatever changes place, order or value changes the scores.

    Args:
        inputs: Name to shape, without the batch.
        gain: Of the weights, for inputs of unit range.
    """
    rng = np.random.default_rng(11)
    nodes, weights, parts = [], {"flat": np.array([0, -1], np.int64)}, []
    for name, shape in inputs.items():
        count = int(np.prod(shape))
        weights[f"{name}/w"] = rng.normal(0, gain / count**0.5, (count, classes)).astype("f4")
        nodes += [
            helper.make_node("Reshape", [name, "flat"], [f"{name}/row"]),
            helper.make_node("MatMul", [f"{name}/row", f"{name}/w"], [f"{name}/score"]),
        ]
        parts.append(f"{name}/score")
    nodes += [
        helper.make_node("Sum", parts, ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probs"], axis=1),
    ]
    values = [(name, ["batch", *shape]) for name, shape in inputs.items()]
    return save(path, nodes, values, [("probs", ["batch", classes])], weights)


def probe_scores(path: Path, inputs: dict[str, Any]) -> Any:
    """What `probe` answers, in NumPy: inputs with a batch of 1, as the model takes them."""
    model = onnx.load(str(path))
    weights = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    logits = sum(x.reshape(1, -1).astype("f8") @ weights[f"{n}/w"] for n, x in inputs.items())
    e = np.exp(logits - logits.max())
    return (e / e.sum())[0]
