"""Batches of any size on engines that each see one: the same answers, and never another size."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from edgevid.engines.onnxruntime_engine import OnnxRuntimeEngine
from edgevid.engines.sized_engine import SizedEngine, batch_sizes, sized
from edgevid.errors import EngineError


class Watched(OnnxRuntimeEngine):
    """Remembers the batches that it was fed, and whether it is closed."""

    def __init__(self, model, opened):
        super().__init__(model, threads=1)
        self.batches = []
        self.is_closed = False
        opened.append(self)

    def infer(self, feeds):
        self.batches.append(feeds[self.inputs[0].name].shape[0])
        return super().infer(feeds)

    def close(self):
        self.is_closed = True
        super().close()


def opener(model):
    opened = []
    return opened, lambda: Watched(model, opened)


def frames(batch: int) -> np.ndarray:
    return np.random.default_rng(batch).integers(0, 256, (batch, 8, 8, 3), dtype=np.uint8)


def graph(inputs, outputs, nodes, constants=()) -> bytes:
    """A model of float32 tensors, given as names and shapes."""
    infos = [
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in side.items()]
        for side in (inputs, outputs)
    ]
    made = helper.make_graph(nodes, "g", *infos, constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model.SerializeToString()


def test_sizes_are_powers_of_two_up_to_the_largest():
    assert batch_sizes(1) == [1]
    assert batch_sizes(2) == [1, 2]
    assert batch_sizes(6) == [1, 2, 4, 6]
    assert batch_sizes(64) == [1, 2, 4, 8, 16, 32, 64]


@given(largest=st.integers(1, 300))
def test_no_batch_is_more_than_doubled(largest):
    sizes = batch_sizes(largest)
    assert sizes[-1] == largest
    assert all(low < high <= 2 * low for low, high in pairwise(sizes))


@settings(deadline=None, max_examples=20)
@given(batches=st.lists(st.integers(1, 14), min_size=1, max_size=8))
def test_every_batch_gets_the_answers_of_one_engine(batches):
    model = graph(
        {"x": [None, 3]}, {"y": [None, 3]}, [helper.make_node("Softmax", ["x"], ["y"], axis=1)]
    )
    opened, open_one = opener(model)
    engine, reference = sized(open_one, 6), OnnxRuntimeEngine(model)
    for batch in batches:
        feeds = {"x": np.random.default_rng(batch).random((batch, 3), np.float32)}
        kept = feeds["x"].copy()
        (answer,) = engine.infer(feeds).values()
        np.testing.assert_array_equal(answer, reference.infer(feeds)["y"])
        np.testing.assert_array_equal(feeds["x"], kept)
    # The first is asked once whether it takes any batch.
    assert opened[0].batches[0] == 2
    assert [set(opened[0].batches[1:]), *(set(o.batches) for o in opened[1:4])] == [
        {1}, {2}, {4}, {6}
    ]  # fmt: skip
    assert all(len(set(o.batches)) == 1 for o in opened[4:])


def test_what_is_left_of_a_larger_batch_does_not_show(make_graph):
    """Rows that fill up hold what was there before."""
    path = make_graph()
    engine, reference = sized(opener(path)[1], 4), OnnxRuntimeEngine(path)
    for batch in (4, 3, 1, 3):
        feeds = {"frames": frames(batch)}
        answer = engine.infer(feeds)["probs"]
        assert answer.shape == (batch, 5)
        np.testing.assert_allclose(answer, reference.infer(feeds)["probs"], atol=1e-6)


def test_states_are_filled_up_along_their_own_axis():
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [0])
    model = graph(
        {"x": [None, 4], "h": [1, None, 4]},
        {"y": [None, 4], "h_next": [1, None, 4]},
        [
            helper.make_node("Squeeze", ["h", "axes"], ["row"]),
            helper.make_node("Add", ["x", "row"], ["y"]),
            helper.make_node("Add", ["h", "one"], ["h_next"]),
        ],
        [one, axes],
    )
    opened, open_one = opener(model)
    engine = sized(open_one, 8)
    for batch in (3, 8, 5):
        rng = np.random.default_rng(batch)
        x, h = rng.random((batch, 4), np.float32), rng.random((1, batch, 4), np.float32)
        out = engine.infer({"x": x, "h": h})
        np.testing.assert_array_equal(out["y"], x + h[0])
        np.testing.assert_array_equal(out["h_next"], h + 1)
    assert [o.batches[-1] for o in opened] == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [({"x": [2, 3]}, {"y": [2, 3]}), ({"x": [None, None]}, {"y": [None, None]})],
    ids=["a fixed batch", "another open axis"],
)
def test_a_graph_whose_batch_is_not_all_that_is_open_runs_as_it_is(inputs, outputs):
    opened, open_one = opener(graph(inputs, outputs, [helper.make_node("Relu", ["x"], ["y"])]))
    engine = sized(open_one, 8)
    assert engine is opened[0]
    feeds = {"x": np.float32([[-1, 2, 3], [4, -5, 6]])}
    assert engine.infer(feeds)["y"].tolist() == [[0, 2, 3], [4, 0, 6]]


def test_an_open_axis_that_is_not_the_batch_shows():
    """NonZero gives a column for each number that is none: cutting those would lose some."""
    nodes = [
        helper.make_node("NonZero", ["x"], ["places"]),
        helper.make_node("Cast", ["places"], ["y"], to=TensorProto.FLOAT),
    ]
    opened, open_one = opener(graph({"x": [None, 3]}, {"y": [2, None]}, nodes))
    engine = sized(open_one, 8)
    assert engine is opened[0]
    assert engine.infer({"x": np.ones((3, 3), np.float32)})["y"].shape == (2, 9)


def test_it_says_what_it_is_and_refuses_what_does_not_fit(make_graph):
    opened, open_one = opener(make_graph())
    engine = sized(open_one, 4)
    assert isinstance(engine, SizedEngine)
    assert engine.name == opened[0].name
    assert (engine.inputs, engine.outputs) == (opened[0].inputs, opened[0].outputs)
    assert engine.of_size(3) is opened[2]
    with pytest.raises(EngineError, match="uint8"):
        engine.infer({"frames": frames(2).astype(np.float32)})
    engine.close()
    assert all(one.is_closed for one in opened)
    with pytest.raises(EngineError, match="the engine is closed"):
        engine.infer({"frames": frames(2)})
    with pytest.raises(EngineError, match="the engine is closed"):
        engine.of_size(2)


def test_an_engine_that_does_not_open_closes_those_before_it(make_graph):
    path = make_graph()
    opened = []

    def open_one():
        if len(opened) == 2:
            raise EngineError("no more memory on the GPU")
        return Watched(path, opened)

    with pytest.raises(EngineError, match="no more memory"):
        sized(open_one, 8)
    assert [one.is_closed for one in opened] == [True, True]
