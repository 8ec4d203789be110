"""Which operands become INT8: the rules of docs/quantisation.md, one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hand_made import graph, node

from edgevid.convert.quantize.placement import Placement, plan_placement


def reads(placement: Placement) -> dict[str, list[tuple[str, int, str]]]:
    return {g.name: [(e.reader, e.operand, e.tensor) for e in g.edges] for g in placement.groups}


def test_operands_become_int8_behind_the_activation_and_results_do_not():
    model = graph(
        [node("Conv", "x w b", "c"), node("Relu", "c", "r"), node("Conv", "r v", "y")],
        ["n", 16, 8, 8],
        w=[16, 16, 3, 3],
        b=[16],
        v=[16, 16, 1, 1],
    )
    placement = plan_placement(model)
    assert reads(placement) == {"c": [("c", 0, "x")], "y": [("y", 0, "r")]}
    assert placement.tensors == ("x", "r")
    assert placement.left_alone == {}


def test_readers_of_one_tensor_share_its_pair():
    model = graph(
        [node("Conv", "x w", "a"), node("Conv", "x v", "b"), node("Mul", "a b", "y")],
        ["n", 16, 8, 8],
        w=[16, 16, 1, 1],
        v=[16, 16, 1, 1],
    )
    placement = plan_placement(model)
    assert placement.tensors == ("x",)
    assert [len(g.edges) for g in placement.groups] == [1, 1]


def test_a_node_without_a_name_of_its_own_is_called_by_its_output():
    nodes = [node("Conv", "x w", "a"), node("Conv", "a w", "b"), node("Conv", "b w", "y")]
    nodes[0].name, nodes[1].name, nodes[2].name = "twin", "twin", ""
    placement = plan_placement(graph(nodes, ["n", 16, 4, 4], w=[16, 16, 1, 1]))
    assert [g.name for g in placement.groups] == ["a", "b", "y"]


@pytest.mark.parametrize(
    ("op", "inputs", "shape", "weight", "axis", "attributes"),
    [
        ("Conv", "x w", [1, 16, 9], [24, 16, 3], 0, {}),
        ("Conv", "x w", [1, 16, 9, 9], [24, 4, 3, 3], 0, {"group": 4}),
        ("Conv", "x w", [1, 16, 5, 9, 9], [24, 16, 3, 3, 3], 0, {}),
        ("ConvTranspose", "x w", [1, 16, 9, 9], [16, 24, 3, 3], 1, {}),
        ("Gemm", "x w", [1, 16], [16, 24], 1, {}),
        ("Gemm", "x w", [1, 16], [24, 16], 0, {"transB": 1}),
        ("Gemm", "w x", [16, 1], [24, 16], 0, {}),
        ("Gemm", "w x", [16, 1], [16, 24], 1, {"transA": 1}),
        ("MatMul", "x w", [1, 7, 16], [16, 24], 1, {}),
        ("MatMul", "w x", [1, 16, 7], [24, 16], 0, {}),
    ],
)
def test_weights_have_a_scale_for_each_output_channel(op, inputs, shape, weight, axis, attributes):
    model = graph([node(op, inputs, "y", **attributes)], shape, w=weight)
    (group,) = plan_placement(model).groups
    assert group.weight is not None
    assert (group.weight.name, group.weight.axis) == ("w", axis)
    assert group.weight.operand == inputs.split().index("w")
    assert weight[axis] == 24
    assert [e.operand for e in group.edges] == [inputs.split().index("x")]


@pytest.mark.parametrize("inputs", ["c2 r", "r c2"])
def test_of_a_residual_add_the_shortcut_alone_becomes_int8(inputs):
    model = graph(
        [
            node("Relu", "x", "r"),
            node("Conv", "r w1", "c1"),
            node("Relu", "c1", "r1"),
            node("Conv", "r1 w2", "c2"),
            node("Add", inputs, "sum"),
            node("Relu", "sum", "y"),
        ],
        ["n", 16, 8, 8],
        w1=[16, 16, 1, 1],
        w2=[16, 16, 1, 1],
    )
    shortcut = ("sum", inputs.split().index("r"), "r")
    assert reads(plan_placement(model)) == {
        "c1": [("c1", 0, "r")],
        "c2": [("c2", 0, "r1"), shortcut],
    }


@pytest.mark.parametrize("inputs", ["main short", "short main"])
def test_where_two_convolutions_meet_the_longer_branch_takes_the_add(inputs):
    model = graph(
        [
            node("Conv", "x w1", "first"),
            node("Relu", "first", "r"),
            node("Conv", "x w3", "short"),
            node("Conv", "r w2", "main"),
            node("Add", inputs, "y"),
        ],
        ["n", 16, 8, 8],
        w1=[16, 16, 1, 1],
        w2=[16, 16, 1, 1],
        w3=[16, 16, 1, 1],
    )
    edges = reads(plan_placement(model))
    assert edges["main"][1:] == [("y", inputs.split().index("short"), "short")]
    assert edges["short"] == [("short", 0, "x")]


def test_no_shortcut_where_the_convolution_cannot_take_the_add_in():
    """Its result is read elsewhere, or the other operand is a constant."""
    model = graph(
        [
            node("Conv", "x w", "c"),
            node("Add", "c x", "first"),
            node("Mul", "c first", "product"),
            node("Conv", "product w", "d"),
            node("Add", "d bias", "y"),
        ],
        ["n", 16, 8, 8],
        w=[16, 16, 1, 1],
        bias=np.ones((1, 16, 1, 1), np.float32),
    )
    assert reads(plan_placement(model)) == {"c": [("c", 0, "x")], "d": [("d", 0, "product")]}


def branches(*behind, outputs=("y",)):
    return graph(
        [
            node("Relu", "x", "a"),
            node("Sigmoid", "x", "b"),
            node("Concat", "a b", "joined", axis=1),
            *behind,
        ],
        ["n", 16, 8, 8],
        outputs,
        w=[16, 32, 1, 1],
    )


def test_operands_of_a_concat_share_one_scale_with_its_reader():
    placement = plan_placement(
        branches(node("MaxPool", "joined", "p", kernel_shape=[2, 2]), node("Conv", "p w", "y"))
    )
    assert reads(placement) == {"y": [("joined", 0, "a"), ("joined", 1, "b"), ("y", 0, "p")]}
    assert placement.tied == (frozenset({"a", "b", "p"}),)


def test_a_concat_that_is_read_in_float_too_stays_in_float():
    placement = plan_placement(
        branches(
            node("Conv", "joined w", "y"),
            node("GlobalAveragePool", "joined", "mean"),
            outputs=("y", "mean"),
        )
    )
    assert reads(placement) == {"y": [("y", 0, "joined")]}
    assert placement.tied == ()


def test_a_concat_that_leaves_the_graph_stays_in_float():
    placement = plan_placement(branches(node("Conv", "joined w", "y"), outputs=("y", "joined")))
    assert placement.tensors == ("joined",)


def test_before_and_behind_a_max_pool_is_one_scale():
    """TensorRT moves Q over the pool, and into the kernel in front, where both are equal."""
    model = graph(
        [
            node("Relu", "x", "r"),
            node("MaxPool", "r", "p", kernel_shape=[1, 1]),
            node("Conv", "p w", "a"),
            node("Conv", "r v", "b"),
            node("Mul", "a b", "y"),
        ],
        ["n", 16, 8, 8],
        w=[16, 16, 1, 1],
        v=[16, 16, 1, 1],
    )
    assert plan_placement(model).tied == (frozenset({"r", "p"}),)


def test_both_operands_of_attention_become_int8_and_probabilities_end_at_1():
    model = graph(
        [
            node("Transpose", "x", "t", perm=[0, 2, 1]),
            node("MatMul", "x t", "logits"),
            node("Softmax", "logits", "weights", axis=2),
            node("MatMul", "weights x", "y"),
        ],
        ["n", 8, 16],
    )
    placement = plan_placement(model)
    assert reads(placement) == {
        "logits": [("logits", 0, "x"), ("logits", 1, "t")],
        "y": [("y", 0, "weights"), ("y", 1, "x")],
    }
    assert placement.bounds == {"weights": 1.0}
    assert all(group.weight is None for group in placement.groups)


@pytest.mark.parametrize(
    ("nodes", "shape", "weights", "reason"),
    [
        ([node("Conv", "x w", "y", group=16)], [1, 16, 8, 8], {"w": [16, 1, 3, 3]}, "depthwise"),
        ([node("Conv", "x w", "y")], [1, 3, 8, 8], {"w": [12, 3, 1, 1]}, "3 in, 12 out"),
        ([node("Gemm", "x w", "y")], [1, 15], {"w": [15, 8]}, "15 in, 8 out"),
        ([node("MatMul", "x w", "y")], [4, 32], {"w": [32]}, "vector"),
        ([node("MatMul", "x w", "y")], [2, 7, 16], {"w": [2, 16, 24]}, "a stack of matrices"),
        (
            [node("ConvTranspose", "x w", "y", group=2)],
            [1, 32, 8, 8],
            {"w": [32, 16, 3, 3]},
            "in groups",
        ),
        (
            [node("Relu", "w", "made"), node("Conv", "x made", "y")],
            [1, 16, 8, 8],
            {"w": [16, 16, 1, 1]},
            "computed in the graph",
        ),
        (
            [node("LSTM", "x w r", "y h c", hidden_size=16)],
            [4, 1, 16],
            {"w": [1, 64, 16], "r": [1, 64, 16]},
            "recurrent",
        ),
        ([node("GlobalAveragePool", "x", "y")], [1, 16, 8, 8], {}, "mean"),
        ([node("ReduceMean", "x", "y", axes=[2, 3])], [1, 16, 8, 8], {}, "mean"),
        ([node("Softmax", "x", "y")], [1, 16], {}, "scores"),
    ],
)
def test_what_stays_in_float_is_listed_with_its_reason(nodes, shape, weights, reason):
    placement = plan_placement(graph(nodes, shape, **weights))
    assert placement.groups == ()
    assert placement.tensors == ()
    assert reason in placement.left_alone["y"]


def test_depthwise_convolutions_on_request():
    model = graph([node("Conv", "x w", "y", group=16)], ["n", 16, 8, 8], w=[16, 1, 3, 3])
    assert reads(plan_placement(model, depthwise=True)) == {"y": [("y", 0, "x")]}


def test_one_wide_side_is_wide_enough():
    model = graph([node("Conv", "x w", "y")], ["n", 3, 8, 8], w=[16, 3, 3, 3])
    assert len(plan_placement(model).groups) == 1
