"""The shift of each channel's mean, measured and taken back."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hand_made import constants, graph, node

from edgevid.convert.quantize.bias_correction import correct_biases, measure_shifts
from edgevid.convert.quantize.insert import insert_qdq
from edgevid.convert.quantize.placement import plan_placement
from edgevid.convert.quantize.prepare import prepare
from edgevid.convert.quantize.ranges import Range
from edgevid.convert.session import Session
from edgevid.errors import ConversionError

RNG = np.random.default_rng(3)
CLIPPED = 1.5
"""Of values that reach 4: cutting them off shifts means, which is what is tested."""


def convolutions(opset: int = 17) -> onnx.ModelProto:
    """Two convolutions with Relu between; the second has no bias."""
    nodes = [
        node("Relu", "x", "r"),
        node("Conv", "r w b", "c", pads=[1, 1, 1, 1]),
        node("Relu", "c", "s"),
        node("Conv", "s v", "y"),
    ]
    weights = {"w": (24, 16, 3, 3), "b": (24,), "v": (20, 24, 1, 1)}
    return graph(nodes, (1, 16, 8, 8), opset=opset, **weights)


def product(op: str) -> onnx.ModelProto:
    """A product of what a Relu makes, which is centred, with its bias."""
    nodes = [node("Relu", "x", "r")]
    if op == "MatMul":
        nodes += [node("MatMul", "r w", "m"), node("Add", "b m", "y")]
    else:
        nodes += [node("Gemm", "r w b", "y")]
    return graph(nodes, (6, 32), w=(32, 24), b=(24,))


def feeds(model: onnx.ModelProto, count: int = 6) -> list[dict[str, np.ndarray]]:
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    return [{"x": RNG.normal(0, 1.2, shape).astype(np.float32)} for _ in range(count)]


def quantise(model, keep_float=()):
    """With ranges that cut values off."""
    prepared = prepare(model)
    placement = plan_placement(prepared)
    ranges = {t: Range(0.0, CLIPPED, CLIPPED, degenerate=False) for t in placement.tensors}
    return prepared, placement, insert_qdq(prepared, placement, ranges, keep_float)


def channel_error(one, other, clips, output="y"):
    """Mean of `one - other` for each channel of `output`, by running both on all clips."""
    means = []
    for clip in clips:
        error = Session(one).run(clip)[output] - Session(other).run(clip)[output]
        axes = (0, *range(2, error.ndim))
        means.append(error.mean(axis=axes))
    return np.mean(means, axis=0)


@pytest.mark.parametrize("opset", [13, 17, 18])
def test_a_convolution_without_bias_gets_one_that_takes_the_shift_back(opset):
    model = convolutions(opset)
    clips = feeds(model)
    prepared, placement, int8 = quantise(model, keep_float={"c"})
    shifts = measure_shifts(prepared, int8, placement.groups, clips)
    before = channel_error(int8, prepared, clips)
    assert np.abs(before).max() > 0.02
    np.testing.assert_allclose(shifts["y"], before, atol=1e-5)
    corrected = correct_biases(int8, shifts)
    onnx.checker.check_model(corrected, full_check=True)
    assert np.abs(channel_error(corrected, prepared, clips)).max() < 1e-5


@pytest.mark.parametrize("op", ["Gemm", "MatMul"])
def test_products_are_corrected_where_their_operand_is_centred_too(op):
    model = product(op)
    clips = feeds(model)
    prepared, placement, int8 = quantise(model)
    assert any(n.op_type == "Add" and "centred" in n.output[0] for n in int8.graph.node)
    before = channel_error(int8, prepared, clips)
    assert np.abs(before).max() > 0.02
    shifts = measure_shifts(prepared, int8, placement.groups, clips)
    corrected = correct_biases(int8, shifts)
    assert np.abs(channel_error(corrected, prepared, clips)).max() < 1e-5


def test_the_shift_of_a_layer_is_its_own_whatever_else_is_int8():
    model = convolutions()
    clips = feeds(model)
    prepared, placement, everywhere = quantise(model)
    alone = quantise(model, keep_float={"c"})[2]
    together = measure_shifts(prepared, everywhere, placement.groups, clips)
    apart = measure_shifts(prepared, alone, placement.groups, clips)
    assert list(together) == ["c", "y"]
    assert list(apart) == ["y"]
    np.testing.assert_array_equal(together["y"], apart["y"])


def test_layers_that_stay_in_float_keep_their_bias():
    model = convolutions()
    clips = feeds(model)
    prepared, placement, everywhere = quantise(model)
    shifts = measure_shifts(prepared, everywhere, placement.groups, clips)
    part = quantise(model, keep_float={"c"})[2]
    corrected = correct_biases(part, shifts)
    assert len(part.graph.node[-1].input) == 2
    assert len(corrected.graph.node[-1].input) == 3
    conv = next(n for n in corrected.graph.node if n.output[0] == "c")
    np.testing.assert_array_equal(constants(corrected)[conv.input[2]], constants(model)["b"])


def test_two_layers_with_one_bias_are_corrected_apart():
    nodes = [
        node("Relu", "x", "r"),
        node("Conv", "r w b", "c"),
        node("Conv", "r v b", "d"),
    ]
    model = graph(nodes, (1, 16, 6, 6), ("c", "d"), w=(24, 16, 1, 1), v=(24, 16, 1, 1), b=(24,))
    clips = feeds(model)
    prepared, placement, int8 = quantise(model)
    corrected = correct_biases(int8, measure_shifts(prepared, int8, placement.groups, clips))
    for output in ("c", "d"):
        assert np.abs(channel_error(int8, prepared, clips, output)).max() > 0.02
        assert np.abs(channel_error(corrected, prepared, clips, output)).max() < 1e-5


def test_clips_are_gone_through_once_and_one_at_a_time():
    class Once(list):
        """Says how many clips were asked for, and lets none be held."""

        rounds = 0

        def __iter__(self):
            self.rounds += 1
            return super().__iter__()

    model = convolutions()
    clips = Once(feeds(model, 5))
    prepared, placement, int8 = quantise(model)
    seen = []
    measure_shifts(
        prepared, int8, placement.groups, clips, progress=lambda *done: seen.append(done)
    )
    assert clips.rounds == 1
    assert seen == [(i, 5) for i in range(1, 6)]


def test_what_is_put_out_is_one_mean_a_channel(monkeypatch):
    """So memory grows neither with the clips nor with their size."""
    sizes = []
    run = Session.run

    def watched(self, clip):
        outputs = run(self, clip)
        sizes.append({name: value.shape for name, value in outputs.items()})
        return outputs

    monkeypatch.setattr(Session, "run", watched)
    model = convolutions()
    prepared, placement, int8 = quantise(model)
    measure_shifts(prepared, int8, placement.groups, feeds(model, 3))
    assert [sorted(s.values()) for s in sizes] == [[(20,), (24,)]] * 3


def test_no_clips_are_refused():
    prepared, placement, int8 = quantise(convolutions())
    with pytest.raises(ConversionError, match="no clips"):
        measure_shifts(prepared, int8, placement.groups, [])
