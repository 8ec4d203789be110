"""BatchNormalization goes into the convolution in front of it, exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hand_made import graph, node

from edgevid.convert.quantize.prepare import prepare
from edgevid.convert.session import Session


def norm_weights(channels: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(9)
    return {
        "gamma": rng.normal(1, 0.5, channels).astype(np.float32),
        "beta": rng.normal(0, 1, channels).astype(np.float32),
        "mean": rng.normal(0, 1, channels).astype(np.float32),
        "var": rng.uniform(0.1, 4, channels).astype(np.float32),
    }


NORM = node("BatchNormalization", "c gamma beta mean var", "y", epsilon=1e-3)


@pytest.mark.parametrize(
    ("op", "inputs", "weight", "channels", "attributes"),
    [
        ("Conv", "x w b", [12, 8, 3, 3], 12, {}),
        ("Conv", "x w", [12, 2, 3, 3], 12, {"group": 4}),
        ("ConvTranspose", "x w b", [8, 12, 3, 3], 12, {}),
        ("ConvTranspose", "x w", [8, 3, 3, 3], 12, {"group": 4}),
    ],
)
def test_it_is_folded_exactly(op, inputs, weight, channels, attributes):
    conv = node(op, inputs, "c", **attributes)
    weights = {"w": weight, "b": [channels]} if "b" in inputs else {"w": weight}
    model = graph([conv, NORM], ["n", 8, 6, 6], **weights, **norm_weights(channels))
    before = model.SerializeToString()
    prepared = prepare(model)
    assert [n.op_type for n in prepared.graph.node] == [op]
    assert len(prepared.graph.initializer) == 2
    feeds = {"x": np.random.default_rng(0).normal(size=(2, 8, 6, 6)).astype(np.float32)}
    expected, folded = (Session(m).run(feeds)["y"] for m in (model, prepared))
    np.testing.assert_allclose(folded, expected, atol=2e-6)
    assert model.SerializeToString() == before


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Conv", "x w", "c"), NORM, node("Relu", "c", "z")],
        [node("Conv", "x w", "before"), node("Relu", "before", "c"), NORM],
        [node("Conv", "x w", "c"), node("BatchNormalization", "c gamma beta x_mean var", "y")],
    ],
    ids=["read twice", "behind an activation", "computed mean"],
)
def test_it_stays_where_it_does_not_belong_to_one_convolution(nodes):
    extra = []
    if any("x_mean" in n.input for n in nodes):
        extra = [node("ReduceMean", "x", "x_mean", axes=[0, 2, 3], keepdims=0)]
    outputs = ("y", "z") if any("z" in n.output for n in nodes) else ("y",)
    model = graph([*extra, *nodes], ["n", 8, 6, 6], outputs, w=[8, 8, 1, 1], **norm_weights(8))
    assert "BatchNormalization" in [n.op_type for n in prepare(model).graph.node]


def test_nodes_get_names_of_their_own():
    nodes = [node("Relu", "x", "a"), node("Relu", "a", "b"), node("Relu", "b", "y")]
    nodes[0].name = nodes[1].name = "same"
    nodes[2].name = ""
    names = [n.name for n in prepare(graph(nodes, ["n", 4])).graph.node]
    assert len(set(names)) == 3
    assert all(names)


@pytest.mark.parametrize(
    ("scale", "zero_point", "axis"),
    [([0.5], None, 0), ([0.5], [3], 0), (range(1, 13), [0] * 12, 0), (range(1, 9), [2] * 8, 1)],
    ids=["tensor", "shifted", "outputs", "inputs"],
)
def test_weights_that_are_stored_in_int8_become_constants(scale, zero_point, axis):
    stored = np.random.default_rng(4).integers(-127, 128, (12, 8, 3, 3)).astype(np.int8)
    weights = {"q": stored, "s": np.asarray(np.array(scale, np.float32).squeeze() / 64)}
    operands = "q s"
    if zero_point is not None:
        weights["z"] = np.array(zero_point, np.int8).squeeze()
        operands = "q s z"
    nodes = [node("DequantizeLinear", operands, "w", axis=axis), node("Conv", "x w", "y")]
    model = graph(nodes, ["n", 8, 6, 6], **weights)
    prepared = prepare(model)
    assert [n.op_type for n in prepared.graph.node] == ["Conv"]
    assert [t.name for t in prepared.graph.initializer] == ["w"]
    feeds = {"x": np.random.default_rng(0).normal(size=(1, 8, 6, 6)).astype(np.float32)}
    expected, folded = (Session(m).run(feeds)["y"] for m in (model, prepared))
    np.testing.assert_allclose(folded, expected, rtol=1e-5, atol=1e-4)
