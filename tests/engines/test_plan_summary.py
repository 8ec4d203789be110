"""What plan bytes show: on real TensorRT-RTX plans in every precision, and on bytes made here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.engines.plan_summary import Constants, plan_constants, plan_summary
from edgevid.engines.tensorrt_build import build_plan

BODY = 32 * 32 * 3 * 3
"""Weights of the convolution that `int8_graph` has in INT8."""

LINE = (
    b"  tensor={ alignment=128 const_payload_size=%d dims={ 32 16 3 3 } name=%b offset=11 "
    b"rank0=0 region=consts stride_order={ 3 0 2 1 } strides={ 144 1 48 16 } type=%b }\n"
)


@pytest.fixture
def build():
    pytest.importorskip("tensorrt_rtx", reason="pip install 'edgevid[tensorrt-rtx]'")
    return lambda path, precision: build_plan(path, "tensorrt-rtx", "8.6", precision=precision)


@pytest.mark.parametrize(("half", "precision"), [(False, "int8"), (True, "mixed")])
def test_an_int8_plan_holds_int8_weights(build, make_int8_graph, half, precision):
    """One byte a weight for the quantised layer, the others' in the rest's precision."""
    built = build(make_int8_graph(half=half), precision)
    summary = plan_summary(built.data)
    assert str(built.key).split("-")[3] == precision
    assert summary.int8_constants == Constants(1, BODY)
    assert (summary.half_constants.nbytes >= 32 * 27 * 2) is half
    assert (summary.float_constants.nbytes >= 32 * 27 * 4) is not half
    assert summary.readable
    assert summary.bytes == len(built.data)
    assert {"stem/conv", "body/conv", "body/q", "head/fc"} <= set(summary.layer_names)
    assert built.notes == ()


def test_a_float_plan_holds_none_and_is_doubted_as_int8(build, make_graph):
    summary = plan_summary(build(make_graph(), "fp32").data)
    assert summary.int8_constants == summary.half_constants == Constants(0, 0)
    assert summary.float_constants.nbytes >= 540
    assert "conv" in summary.layer_names
    assert [summary.doubt(p) for p in ("fp32", "fp16", "int8")] == [
        "",
        "The graph is fp16, but no FP16 weights were found in the plan.",
        "The graph is int8, but no INT8 weights were found in the plan.",
    ]


def test_a_wrong_precision_is_noted_at_the_build(build, make_graph):
    built = build(make_graph(), "mixed")
    assert built.notes == ("The graph is mixed, but no INT8 weights were found in the plan.",)


def test_bytes_that_say_nothing_are_not_doubted():
    """Another release may write its plans without this text."""
    summary = plan_summary(b"ftrt\x00\x01 nothing to read here type=int8 }")
    assert not summary.readable
    assert summary.layer_names == ()
    assert summary.doubt("int8") == ""


def test_layer_names_come_once_in_order_with_odd_characters():
    names = ["/stem/conv", "a[0]", "größe", "/stem/conv", "b c"]
    data = b"\x00" + b"\x1e".join(f"[ONNX Layer: {n}]".encode() for n in names) + b'" }\n'
    assert plan_summary(data).layer_names == ("/stem/conv", "a[0]", "größe", "b c")


@given(
    st.lists(
        st.tuples(st.sampled_from(["int8", "half", "float", "int64"]), st.integers(1, 2**40)),
        max_size=20,
    ),
    st.binary(max_size=200),
)
def test_every_constant_is_counted_whatever_lies_between(constants, noise):
    rest = noise.replace(b"tensor={", b"")
    data = b"".join(
        LINE % (size, b'"w%d"' % i, kind.encode()) + rest + b"\n"
        for i, (kind, size) in enumerate(constants)
    )
    assert list(plan_constants(data)) == constants
    summary = plan_summary(data)
    for kind, found in [
        ("int8", summary.int8_constants),
        ("half", summary.half_constants),
        ("float", summary.float_constants),
    ]:
        sizes = [size for other, size in constants if other == kind]
        assert found == Constants(len(sizes), sum(sizes))
