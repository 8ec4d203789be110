"""Bundles held against what the device could do with their graphs."""

from __future__ import annotations

import shutil
import sys
from importlib import resources

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgevid.benchmarks.harness import limits
from edgevid.benchmarks.harness.graph_cost import count_graph
from edgevid.benchmarks.harness.limits import bundle_calls, run_against_limits
from edgevid.benchmarks.harness.measure import Options, measure
from edgevid.benchmarks.harness.peaks import Peaks
from edgevid.convert import convert
from edgevid.errors import IntegrityError
from edgevid.manifest import Bundle

PEAKS = Peaks({"fp32": 50.0, "fp16": 50.0, "int8": 200.0}, 10.0, "made up")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "demo.edgevid"
    with resources.as_file(resources.files("edgevid.demo")) as folder:
        convert(folder / "model.onnx", out, spec=folder / "spec.toml", target="onnx")
        yield Bundle.load(out), onnx.load(folder / "model.onnx")


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """A convolution of each frame and an LSTM over six of them."""
    folder = tmp_path_factory.mktemp("split")
    rng = np.random.default_rng(0)

    def weight(name, *shape):
        return numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)

    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["clip", "frames"], ["x"]),
            helper.make_node("Conv", ["x", "w"], ["c"], strides=[4, 4]),
            helper.make_node("Relu", ["c"], ["r"]),
            helper.make_node("GlobalAveragePool", ["r"], ["p"]),
            helper.make_node("Reshape", ["p", "windows"], ["f"]),
            helper.make_node("Transpose", ["f"], ["t"], perm=[1, 0, 2]),
            helper.make_node("LSTM", ["t", "lw", "lr"], ["", "h"], hidden_size=5),
            helper.make_node("Squeeze", ["h", "first"], ["s"]),
            helper.make_node("Gemm", ["s", "g"], ["logits"]),
        ],
        "lstm",
        [helper.make_tensor_value_info("clip", TensorProto.FLOAT, ["n", 6, 3, 16, 16])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 4])],
        [
            weight("w", 8, 3, 4, 4), weight("lw", 1, 20, 8), weight("lr", 1, 20, 5),
            weight("g", 5, 4), numpy_helper.from_array(np.array([-1, 3, 16, 16]), "frames"),
            numpy_helper.from_array(np.array([-1, 6, 8]), "windows"),
            numpy_helper.from_array(np.array([0]), "first"),
        ],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "lstm.onnx")
    spec = {
        "clip": {"num_frames": 6, "fps": 10.0, "hop_s": 0.2},
        "inputs": [{"name": "clip", "layout": "NTCHW", "size": [16, 16]}],
    }
    out = convert(folder / "lstm.onnx", folder / "split.edgevid", spec=spec, target="onnx").bundle
    bundle = Bundle.load(out)
    assert bundle.manifest.features is not None
    return bundle


def test_conversion_adds_no_matrix_products_to_the_demo_model(demo):
    bundle, model = demo
    shapes = {
        value.name: tuple(d.dim_value or 1 for d in value.type.tensor_type.shape.dim)
        for value in model.graph.input
    }
    [calls] = bundle_calls(bundle)
    assert calls.cost.flops == count_graph(model, shapes).flops > 1e6
    assert calls.cost.uncounted == {}
    [batched] = bundle_calls(bundle, batch=4)
    assert batched.per_clip == 1 / 4
    assert batched.cost.flops == 4 * calls.cost.flops
    assert batched.cost.weight_bytes == calls.cost.weight_bytes


def test_a_run_is_held_against_the_cpu_with_the_engines_threads(demo):
    asked = []

    def peaks(threads):
        asked.append(threads)
        return PEAKS

    found, note = run_against_limits(
        demo[0], "onnxruntime 1.23 (CPU, 3 threads)", 0.010, cpu_peaks=peaks
    )
    assert (asked, note) == ([3], "")
    assert found.peaks_from == "made up"
    assert found.share == pytest.approx(found.limit_ms / 10)
    assert 0 < found.limit_ms <= found.layers_limit_ms


def test_the_backbone_of_a_split_model_counts_for_the_frames_that_are_new(split):
    frame = 2 * 8 * 3 * 16 * 16
    whole, head = bundle_calls(split)
    assert whole.cost.flops == 6 * frame
    assert head.cost.flops == 2 * (6 * (20 * 8 + 20 * 5) + 5 * 4)
    new, _ = bundle_calls(split, batch=3, new_frames=2)
    assert new.cost.flops * new.per_clip == 2 * frame


@pytest.mark.parametrize("engine", ["tensorrt 10.3.0 (Orin, int8)", "onnxruntime 1.23 (CUDA)"])
def test_a_gpu_that_is_in_no_table_has_no_roofline(demo, engine):
    assert run_against_limits(demo[0], engine, 0.01) == (
        None,
        "no roofline: the peaks of this GPU are not in the table",
    )


def test_a_bundle_that_was_changed_is_told(demo, tmp_path):

    copy = shutil.copytree(demo[0].path, tmp_path / "copy")
    bundle = Bundle.load(copy)
    (copy / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(IntegrityError):
        bundle_calls(bundle)
    found, note = run_against_limits(bundle, "onnxruntime", 0.01, cpu_peaks=lambda _: PEAKS)
    assert found is None
    assert note.startswith("no roofline: ")


def test_without_onnx_the_note_says_what_to_install(demo, monkeypatch):

    limits._count_file.cache_clear()
    monkeypatch.setitem(sys.modules, "onnx", None)
    found, note = run_against_limits(demo[0], "onnxruntime", 0.01, cpu_peaks=lambda _: PEAKS)
    assert found is None
    assert note.endswith("Run: pip install 'edgevid[convert]'")


def test_a_benchmark_keeps_memory_by_stage_and_its_roofline(demo):
    bundle, _ = demo
    options = Options(engine="onnxruntime", engine_only=True, duration_s=0.2, rounds=1)
    result = measure(bundle, options)
    assert set(result.memory.stages_mb) == {"open", "run"}
    assert result.memory.peak_rss_mb > 20
    roof = result.roofline
    [calls] = bundle_calls(bundle)
    assert roof.gflop_per_clip == pytest.approx(calls.cost.flops / 1e9)
    assert roof.limit_ms / roof.share == pytest.approx(result.stages["infer"].p50_ms)
    assert roof.peaks_from.startswith("measured: ")
    assert result.machine_before.load is not None
