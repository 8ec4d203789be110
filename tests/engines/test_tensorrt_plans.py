"""TensorRT plans on a GPU of NumPy: kept, found, refused; and when `auto` takes TensorRT."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from fake_gpu import FakeCuda, FakeTensorRT, answer, plan_bytes

import edgevid.engines
from edgevid.engines import has_nvidia_device, open_engine, tensorrt_engine
from edgevid.engines.plans import PlanKey, short_hash
from edgevid.engines.tensorrt_build import BuiltPlan
from edgevid.engines.tensorrt_engine import TensorRTEngine, open_tensorrt
from edgevid.errors import BuildError, EngineError, MissingDependencyError
from edgevid.manifest import Bundle

KEY = PlanKey("tensorrt", "10.3.0", "8.7", "fp32", 1, 4, False, "0a1b2c3d")


def frames(batch: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"frames": rng.integers(0, 256, (batch, 8, 8, 3), dtype=np.uint8)}


@dataclass
class Device:
    """A machine with a fake GPU, a fake TensorRT and a builder that counts."""

    cuda: FakeCuda
    trt: FakeTensorRT
    builds: list[tuple[object, ...]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def open(self, bundle: Bundle, max_batch: int = 4) -> TensorRTEngine:
        return open_tensorrt(bundle, "tensorrt", max_batch, self.told.append)

    def key(self, bundle: Bundle, **changes: object) -> PlanKey:
        sha = next(a.sha256 for a in bundle.manifest.artifacts if a.kind == "model")
        return replace(KEY, model_hash=short_hash(sha), **changes)


@pytest.fixture
def device(monkeypatch, tmp_path):
    cuda = FakeCuda()
    device = Device(cuda, FakeTensorRT(cuda))

    def build(path, flavour, capability, *, precision, options, **_rest):
        batch = options.batch
        device.builds.append((path.name, flavour, capability, batch, precision))
        key = PlanKey(
            flavour,
            device.trt.__version__,
            capability,
            precision,
            batch[0],
            batch[2],
            False,
            short_hash(hashlib.sha256(path.read_bytes()).hexdigest()),
        )
        return BuiltPlan(key, plan_bytes(tag=f"built {len(device.builds)}", max=batch[2]))

    monkeypatch.setattr(tensorrt_engine, "load_tensorrt", lambda _flavour: device.trt)
    monkeypatch.setattr(tensorrt_engine, "open_cuda", lambda: cuda)
    monkeypatch.setattr(tensorrt_engine, "build_plan", build)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return device


def test_builds_once_and_keeps(device, make_bundle):
    bundle = make_bundle()
    feeds = frames(3)
    out = device.open(bundle).infer(feeds)["probs"]
    np.testing.assert_array_equal(out, answer(feeds["frames"]))
    assert device.builds == [("model.onnx", "tensorrt", "8.7", (1, 4, 4), "fp32")]
    assert "Fake Orin" in device.told[0]
    assert "no kept plan fits" in device.told[0]

    again = Bundle.load(bundle.path)
    assert again.plan(str(device.key(again))) is not None
    device.open(again)
    assert len(device.builds) == 1
    assert device.trt.deserialized == [plan_bytes(tag="built 1")] * 2


def test_a_changed_plan_is_never_deserialised(device, make_bundle):
    """One byte more than the manifest's hash: rebuilt, and the new one kept in its place."""
    bundle = make_bundle()
    path = bundle.add_plan(str(device.key(bundle)), plan_bytes(tag="good"))
    path.write_bytes(plan_bytes(tag="evil"))
    device.open(bundle)
    assert device.trt.deserialized == [plan_bytes(tag="built 1")]
    assert path.read_bytes() == plan_bytes(tag="built 1")
    assert Bundle.load(bundle.path).plan(str(device.key(bundle))) == path


@pytest.mark.parametrize(
    "change",
    [
        {"version": "10.3.1"},
        {"compute_capability": "8.6"},
        {"precision": "fp16"},
        {"model_hash": "ffffffff"},
        {"flavour": "tensorrt-rtx"},
        {"max_batch": 2},
        {"min_batch": 2},
        {"precision": "int8"},
        {"precision": "mixed"},
    ],
)
def test_a_plan_for_something_else_is_never_deserialised(device, make_bundle, change):
    bundle = make_bundle()
    other = replace(device.key(bundle), **change)
    bundle.add_plan(str(other), plan_bytes(tag="foreign"))
    device.open(bundle)
    assert device.trt.deserialized == [plan_bytes(tag="built 1")]
    assert str(other) in device.told[0]


def test_a_plan_with_a_key_of_another_kind_is_left_alone(device, make_bundle):
    bundle = make_bundle()
    bundle.add_plan("handmade", plan_bytes(tag="foreign"))
    device.open(bundle)
    assert device.trt.deserialized == [plan_bytes(tag="built 1")]


def test_the_smallest_range_that_serves_is_taken(device, make_bundle):
    bundle = make_bundle()
    for largest in (16, 2, 8):
        key = device.key(bundle, max_batch=largest)
        bundle.add_plan(str(key), plan_bytes(tag=largest, max=largest))
    assert device.open(bundle, max_batch=4).max_batch == 8
    assert device.builds == []


