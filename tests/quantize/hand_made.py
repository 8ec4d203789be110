"""Graphs written by hand, for tests of placement and insertion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgevid.convert.quantize.ranges import Range


def node(op: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    """`node("Conv", "x w b", "y")`, named after its output."""
    outputs = output.split()
    return helper.make_node(op, inputs.split(), outputs, name=outputs[0], **attributes)


def graph(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int | str],
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
    **weights: Any,
) -> onnx.ModelProto:
    """Input `x` of `shape`; keywords are shapes of random weights, or arrays."""
    rng = np.random.default_rng(5)
    made = {
        name: value if isinstance(value, np.ndarray) else random_weight(rng, value)
        for name, value in weights.items()
    }
    model = helper.make_model(
        helper.make_graph(
            list(nodes),
            "made",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            [numpy_helper.from_array(value, name) for name, value in made.items()],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
    )
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    return model


def random_weight(rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    """Of the size that keeps activations as large as they are."""
    fan_in = np.prod(shape[1:]) if len(shape) > 1 else 1
    return rng.normal(0, 1 / np.sqrt(fan_in), shape).astype(np.float32)


def flat_range(amax: float) -> Range:
    return Range(-amax, amax, amax, amax == 0)


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def sqnr_db(reference: np.ndarray, other: np.ndarray) -> float:
    """Signal to quantisation noise, in dB."""
    noise = float(np.square(reference.astype(np.float64) - other).sum())
    return float(10 * np.log10(np.square(reference.astype(np.float64)).sum() / max(noise, 1e-30)))
