"""Plans for a DLA: what is told to the builder, what falls back, and where it is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_builder import FakeBuilderTensorRT
from fake_gpu import FakeCuda

from edgevid.engines import tensorrt_build
from edgevid.engines.build_options import BuildOptions
from edgevid.engines.plan_store import find_plans
from edgevid.engines.plans import PlanKey
from edgevid.engines.tensorrt_build import BuiltPlan, build_plan
from edgevid.errors import BuildError


@pytest.fixture
def build(monkeypatch, tmp_path, make_graph):
    """Build for a DLA core with a fake TensorRT on a fake Orin."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tensorrt_build, "open_cuda", FakeCuda)
    path = make_graph(half=True)

    def run(trt: FakeBuilderTensorRT, precision: str = "fp16", **options: object) -> BuiltPlan:
        monkeypatch.setattr(tensorrt_build, "load_tensorrt", lambda _flavour: trt)
        chosen = BuildOptions(**{"dla_core": 1, **options})
        return build_plan(path, "tensorrt", precision=precision, options=chosen)

    return run


def test_the_builder_is_told_and_the_rest_falls_back(build):
    trt = FakeBuilderTensorRT()
    built = build(trt)
    (config,) = trt.configs
    assert (config.DLA_core, config.default_device_type) == (1, trt.DeviceType.DLA)
    assert config.flags == {trt.BuilderFlag.GPU_FALLBACK}
    assert built.gpu_layers == ("scale_pixels", "nchw", "softmax")
    assert built.notes == (
        "A DLA takes one batch: the plan is for 1, the usual one.",
        "DLA core 1 runs 2 of 5 layers; on the GPU: scale_pixels, nchw, softmax.",
    )
    assert str(built.key).startswith("trt-10.3.0-sm87-dla1-fp16-b1-1-")


def test_without_a_core_nothing_of_it_is_touched(build):
    trt = FakeBuilderTensorRT(cores=0)
    built = build(trt, dla_core=None, opt_batch=2)
    (config,) = trt.configs
    assert (config.DLA_core, config.default_device_type) == (-1, trt.DeviceType.GPU)
    assert config.flags == set()
    assert config.profiles == [{"frames": ((1, 8, 8, 3), (2, 8, 8, 3), (4, 8, 8, 3))}]
    assert (built.gpu_layers, built.notes) == ((), ())
    assert "-dla" not in str(built.key)


def test_a_dla_takes_one_batch_the_usual(build):
    trt = FakeBuilderTensorRT()
    built = build(trt, opt_batch=2)
    assert trt.configs[0].profiles == [{"frames": ((2, 8, 8, 3),) * 3}]
    assert (built.key.min_batch, built.key.max_batch) == (2, 2)


def test_a_batch_that_the_graph_fixes_needs_no_note_on_the_dla(build):
    built = build(FakeBuilderTensorRT(batch=4))
    assert (built.key.fixed_batch, built.key.max_batch) == (True, 4)
    assert not any("one batch" in note for note in built.notes)


@pytest.mark.parametrize("adjusts", [False, True])
def test_the_parser_adjusts_where_the_release_can(build, adjusts):
    trt = FakeBuilderTensorRT(adjusts=adjusts)
    build(trt)
    expected = [trt.OnnxParserFlag.ADJUST_FOR_DLA] if adjusts else []
    assert trt.parser_flags == expected


def test_a_long_list_is_cut_in_the_note_only(build):
    layers = {"conv": True} | {f"layer_{i}": False for i in range(9)}
    built = build(FakeBuilderTensorRT(layers=layers))
    assert built.notes[-1].endswith("layer_0, layer_1, layer_2, layer_3, layer_4 and 4 more.")
    assert len(built.gpu_layers) == 9


@pytest.mark.parametrize(
    ("trt", "precision", "message"),
    [
        (
            FakeBuilderTensorRT(cores=0),
            "int8",
            r"10\.3\.0 finds no DLA on this device\. Jetson AGX",
        ),
        (FakeBuilderTensorRT(cores=1), "fp16", r"no DLA core 1: this device has 1\. Give 0 to 0"),
        (FakeBuilderTensorRT(), "fp32", "only in FP16 and INT8, and this graph is in FP32"),
        (FakeBuilderTensorRT(layers={"lstm": False}), "fp16", "no layer of this graph can run"),
    ],
)
def test_where_it_is_refused(build, trt, precision, message):
    with pytest.raises(BuildError, match=message):
        build(trt, precision)


def test_tensorrt_rtx_has_none(make_graph):
    options = BuildOptions(dla_core=0)
    with pytest.raises(BuildError, match=r"tensorrt-rtx has no DLA\. .*leave --dla out"):
        build_plan(make_graph(), "tensorrt-rtx", "8.6", precision="fp16", options=options)


def test_a_build_with_tensorrt_keeps_its_timings(build, tmp_path):
    """Twice: the second build starts from what the first one measured."""
    first, second = FakeBuilderTensorRT(), FakeBuilderTensorRT()
    build(first)
    build(second)
    assert first.configs[0].timing.data == b""
    assert second.configs[0].timing.data == b"measured;"
    (kept,) = (tmp_path / "cache" / "edgevid" / "timing").glob("*.cache")
    assert kept.name == "trt-10.3.0-sm87.cache"
    third = FakeBuilderTensorRT()
    build(third, timing_cache=False)
    assert third.configs[0].timing is None


def test_a_plan_for_a_dla_is_taken_first_and_for_no_other_core(make_bundle):
    bundle = make_bundle(precision="fp16")
    sha = bundle.manifest.artifact("model").sha256
    gpu = PlanKey("tensorrt", "10.3.0", "8.7", "fp16", 1, 4, False, sha[:8])
    dla = replace(gpu, max_batch=1, dla_core=0)
    for key in (gpu, dla):
        bundle.add_plan(str(key), str(key).encode())
    assert [plan.key for plan in find_plans(bundle, gpu)] == [dla, gpu]
    assert list(find_plans(bundle, replace(gpu, dla_core=1))) == []
