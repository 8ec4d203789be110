"""A dynamic batch is a claim that is tried out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from made_models import save
from onnx import TensorProto, helper

from edgevid.convert.batch import has_dynamic_batch, settle_batch
from edgevid.convert.graph import SCORES
from edgevid.convert.journal import Journal
from edgevid.convert.session import Session

RNG = np.random.default_rng(5)
WINDOWS = [{"x": RNG.integers(0, 256, (1, 4, 6, 6, 3)).astype(np.uint8)} for _ in range(3)]


def graph(path: Path, nodes: list[Any], weights: dict[str, Any]) -> Any:
    """`nodes` take `f`, (N, 4, 6, 6, 3) float32 in [0, 1], and make `scores`, (N, 2)."""
    prefix = [
        helper.make_node("Cast", ["x"], ["bytes"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["bytes", "unit"], ["f"]),
    ]
    weights = {"unit": np.float32(1 / 255), **weights}
    inputs = [("x", ["batch", 4, 6, 6, 3], TensorProto.UINT8)]
    return onnx.load(str(save(path, [*prefix, *nodes], inputs, [(SCORES, ["batch", 2])], weights)))


def weight(*shape: int) -> Any:
    return RNG.normal(0, 0.2, shape).astype(np.float32)


def shape(*dims: int) -> Any:
    return np.array(dims, np.int64)


def check_dynamic(model: Any, journal: Journal) -> None:
    assert has_dynamic_batch(model)
    assert journal.notes == []
    session = Session(model)
    together = session.run({"x": np.concatenate([w["x"] for w in WINDOWS])})[SCORES]
    assert together == pytest.approx(session.run_each(WINDOWS, SCORES), abs=1e-5)


def test_a_graph_that_is_free_already_is_left_alone(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Flatten", ["f"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], [SCORES]),
    ]
    model = graph(tmp_path / "m.onnx", nodes, {"w": weight(432, 2)})
    journal = Journal()
    assert settle_batch(model, WINDOWS, journal) is model
    check_dynamic(model, journal)


@pytest.mark.parametrize("first", [shape(1, 432), shape(1, -1)])
def test_a_literal_batch_in_a_reshape_is_opened(tmp_path: Path, first: Any) -> None:
    nodes = [
        helper.make_node("Reshape", ["f", "target"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], [SCORES]),
    ]
    model = graph(tmp_path / "m.onnx", nodes, {"w": weight(432, 2), "target": first})
    journal = Journal()
    check_dynamic(settle_batch(model, WINDOWS, journal), journal)


def test_time_folded_into_the_batch_and_back(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Reshape", ["f", "fold"], ["frames"]),
        helper.make_node("MatMul", ["frames", "w"], ["each"]),
        helper.make_node("Relu", ["each"], ["active"]),
        helper.make_node("Reshape", ["active", "unfold"], ["clips"]),
        helper.make_node("ReduceMax", ["clips"], [SCORES], axes=[1], keepdims=0),
    ]
    weights = {"w": weight(108, 2), "fold": shape(4, 108), "unfold": shape(1, 4, 2)}
    journal = Journal()
    model = settle_batch(graph(tmp_path / "m.onnx", nodes, weights), WINDOWS, journal)
    check_dynamic(model, journal)


def test_a_state_of_fixed_batch_keeps_the_batch_at_one(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Reshape", ["f", "steps"], ["sequence"]),
        helper.make_node("Transpose", ["sequence"], ["by_time"], perm=[1, 0, 2]),
        helper.make_node("RNN", ["by_time", "w", "r", "", "", "h0"], ["", "last"], hidden_size=2),
        helper.make_node("Squeeze", ["last", "axis"], [SCORES]),
    ]
    weights = {
        "steps": shape(-1, 4, 108),
        "w": weight(1, 2, 108),
        "r": weight(1, 2, 2),
        "h0": weight(1, 1, 2),
        "axis": shape(0),
    }
    journal = Journal()
    model = settle_batch(graph(tmp_path / "m.onnx", nodes, weights), WINDOWS, journal)
    assert not has_dynamic_batch(model)
    assert "The batch is fixed at 1" in journal.notes[0]
    assert Session(model).run(WINDOWS[0])[SCORES].shape == (1, 2)


def test_windows_that_change_each_others_scores_are_found(tmp_path: Path) -> None:
    """The mean over the batch is taken off: every shape fits, and the answers are wrong."""
    nodes = [
        helper.make_node("Flatten", ["f"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["own"]),
        helper.make_node("ReduceMean", ["own"], ["mean"], axes=[0]),
        helper.make_node("Sub", ["own", "mean"], [SCORES]),
    ]
    journal = Journal()
    model = settle_batch(graph(tmp_path / "m.onnx", nodes, {"w": weight(432, 2)}), WINDOWS, journal)
    assert not has_dynamic_batch(model)
    assert "change each other's scores" in journal.notes[0]
