"""Real plans from TensorRT-RTX's builder, which needs no GPU."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from edgevid.engines.plans import PlanKey
from edgevid.engines.tensorrt_build import BuiltPlan, build_plan, known_capabilities
from edgevid.errors import BuildError, MissingDependencyError

rtx = pytest.importorskip("tensorrt_rtx", reason="pip install 'edgevid[tensorrt-rtx]'")

RTX = "tensorrt-rtx"
MAGIC = b"vtrt"


def one_node(op: str, domain: str = "", dims: tuple[int | str, ...] = ("N", 4, 4)) -> bytes:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    opsets = [helper.make_opsetid("", 17)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    node = helper.make_node(op, ["x"], ["y"], name="odd_one", domain=domain)
    graph = helper.make_graph([node], "g", [x], [y])
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def test_fp32_plan_holds_fp32_weights(make_graph, constants_of):
    """The convolution of 5 filters of 3x3x3: 540 bytes in FP32, and nothing in FP16."""
    path = make_graph()
    built = build_plan(path, RTX, "8.6", precision="fp32")
    constants = constants_of(built.data)
    assert built.data.startswith(MAGIC)
    assert constants["float", 5 * 3 * 3 * 3 * 4] == 1
    assert not [kind for kind, _ in constants if kind == "half"]


def test_fp16_plan_holds_fp16_weights(make_graph, constants_of):
    """Precision comes from the graph: the channels are padded to 4, two bytes each."""
    built = build_plan(make_graph(half=True), RTX, "8.6", precision="fp16")
    constants = constants_of(built.data)
    assert constants["half", 5 * 4 * 3 * 3 * 2] == 1
    assert not [size for kind, size in constants if kind == "float" and size > 4]


def test_the_key_says_what_the_plan_is_for(make_graph):
    path = make_graph(half=True)
    built = build_plan(path, RTX, "8.9", (1, 2, 8), precision="fp16")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert built.key == PlanKey(
        RTX, rtx.__version__, "8.9", "fp16", 1, 8, fixed_batch=False, model_hash=digest[:8]
    )
    assert str(built.key) == f"trtrtx-{rtx.__version__}-sm89-fp16-b1-8-{digest[:8]}"
    assert built.notes == ()


def test_the_batch_range_is_in_the_plan(make_graph):
    """A plan for another range is another plan; a range that cannot be is refused."""
    path = make_graph()
    small = build_plan(path, RTX, "8.6", (1, 1, 2), precision="fp32")
    large = build_plan(path, RTX, "8.6", (1, 4, 16), precision="fp32")
    assert (small.key.max_batch, large.key.max_batch) == (2, 16)
    assert small.data != large.data
    for batch in [(0, 1, 4), (2, 1, 4), (1, 5, 4)]:
        with pytest.raises(BuildError, match="smallest, usual, largest"):
            build_plan(path, RTX, "8.6", batch, precision="fp32")


def test_a_fixed_batch_is_kept_and_said(make_graph):
    built = build_plan(make_graph(batch=2), RTX, "8.6", precision="fp32")
    assert (built.key.min_batch, built.key.max_batch, built.key.fixed_batch) == (2, 2, True)
    assert "-b2-" in str(built.key)
    assert built.notes == ("The graph fixes the batch at 2.",)


def test_without_a_capability_the_plan_is_portable(make_graph):
    built = build_plan(make_graph(), RTX, precision="fp32")
    assert built.key.compute_capability is None
    assert "-any-" in str(built.key)
    assert "every GPU from 8.0 on" in built.notes[0]


def test_an_unknown_capability_lists_the_known(make_graph):
    with pytest.raises(BuildError) as caught:
        build_plan(make_graph(), RTX, "8.7", precision="fp32")
    assert "'8.7'" in str(caught.value)
    assert "7.5, 8.0, 8.6, 8.9, 12.0" in str(caught.value)
    assert list(known_capabilities(rtx))[:3] == ["7.5", "8.0", "8.6"]


@pytest.mark.parametrize(("op", "domain"), [("Frobnicate", "com.example"), ("Det", "")])
def test_a_node_that_does_not_parse_is_named(tmp_path, op, domain):
    path = tmp_path / "odd.onnx"
    path.write_bytes(one_node(op, domain))
    with pytest.raises(BuildError) as caught:
        build_plan(path, RTX, precision="fp32")
    assert f"node 'odd_one' ({op})" in caught.value.message
    assert "--engine onnxruntime" in caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_graph(tmp_path):
    path = tmp_path / "pointer.onnx"
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(BuildError, match=r"cannot parse .*pointer\.onnx: .*Failed to parse"):
        build_plan(path, RTX, precision="fp32")
    with pytest.raises(BuildError, match=r"no such file: .*gone\.onnx"):
        build_plan(tmp_path / "gone.onnx", RTX, precision="fp32")


def test_only_the_batch_may_vary(tmp_path):
    path = tmp_path / "free.onnx"
    path.write_bytes(one_node("Relu", dims=("N", "height", 4)))
    with pytest.raises(BuildError, match=r"'x' has shape \[\?, \?, 4\]: only the first axis"):
        build_plan(path, RTX, precision="fp32")


def test_a_refused_build_says_why(make_graph):
    """A batch that no memory holds: the reason is the library's own, from its logger."""
    with pytest.raises(BuildError) as caught:
        build_plan(make_graph(size=1024), RTX, "8.6", (1, 1, 2**30), precision="fp32")
    assert "cannot build this graph" in caught.value.message
    assert "did not say why" not in caught.value.message


