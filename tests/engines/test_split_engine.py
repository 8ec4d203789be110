"""The two engines of a split model: how they are built, opened and closed."""

import hashlib
import json

import pytest

from edgevid.engines import split_engine, tensorrt_engine
from edgevid.engines.build_options import BuildOptions
from edgevid.engines.plans import PlanKey
from edgevid.engines.scripted import ScriptedEngine
from edgevid.engines.split_engine import SplitEngine, open_stages, stage_options
from edgevid.engines.tensorrt_build import BuiltPlan
from edgevid.errors import EngineError
from edgevid.manifest import Bundle
from edgevid.spec import ClipSpec, InputSpec, OutputSpec, Spec
from edgevid.types import TensorInfo


def spec(**clip):
    return Spec(
        labels=("a", "b"),
        clip=ClipSpec(**clip),
        inputs=(InputSpec(name="clip", layout="NTCHW", size=(6, 8)),),
        outputs=(OutputSpec(name="scores", kind="logits"),),
    )


@pytest.mark.parametrize(
    ("clip", "batch", "expected"),
    [
        ({"num_frames": 16, "fps": 10.0}, (1, 1, 4), (1, 1, 16)),
        ({"num_frames": 16, "fps": 10.0, "hop_s": 0.4}, (1, 1, 4), (1, 4, 16)),
        ({"num_frames": 16, "fps": 10.0, "hop_s": 9.0}, (1, 1, 4), (1, 16, 16)),
        ({"num_frames": 16, "fps": 10.0}, (2, 3, 32), (1, 3, 32)),
        ({"num_frames": 8, "fps": 10.0, "hop_s": 0.4}, (1, 4, 4), (1, 8, 8)),
        ({"num_frames": 20, "sampling": "uniform"}, (1, 1, 1), (1, 20, 20)),
    ],
)
def test_a_backbones_batches_count_frames(clip, batch, expected):
    options = BuildOptions(*batch, workspace_mb=77)
    backbone = stage_options(options, spec(**clip), "backbone")
    assert backbone.batch == expected
    assert backbone.workspace_mb == 77
    assert stage_options(options, spec(**clip), "head") == options
    assert stage_options(options, spec(**clip), None) == options


@pytest.fixture
def split_bundle(handmade_bundle):
    """A bundle whose two graphs are not looked at."""

    def change(manifest):
        manifest["features"] = {"name": "features", "shape": [4], "dtype": "float32"}
        model = next(a for a in manifest["artifacts"] if a["kind"] == "model")
        model["stage"] = "backbone"
        digest = hashlib.sha256(b"the head").hexdigest()
        head = {"path": "head.onnx", "sha256": digest, "kind": "model", "stage": "head"}
        manifest["artifacts"].append(head)

    path = handmade_bundle(change)
    (path / "head.onnx").write_bytes(b"the head")
    return Bundle.load(path)


def engine(stage):
    takes = {
        "backbone": ("clip", (None, 112, 112, 3), "uint8"),
        "head": ("features", (None, 16, 4), "float32"),
    }
    gives = {
        "backbone": ("features", (None, 4), "float32"),
        "head": ("scores", (None, 3), "float32"),
    }
    return ScriptedEngine([TensorInfo(*takes[stage])], [TensorInfo(*gives[stage])], [[0.0]])


def test_both_stages_are_opened_and_closed(split_bundle):
    opened = []

    def open_one(stage):
        opened.append((stage, engine(stage)))
        return opened[-1][1]

    pair = open_stages(split_bundle, open_one)
    assert isinstance(pair, SplitEngine)
    assert [stage for stage, _ in opened] == ["backbone", "head"]
    assert pair.positions == range(16)
    assert pair.inputs == (TensorInfo("clip", (None, 16, 112, 112, 3), "uint8"),)
    pair.close()
    for _, part in opened:
        with pytest.raises(EngineError, match="closed"):
            part.infer({})


def test_a_head_that_does_not_open_closes_the_backbone(split_bundle):
    backbone = engine("backbone")

    def open_one(stage):
        if stage == "head":
            raise EngineError("no memory")
        return backbone

    with pytest.raises(EngineError, match="no memory"):
        open_stages(split_bundle, open_one)
    with pytest.raises(EngineError, match="closed"):
        backbone.infer({})


def test_tensorrt_builds_and_keeps_a_plan_of_each_stage(split_bundle, monkeypatch):
    built = []

    class Cuda:
        compute_capability = "8.7"
        device_name = "Fake Orin"

    class Trt:
        __version__ = "10.3.0"

    def build(path, flavour, capability, *, precision, options, **_):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        low, _usual, high = options.batch
        key = PlanKey(flavour, "10.3.0", capability, precision, low, high, False, digest[:8])
        built.append((path.name, options.batch))
        return BuiltPlan(key, b"plan of " + path.name.encode())

    monkeypatch.setattr(tensorrt_engine, "load_tensorrt", lambda _: Trt)
    monkeypatch.setattr(tensorrt_engine, "open_cuda", Cuda)
    monkeypatch.setattr(tensorrt_engine, "build_plan", build)
    monkeypatch.setattr(tensorrt_engine, "load_engine", lambda _trt, data, _key: data)
    monkeypatch.setattr(tensorrt_engine, "TensorRTEngine", lambda _t, _c, data, _k, _n: data)

    def open_both():
        return [
            tensorrt_engine.open_tensorrt(split_bundle, "tensorrt", 2, lambda _: None, stage)
            for stage in ("backbone", "head")
        ]

    assert open_both() == [b"plan of model.onnx", b"plan of head.onnx"]
    # 16 frames a window; a window every 0.5 s has 4 new ones, of two windows 8.
    assert built == [("model.onnx", (1, 8, 16)), ("head.onnx", (1, 2, 2))]
    manifest = json.loads((split_bundle.path / "manifest.json").read_text())
    plans = {a["stage"]: a["key"] for a in manifest["artifacts"] if a["kind"] == "plan"}
    assert set(plans) == {"backbone", "head"}
    assert open_both() == [b"plan of model.onnx", b"plan of head.onnx"]
    assert len(built) == 2


def test_the_seam_checks_what_it_is_fed(split_bundle):
    pair = open_stages(split_bundle, engine)
    with pytest.raises(EngineError, match=r"takes the inputs \['clip'\]"):
        pair.infer({"frames": None})
    assert split_engine.positions(split_bundle.manifest) == range(16)
