"""The graph with preprocessing inside answers like the original fed by NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_models import classifier
from onnx import TensorProto

from edgevid.convert.graph import SCORES, bake
from edgevid.convert.journal import Journal
from edgevid.convert.load import load
from edgevid.convert.parity import activate, original_scores
from edgevid.convert.session import Session
from edgevid.convert.simplify import simplify
from edgevid.spec import ClipSpec, InputSpec, OutputSpec, Spec

RNG = np.random.default_rng(3)


def contract(
    layout: str = "NCHW", *, kind: str = "probabilities", name: str = "clip", **fields: Any
) -> Spec:
    clip = ClipSpec(num_frames=4, sampling="uniform") if "T" in layout else ClipSpec()
    tensor = InputSpec(name=name, layout=layout, size=(24, 32), **fields)  # type: ignore[arg-type]
    output = OutputSpec(name="probs", kind=kind)  # type: ignore[arg-type]
    return Spec(labels=("a",) * 5, clip=clip, inputs=(tensor,), outputs=(output,))


def frames(spec: Spec, batch: int = 1) -> dict[str, Any]:
    tensor = spec.inputs[0]
    time = [spec.clip.num_frames] if tensor.is_clip else []
    shape = (batch, *time, *tensor.size, 3)
    return {tensor.name: RNG.integers(0, 256, shape).astype(np.uint8)}


def both(path: Path, spec: Spec) -> tuple[Any, Any]:
    """Scores of the original and of the baked graph on the same frames."""
    model = load(path, Journal())
    window = frames(spec)
    raw = original_scores(model, spec.inputs, "probs", [window])
    baked = bake(model.proto, spec)
    onnx.checker.check_model(baked, full_check=True)
    return activate(raw, spec.outputs[0].kind), Session(baked).run(window)[SCORES]


@pytest.mark.parametrize("color", ["bgr", "rgb"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "NCTHW", "NTCHW", "NTHWC"])
def test_every_layout_and_colour_order(tmp_path: Path, layout: str, color: str) -> None:
    spec = contract(layout, color=color, scale=1 / 255, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    expected, actual = both(classifier(tmp_path / "m.onnx", layout), spec)
    assert actual.dtype == np.float32
    assert actual == pytest.approx(expected, abs=1e-5)
    other = contract(layout, color="rgb" if color == "bgr" else "bgr", scale=1 / 255)
    wrong, _ = both(classifier(tmp_path / "m.onnx", layout), other)
    assert np.abs(wrong - expected).max() > 1e-3, "the model does not tell colours apart"


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    scale=st.sampled_from([1.0, 1 / 255, 0.0078125]),
    mean=st.tuples(*[st.floats(0, 1)] * 3),
    std=st.tuples(*[st.floats(0.1, 2)] * 3),
)
def test_any_arithmetic(
    tmp_path: Path,
    scale: float,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> None:
    spec = contract(scale=scale, mean=mean, std=std)
    expected, actual = both(classifier(tmp_path / "m.onnx"), spec)
    assert actual == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("end", "kind"), [("", "logits"), ("", "sigmoid"), ("Softmax", "probabilities")]
)
@pytest.mark.parametrize("trailing", [0, 2])
def test_scores_are_two_dimensional_whatever_the_model_ends_in(
    tmp_path: Path, end: str, kind: str, trailing: int
) -> None:
    spec = contract(kind=kind, scale=1 / 255)
    path = classifier(tmp_path / "m.onnx", end=end, trailing=trailing)
    expected, actual = both(path, spec)
    assert actual.shape == (1, 5)
    assert actual == pytest.approx(expected, abs=1e-6)
    if kind != "sigmoid":
        assert actual.sum() == pytest.approx(1)


def ops(model: Any) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_tensorrt_sees_the_bytes_only_through_a_cast(tmp_path: Path) -> None:
    model = load(classifier(tmp_path / "m.onnx", "NTHWC"), Journal())
    for graph in (bake(model.proto, contract("NTHWC")),):
        for candidate in (graph, simplify(graph, Journal())):
            readers = [n.op_type for n in candidate.graph.node if "clip" in n.input]
            assert readers == ["Cast"]


def test_arithmetic_that_changes_nothing_is_left_out(tmp_path: Path) -> None:
    model = load(classifier(tmp_path / "m.onnx"), Journal())
    added = len(model.proto.graph.node)
    assert ops(bake(model.proto, contract(color="bgr")))[:-added] == ["Cast", "Transpose"]
    scaled = bake(model.proto, contract(color="bgr", scale=0.5))
    assert ops(scaled)[:-added] == ["Cast", "Transpose", "Mul"]
    shifted = bake(model.proto, contract(color="rgb", mean=(1.0, 2.0, 3.0)))
    assert ops(shifted)[:-added] == ["Cast", "Transpose", "Gather", "Add"]


def test_a_model_that_begins_with_the_same_transposition_loses_both(tmp_path: Path) -> None:
    model = load(classifier(tmp_path / "m.onnx", "NHWC"), Journal())
    baked = bake(model.proto, contract("NHWC", scale=1 / 255))
    assert ops(baked).count("Transpose") == 3
    assert ops(simplify(baked, Journal())).count("Transpose") == 1


def test_bytes_that_a_model_casts_itself_are_cast_once(tmp_path: Path) -> None:
    path = classifier(tmp_path / "m.onnx", "NHWC", elem_type=TensorProto.UINT8, gain=1 / 255)
    expected, actual = both(path, contract("NHWC"))
    assert actual == pytest.approx(expected, abs=1e-5)
    assert ops(bake(load(path, Journal()).proto, contract("NHWC"))).count("Cast") == 1


def test_bytes_that_a_model_reads_itself_stay_bytes(tmp_path: Path) -> None:
    path = classifier(tmp_path / "m.onnx", "NHWC", elem_type=TensorProto.UINT8, gain=1 / 255)
    proto = onnx.load(str(path))
    proto.graph.node.insert(0, onnx.helper.make_node("Identity", ["clip"], ["same"]))
    proto.graph.node[1].input[0] = "same"
    onnx.save(proto, str(path))
    expected, actual = both(path, contract("NHWC"))
    assert actual == pytest.approx(expected, abs=1e-5)


def test_names_that_the_model_has_already_are_not_taken_twice(tmp_path: Path) -> None:
    path = classifier(tmp_path / "m.onnx", name="clip")
    proto = onnx.load(str(path))
    renames = {"conv": SCORES, "relu": "edgevid/clip/Cast/output", "flat": "clip/prepared"}
    for node in proto.graph.node:
        for names in (node.input, node.output):
            for i, old in enumerate(names):
                names[i] = renames.get(old, old)
    onnx.save(proto, str(path))
    expected, actual = both(path, contract(scale=1 / 255))
    assert actual == pytest.approx(expected, abs=1e-6)


def test_the_original_is_left_as_it_is(tmp_path: Path) -> None:
    model = load(classifier(tmp_path / "m.onnx"), Journal())
    before = model.proto.SerializeToString()
    bake(model.proto, contract())
    assert model.proto.SerializeToString() == before
