"""Operations and bytes of graphs, against PyTorch's own counter and by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from edgevid.benchmarks.harness.graph_cost import count_graph
from edgevid.errors import ModelError

MODELS = Path(__file__).parents[2] / ".." / "shared" / "data" / "models"
real = pytest.mark.skipif(not MODELS.is_dir(), reason="the shared test data is not here")


def torch_flops(net, *args) -> int:
    """With the kernels that the counter sees into: not oneDNN's LSTM, not the fused attention."""
    with (
        FlopCounterMode(display=False) as counter,
        torch.backends.mkldnn.flags(enabled=False),
        sdpa_kernel(SDPBackend.MATH),
    ):
        net(*args)
    return counter.get_total_flops()


class Video(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide = nn.Conv3d(3, 8, 3, stride=(1, 2, 2), padding=1)
        self.deep = nn.Conv3d(8, 8, (3, 1, 1), groups=8, padding=(2, 0, 0), dilation=(2, 1, 1))
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.deep(torch.relu(self.wide(x))).mean((2, 3, 4)))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
        self.norm = nn.LayerNorm(32)

    def forward(self, x):
        return self.norm(self.attention(x, x, x, need_weights=False)[0] + x)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 7, 2, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(14, 5, batch_first=True)

    def forward(self, x):
        return self.gru(self.lstm(x)[0])[0]


class Einsum(nn.Module):
    def forward(self, x):
        products = torch.einsum("bij,bkj->bik", x, x)
        return products @ products


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (Video(), (2, 3, 4, 16, 20)),
        (
            nn.Sequential(nn.Conv2d(4, 6, 3), nn.ConvTranspose2d(6, 4, 4, 2, groups=2)),
            (1, 4, 9, 11),
        ),
        (Attention(), (2, 10, 32)),
        (Recurrent(), (3, 9, 6)),
        (Einsum(), (2, 5, 6)),
        (nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 4)), (7, 8)),
    ],
    ids=["conv3d", "transposed", "attention", "recurrent", "einsum", "gemm"],
)
def test_operations_are_those_that_pytorch_counts(net, shape):
    net.eval()
    x = torch.zeros(shape)
    model = torch.onnx.export(net, (x,), dynamo=True, verbose=False).model_proto
    [name] = [value.name for value in model.graph.input]
    cost = count_graph(model, {name: shape})
    assert cost.flops == torch_flops(net, x)
    assert cost.uncounted == {}


def graph(nodes, inputs, outputs, weights=()) -> onnx.ModelProto:
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in weights],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_what_one_pass_over_memory_does_counts_once():
    model = graph(
        [
            helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("Add", ["b", "x4"], ["c"]),
            helper.make_node("MaxPool", ["c"], ["d"], kernel_shape=[2, 2], strides=[2, 2]),
            helper.make_node("Flatten", ["d"], ["y"]),
        ],
        [("x", TensorProto.FLOAT, ["N", 3, 8, 8]), ("x4", TensorProto.FLOAT, ["N", 4, 8, 8])],
        ["y"],
        [("w", np.zeros((4, 3, 3, 3), np.float32))],
    )
    cost = count_graph(model, {"x": (2, 3, 8, 8), "x4": (2, 4, 8, 8)})
    x, x4, w, y = 2 * 3 * 64 * 4, 2 * 4 * 64 * 4, 108 * 4, 2 * 4 * 16 * 4
    assert [layer.kind for layer in cost.layers] == ["Conv", "MaxPool"]
    # Convolution, activation and sum in one pass; then the sum is read and the pool written.
    assert [layer.bytes for layer in cost.layers] == [x + w + x4 + x4, x4 + y]
    assert (cost.weight_bytes, cost.io_bytes) == (w, x + x4 + y)
    assert cost.least_bytes == w + x + x4 + y
    assert cost.flops == 2 * 2 * 4 * 64 * 27


def test_a_quantised_convolution_reads_bytes_and_computes_in_int8():
    scale, zero = np.float32(0.1), np.int8(0)
    model = graph(
        [
            helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
            helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
            helper.make_node("DequantizeLinear", ["wq", "s", "z"], ["wd"]),
            helper.make_node("Conv", ["xd", "wd"], ["a"]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("QuantizeLinear", ["b", "s", "z"], ["bq"]),
            helper.make_node("DequantizeLinear", ["bq", "s", "z"], ["bd"]),
            helper.make_node("GlobalAveragePool", ["bd"], ["y"]),
        ],
        [("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        ["y"],
        [("s", np.array(scale)), ("z", np.array(zero)), ("wq", np.zeros((4, 3, 1, 1), np.int8))],
    )
    cost = count_graph(model, {"x": (1, 3, 8, 8)})
    quantise, conv, pool = cost.layers
    scales = 4 + 1
    assert (conv.kind, conv.numbers) == ("Conv", "int8")
    assert quantise.bytes == 192 * 4 + scales + 192
    assert conv.bytes == 192 + 12 + scales + 256
    assert pool.bytes == 256 + 4 * 4
    assert cost.weight_bytes == 12 + scales


def test_half_precision_is_told_by_the_tensors():
    model = graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [("x", TensorProto.FLOAT16, ["N", 8])],
        ["y"],
        [("w", np.zeros((8, 4), np.float16))],
    )
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    cost = count_graph(model, {"x": (3, 8)})
    assert [(layer.numbers, layer.flops) for layer in cost.layers] == [("fp16", 2 * 3 * 8 * 4)]
    assert cost.least_bytes == (3 * 8 + 8 * 4 + 3 * 4) * 2


def test_the_body_of_a_scan_counts_for_each_step():
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["h", "w"], ["h2"]),
            helper.make_node("Add", ["h2", "s"], ["o"]),
        ],
        "body",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in ("h", "s")],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in ("h2", "o")],
    )
    model = graph(
        [helper.make_node("Scan", ["h0", "x"], ["h", "y"], body=body, num_scan_inputs=1)],
        [("h0", TensorProto.FLOAT, [1, 4]), ("x", TensorProto.FLOAT, ["T", 1, 4])],
        ["h", "y"],
        [("w", np.zeros((4, 4), np.float32))],
    )
    cost = count_graph(model, {"h0": (1, 4), "x": (7, 1, 4)})
    assert cost.flops == 7 * 2 * 4 * 4
    assert cost.weight_bytes == 64