def test_progress_is_told(make_graph):
    told: list[tuple[str, int, int]] = []
    build_plan(make_graph(), RTX, "8.6", precision="fp32", progress=lambda *p: told.append(p))
    assert len(told) > 20
    assert all(1 <= done <= total for _, done, total in told)
    top = [done for phase, done, _ in told if phase == "Building engine"]
    assert top == sorted(top)
    assert len(top) >= 4


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ZeroDivisionError])
def test_progress_may_stop_the_build(make_graph, stop):
    """Ctrl-C arrives inside the callback: the build ends and the exception comes out."""
    calls = 0

    def progress(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise stop

    with pytest.raises(stop):
        build_plan(make_graph(), RTX, "8.6", precision="fp32", progress=progress)
    built = build_plan(make_graph(), RTX, "8.6", precision="fp32")
    assert isinstance(built, BuiltPlan)


def test_a_second_build_does_not_repeat_old_errors(tmp_path, make_graph):
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(one_node("Frobnicate", "com.example"))
    with pytest.raises(BuildError):
        build_plan(bad, RTX, precision="fp32")
    with pytest.raises(BuildError) as caught:
        build_plan(make_graph(size=1024), RTX, "8.6", (1, 1, 2**30), precision="fp32")
    assert "Frobnicate" not in str(caught.value)


def test_unknown_targets_and_missing_packages(make_graph, monkeypatch):
    with pytest.raises(BuildError, match="tensorrt, tensorrt-rtx"):
        build_plan(make_graph(), "openvino", precision="fp32")  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgevid\[tensorrt-rtx\]'"):
        build_plan(make_graph(), RTX, precision="fp32")


def test_external_weights_are_found(tmp_path, make_graph, constants_of):
    """Weights beside the .onnx, as large exports have them."""
    model = onnx.load(make_graph())
    path = tmp_path / "split" / "model.onnx"
    path.parent.mkdir()
    onnx.save_model(
        model, path, save_as_external_data=True, location="weights.bin", size_threshold=100
    )
    assert Path(path.parent / "weights.bin").stat().st_size == 540
    built = build_plan(path, RTX, "8.6", precision="fp32")
    assert constants_of(built.data)["float", 540] == 1