def test_a_plan_that_the_library_refuses_is_built_again(device, make_bundle):
    bundle = make_bundle()
    bundle.add_plan(str(device.key(bundle)), b"not a plan, though its hash is right")
    device.open(bundle)
    assert len(device.builds) == 1
    assert "does not load (magic tag does not match)" in device.told[0]


def test_the_next_plan_is_tried_where_the_library_refuses_the_first(device, make_bundle):
    """A plan for a DLA comes first; where it does not load, the one for the GPU is not rebuilt."""
    bundle = make_bundle()
    gpu = device.key(bundle)
    bundle.add_plan(str(replace(gpu, dla_core=0, max_batch=1)), b"of no use here")
    bundle.add_plan(str(gpu), plan_bytes(tag="gpu"))
    device.open(bundle)
    assert device.builds == []
    assert device.trt.deserialized == [b"of no use here", plan_bytes(tag="gpu")]


def test_a_plan_that_changes_between_the_look_and_the_load_is_not_loaded(
    device, make_bundle, monkeypatch
):
    """The bytes that were hashed are the bytes that are loaded: the file is read once."""
    bundle = make_bundle()
    path = bundle.add_plan(str(device.key(bundle)), plan_bytes(tag="good"))
    reads = []
    read_bytes = Path.read_bytes

    def read_and_swap(self: Path) -> bytes:
        data = read_bytes(self)
        if self == path:
            reads.append(self)
            path.write_bytes(plan_bytes(tag="evil"))
        return data

    monkeypatch.setattr(Path, "read_bytes", read_and_swap)
    device.open(bundle)
    assert device.trt.deserialized == [plan_bytes(tag="good")]
    assert reads == [path]


def test_a_key_that_is_not_the_files_name_is_foreign(device, make_bundle):
    """The manifest passes another plan's file off as ours: its hash is right, its name is not."""
    bundle = make_bundle()
    other = replace(device.key(bundle), version="10.7.0")
    bundle.add_plan(str(other), plan_bytes(tag="foreign"))
    manifest = bundle.path / "manifest.json"
    text = manifest.read_text()
    key = f'"key": "{other}"'
    assert key in text
    manifest.write_text(text.replace(key, f'"key": "{device.key(bundle)}"'))
    device.open(Bundle.load(bundle.path))
    assert device.trt.deserialized == [plan_bytes(tag="built 1")]


def test_a_plan_for_a_dla_is_run_on_its_core(device, make_bundle):
    bundle = make_bundle()
    key = replace(device.key(bundle), dla_core=1, max_batch=1)
    bundle.add_plan(str(key), plan_bytes(tag="dla", max=1))
    engine = device.open(bundle)
    assert [runtime.DLA_core for runtime in device.trt.runtimes] == [1]
    assert engine.max_batch == 1
    feeds = frames(3)
    np.testing.assert_array_equal(engine.infer(feeds)["probs"], answer(feeds["frames"]))


def test_a_read_only_bundle_keeps_its_plans_in_the_cache(device, make_bundle, tmp_path):
    bundle = make_bundle()
    (bundle.path / "engines").write_text("a file where the folder should be")
    device.open(bundle)
    kept = list((tmp_path / "cache").rglob("*.plan"))
    assert [p.name for p in kept] == [f"{device.key(bundle)}.plan"]
    assert str(kept[0]) in device.told[-1]
    device.open(bundle)
    assert len(device.builds) == 1

    kept[0].write_bytes(plan_bytes(tag="evil"))
    device.open(bundle)
    assert len(device.builds) == 2
    assert plan_bytes(tag="evil") not in device.trt.deserialized


def test_another_model_does_not_see_the_cached_plan(device, make_bundle):
    for name, seed in (("one.edgevid", 1), ("two.edgevid", 2)):
        bundle = make_bundle(name, seed=seed)
        (bundle.path / "engines").write_text("")
        device.open(bundle)
    assert len(device.builds) == 2


def test_nowhere_to_keep_it_is_said(device, make_bundle, tmp_path):
    bundle = make_bundle()
    (bundle.path / "engines").write_text("")
    (tmp_path / "cache").write_text("")
    feeds = frames(1)
    out = device.open(bundle).infer(feeds)["probs"]
    np.testing.assert_array_equal(out, answer(feeds["frames"]))
    assert "will be built again" in device.told[-1]


# open_engine: which one, and why.


@pytest.fixture
def gpu(device, monkeypatch):
    monkeypatch.setattr("edgevid.engines.has_nvidia_device", lambda: True)
    monkeypatch.setattr("edgevid.engines.cuda_memory.open_cuda", lambda: device.cuda)
    return device


