"""Networks in the shapes that video models have, in INT8 against FP32."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hand_made import sqnr_db
from torch_nets import NETS, network

from edgevid.convert.quantize.half_rest import to_fp16
from edgevid.convert.quantize.insert import insert_qdq
from edgevid.convert.quantize.placement import plan_placement
from edgevid.convert.quantize.prepare import prepare
from edgevid.convert.quantize.ranges import collect_ranges
from edgevid.convert.session import Session

EDGES = {
    # The second convolution of each block has the shortcut besides.
    "residual3d": [1, 1, 2, 1, 2, 1, 1],
    # Queries, keys, values, two products of activations, out, two of the MLP.
    "attention": [1, 1, 1, 2, 2, 1, 1, 1],
    "transposed": [1, 1, 1],
    "grouped": [1, 1, 1],
    # The third has both operands of the Concat.
    "branches1d": [1, 1, 3, 1, 1],
    "dense": [1, 1],
}


def draw(name: str, count: int, seed: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [{"x": rng.normal(0, 2, NETS[name][1]).astype(np.float32)} for _ in range(count)]


@pytest.fixture(scope="module", params=NETS)
def quantized(request):
    """Name, FP32 graph and INT8 graph of each network."""
    name = request.param
    model = prepare(network(name))
    placement = plan_placement(model)
    assert [len(g.edges) for g in placement.groups] == EDGES[name]
    ranges = collect_ranges(model, placement.tensors, draw(name, 16, seed=0), "minmax")
    result = insert_qdq(model, placement, ranges)
    onnx.checker.check_model(result, full_check=True)
    return name, model, result


def test_int8_answers_like_fp32(quantized):
    name, model, result = quantized
    feeds = draw(name, 16, seed=1)
    expected = Session(network(name)).run_each(feeds, "y")
    np.testing.assert_allclose(Session(model).run_each(feeds, "y"), expected, atol=1e-5)
    assert sqnr_db(expected, Session(result).run_each(feeds, "y")) > 20


def test_each_window_of_a_batch_gets_its_own_answer(quantized):
    name, _, result = quantized
    feeds = draw(name, 3, seed=1)
    together = {"x": np.concatenate([feed["x"] for feed in feeds])}
    session = Session(result)
    np.testing.assert_allclose(session.run(together)["y"], session.run_each(feeds, "y"), atol=1e-4)


def test_fp16_for_the_rest_changes_little(quantized):
    name, _, result = quantized
    feeds = draw(name, 8, seed=1)
    last = {n.name for n in result.graph.node if "y" in n.output}
    half = to_fp16(result, keep=last)
    onnx.checker.check_model(half, full_check=True)
    expected = Session(result).run_each(feeds, "y")
    assert sqnr_db(expected, Session(half).run_each(feeds, "y")) > 35
