"""The same ONNX graph behind the inputs that some peers insist on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgevid.spec import InputSpec
from edgevid.types import Array


def fixed_batch(model: Path, out: Path) -> Path:
    """The graph with a batch of one, for those that cannot leave it open."""
    import onnx

    graph = onnx.load(str(model))
    for value in (*graph.graph.input, *graph.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    del graph.graph.value_info[:]
    onnx.save(graph, str(out))
    return out


def clip_of_one(model: Path, spec: InputSpec, out: Path) -> Path:
    """Takes `(1, 1, 3, 1, H, W)`: a clip of one frame, as OpenVINO's Model API feeds it."""
    height, width = spec.size
    shape = np.array([1, 3, height, width], np.int64)
    return _behind(model, out, [1, 1, 3, 1, height, width], [("Reshape", shape)])


def unit_range(model: Path, spec: InputSpec, labels: tuple[str, ...], out: Path) -> Path:
    """Takes RGB in [0, 1] and normalises itself; carries what Ultralytics wants to be told."""
    import onnx

    factor = np.array([255 * spec.scale / s for s in spec.std], np.float32).reshape(3, 1, 1)
    offset = np.array([m / s for m, s in zip(spec.mean, spec.std, strict=True)], np.float32)
    steps: list[tuple[str, Array]] = [("Mul", factor), ("Sub", offset.reshape(3, 1, 1))]
    _behind(model, out, [1, 3, *spec.size], steps)
    graph = onnx.load(str(out))
    facts = {
        "task": "classify",
        "stride": "1",
        "batch": "1",
        "imgsz": str(list(spec.size)),
        "names": str(dict(enumerate(labels))),
    }
    onnx.helper.set_model_props(graph, facts)
    onnx.save(graph, str(out))
    return out


def _behind(model: Path, out: Path, shape: list[int], steps: list[tuple[str, Array]]) -> Path:
    """The graph behind a few operators of two inputs each, from an input of this shape."""
    import onnx
    from onnx import helper, numpy_helper

    whole = onnx.load(str(fixed_batch(model, out)))
    graph = whole.graph
    old = graph.input[0].name
    name, nodes = "edgevid_given", []
    for number, (operator, operand) in enumerate(steps):
        constant = f"edgevid_operand_{number}"
        graph.initializer.append(numpy_helper.from_array(operand, constant))
        result = old if number == len(steps) - 1 else f"edgevid_step_{number}"
        nodes.append(helper.make_node(operator, [name, constant], [result]))
        name = result
    given = helper.make_tensor_value_info("edgevid_given", onnx.TensorProto.FLOAT, shape)
    graph.input.remove(graph.input[0])
    graph.input.insert(0, given)
    for place, node in enumerate(nodes):
        graph.node.insert(place, node)
    onnx.checker.check_model(whole)
    onnx.save(whole, str(out))
    return out