@pytest.fixture
def try_all(monkeypatch, tmp_path):
    """`auto` tries what is installed, but not OpenVINO, and remembers it for this test only."""
    monkeypatch.delenv("EDGEVID_ENGINE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)


@pytest.mark.usefixtures("gpu", "try_all")
def test_auto_takes_tensorrt_where_it_is_fastest(monkeypatch, make_bundle):
    monkeypatch.setattr("edgevid.engines.trial.difference", lambda *_args: "")
    monkeypatch.setattr(
        "edgevid.engines.trial.time_in_turn",
        lambda engines, _feeds: {name: float(not name.startswith("tensorrt")) for name in engines},
    )
    told: list[str] = []
    bundle = make_bundle()
    engine = open_engine(bundle, notify=told.append, max_batch=2)
    assert isinstance(engine, TensorRTEngine)
    assert engine.max_batch == 2
    assert told[-2].startswith("Tried for a moment: tensorrt takes 0.0 ms a call (")
    assert told[-1] == "Engine: tensorrt 10.3.0 (fp32, Fake Orin)"
    told.clear()
    open_engine(bundle, notify=told.append, max_batch=2)
    assert told == ["Engine: tensorrt 10.3.0 (fp32, Fake Orin)"]


@pytest.mark.usefixtures("gpu", "try_all")
def test_auto_takes_no_engine_that_answers_differently(make_bundle):
    """The fake GPU gives sums, the graph probabilities."""
    told: list[str] = []
    engine = open_engine(make_bundle(), notify=told.append)
    assert engine.name.startswith("onnxruntime ")
    text = "\n".join(told)
    assert "tensorrt is not used: its scores differ from ONNX Runtime's by" in text


@pytest.mark.usefixtures("try_all")
def test_auto_with_a_gpu_that_cannot_be_used_says_why(monkeypatch, make_bundle):
    def no_gpu():
        raise EngineError("CUDA: cudaSetDevice failed with cudaErrorNoDevice")

    monkeypatch.setattr("edgevid.engines.has_nvidia_device", lambda: True)
    monkeypatch.setattr("edgevid.engines.cuda_memory.open_cuda", no_gpu)
    told: list[str] = []
    engine = open_engine(make_bundle(), notify=told.append, threads=1)
    assert engine.name.startswith("onnxruntime ")
    assert told[0] == "No GPU is used: CUDA: cudaSetDevice failed with cudaErrorNoDevice"
    assert engine.infer(frames(2))["probs"].shape == (2, 5)


@pytest.mark.usefixtures("try_all")
def test_auto_on_a_machine_without_a_gpu_only_names_its_engine(monkeypatch, make_bundle):
    monkeypatch.setattr("edgevid.engines.has_nvidia_device", lambda: False)
    told: list[str] = []
    engine = open_engine(make_bundle(), notify=told.append, threads=1)
    assert told == [f"Engine: {engine.name}"]


@pytest.mark.parametrize(
    ("nodes", "found"),
    [([], False), (["nvidia-caps", "nvidiactl"], False), (["nvidia0"], True), (["nvmap"], True)],
)
def test_an_nvidia_device_is_told_by_its_nodes(tmp_path, nodes, found):
    for node in nodes:
        (tmp_path / node).touch()
    assert has_nvidia_device(tmp_path) is found


@pytest.mark.usefixtures("try_all")
def test_auto_falls_back_and_says_why(gpu, monkeypatch, make_bundle):
    """TensorRT is not installed, TensorRT-RTX cannot build the graph."""

    def load(flavour):
        if flavour == "tensorrt":
            raise MissingDependencyError("tensorrt", "tensorrt", "the engine tensorrt")
        return gpu.trt

    def refuse(*_args, **_kwargs):
        raise BuildError("no kernel for node 'conv'")

    monkeypatch.setattr(tensorrt_engine, "load_tensorrt", load)
    monkeypatch.setattr(tensorrt_engine, "build_plan", refuse)
    told: list[str] = []
    engine = open_engine(make_bundle(), notify=told.append)
    assert engine.name.startswith("onnxruntime ")
    text = "\n".join(told)
    assert "tensorrt is not used: the engine tensorrt needs the package 'tensorrt'" in text
    assert "tensorrt-rtx is not used: no kernel for node 'conv'" in text


@pytest.mark.usefixtures("gpu")
def test_an_engine_asked_for_by_name_is_never_replaced(monkeypatch, make_bundle):
    def refuse(*_args, **_kwargs):
        raise BuildError("no kernel for node 'conv'")

    monkeypatch.setattr(tensorrt_engine, "build_plan", refuse)
    with pytest.raises(BuildError, match="no kernel"):
        open_engine(make_bundle(), "tensorrt")


def test_unknown_names_and_values(make_bundle):
    bundle = make_bundle()
    with pytest.raises(EngineError) as caught:
        open_engine(bundle, "tensorflow")
    assert "'tensorflow'" in caught.value.message
    for name in edgevid.engines.ENGINES:
        assert name in caught.value.hint
    with pytest.raises(EngineError, match="max_batch is 0"):
        open_engine(bundle, max_batch=0)


def test_a_missing_package_is_named(monkeypatch, make_bundle):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgevid\[tensorrt\]'"):
        open_engine(make_bundle(), "tensorrt")