def test_shapes_that_inference_leaves_open_are_found_by_a_run():
    # NonZero's shape is in the data; of zeros it finds nothing, and the rest is known.
    model = graph(
        [
            helper.make_node("NonZero", ["x"], ["i"]),
            helper.make_node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["w", "f"], ["p"]),
            helper.make_node("MatMul", ["w", "w"], ["y"]),
        ],
        [("x", TensorProto.FLOAT, [5, 2])],
        ["y", "p"],
        [("w", np.zeros((2, 2), np.float32))],
    )
    cost = count_graph(model, {"x": (5, 2)})
    assert cost.uncounted == {}
    assert cost.flops_by_kind == {"MatMul": 0}


def test_what_cannot_be_counted_is_named():
    model = graph(
        [helper.make_node("Einsum", ["x", "x", "x"], ["y"], equation="ij,jk,kl->il")],
        [("x", TensorProto.FLOAT, [3, 3])],
        ["y"],
    )
    assert count_graph(model, {"x": (3, 3)}).uncounted == {"Einsum": 1}


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({}, "no shape was given for the input 'x'"),
        ({"x": (1, 2)}, "takes 4 axes, not \\[1, 2\\]"),
        ({"x": (1, 5, 8, 8)}, "does not take the shape \\[1, 5, 8, 8\\]"),
    ],
)
def test_inputs_that_do_not_fit_are_named(inputs, said):
    model = graph(
        [helper.make_node("Relu", ["x"], ["y"])], [("x", TensorProto.FLOAT, ["N", 3, 8, 8])], ["y"]
    )
    with pytest.raises(ModelError, match=said):
        count_graph(model, inputs)


def count_real(name: str, batch: int = 1):
    model = onnx.load(MODELS / name / "model.onnx")
    shapes = {
        value.name: tuple(d.dim_value or batch for d in value.type.tensor_type.shape.dim)
        for value in model.graph.input
    }
    return count_graph(model, shapes)


@real
def test_the_real_cnn_with_lstm_costs_what_pytorch_counts():
    net = torch.jit.load(next((MODELS / "lrcn-ucf50").glob("*.pt")))
    for batch in (1, 3):
        cost = count_real("lrcn-ucf50", batch)
        assert cost.flops == torch_flops(net, torch.zeros(batch, 20, 3, 128, 128))
        assert cost.weight_bytes == pytest.approx(0.391e6, rel=0.01)


@real
@pytest.mark.parametrize(
    ("name", "mega_macs", "numbers"),
    [
        # Sandler et al. 2018, table 4 (300 M), with 1001 classes.
        ("mobilenet-v2-imagenet", 300.8, "fp32"),
        # MobileNet v1 0.25 at 128 pixels: 14 M in the table of its authors' repository.
        ("mobilenet-v1-025-imagenet-int8", 13.57, "int8"),
    ],
)
def test_published_models_cost_what_their_authors_say(name, mega_macs, numbers):
    cost = count_real(name)
    assert cost.flops / 2e6 == pytest.approx(mega_macs, rel=1e-3)
    assert {layer.numbers for layer in cost.layers if layer.flops} == {numbers}
    assert cost.uncounted == {}


@real
def test_a_model_with_many_states_is_counted_with_them():
    cost = count_real("movinet-a0-stream")
    assert cost.uncounted == {}
    model = onnx.load(MODELS / "movinet-a0-stream" / "model.onnx")
    assert cost.flops == convolutions_by_a_run(model)
    assert cost.io_bytes > 5e6


def convolutions_by_a_run(model) -> int:
    """Twice the multiplications, of the arrays that ONNX Runtime really makes."""
    sizes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type == "Conv"]
    names = {n for node in nodes for n in (node.output[0], node.input[1]) if n not in sizes}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(names))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    types = {"tensor(float)": np.float32, "tensor(int32)": np.int32}
    feeds = {i.name: np.zeros(i.shape, types[i.type]) for i in session.get_inputs()}
    answers = session.run(sorted(names), feeds)
    sizes |= {name: a.shape for name, a in zip(sorted(names), answers, strict=True)}
    return sum(
        2 * math.prod(sizes[node.output[0]]) * math.prod(sizes[node.input[1]][1:]) for node in nodes
    )
