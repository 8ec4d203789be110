"""Engines for finished bundles: built by TensorRT-RTX for real, kept whole or not at all."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from onnx import TensorProto, helper

import edgevid.demo
from edgevid.convert import convert
from edgevid.convert import rebuild as module
from edgevid.convert.rebuild import rebuild
from edgevid.engines import tensorrt_module
from edgevid.engines.build_options import BuildOptions
from edgevid.engines.engine_layers import EngineLayer
from edgevid.engines.plans import PlanKey
from edgevid.errors import (
    BuildError,
    EngineError,
    IntegrityError,
    MissingDependencyError,
    OutputError,
    SpecError,
)
from edgevid.files import sha256_file
from edgevid.manifest import Artifact, Bundle, dump

rtx = pytest.importorskip("tensorrt_rtx", reason="pip install 'edgevid[tensorrt-rtx]'")

RTX = "tensorrt-rtx"


@pytest.fixture(scope="module")
def converted(tmp_path_factory) -> Path:
    """The model that ships with edgevid, without an engine."""
    out = tmp_path_factory.mktemp("rebuild") / "demo.edgevid"
    convert(edgevid.demo.MODEL, out, spec=edgevid.demo.SPEC, precision="fp16", target="onnx")
    return out


@pytest.fixture
def bundle(converted, tmp_path, monkeypatch) -> Path:
    """A copy to write to, and a cache folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Path(shutil.copytree(converted, tmp_path / "demo.edgevid"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused_graph(bundle: Path) -> None:
    """Give the bundle a graph that no TensorRT takes, with a manifest that lists it."""
    manifest = Bundle.load(bundle).manifest
    file = bundle / "model.onnx"
    graph = helper.make_graph(
        [helper.make_node("Det", ["x"], ["y"], name="/head/det")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    file.write_bytes(model.SerializeToString())
    new = Artifact(path="model.onnx", sha256=sha256_file(file), kind="model")
    artifacts = (new, *(a for a in manifest.artifacts if a.kind != "model"))
    (bundle / "manifest.json").write_bytes(
        dump(manifest.model_copy(update={"artifacts": artifacts}))
    )


# What is built and where it lies.


def test_a_named_gpu(bundle):
    told: list[str] = []
    before = contents(bundle)
    (plan,) = rebuild(bundle, RTX, ["8.6"], notify=told.append)
    loaded = Bundle.load(bundle)
    loaded.verify_all()
    sha = loaded.manifest.artifact("model").sha256
    assert plan.key == PlanKey(RTX, rtx.__version__, "8.6", "fp16", 1, 4, False, sha[:8])
    assert plan.path == bundle / "engines" / f"{plan.key}.plan" == loaded.plan(str(plan.key))
    assert plan.summary.bytes == plan.path.stat().st_size
    assert plan.summary.half_constants.nbytes > 50_000
    assert len(plan.summary.layer_names) > 10
    assert plan.seconds > 0
    assert told[0].startswith("Building a tensorrt-rtx engine for compute capability 8.6")
    assert str(plan.path) in told[1]
    after = contents(bundle)
    assert {name: after[name] for name in before if name != "manifest.json"} == {
        name: data for name, data in before.items() if name != "manifest.json"
    }


def test_several_gpus_and_options(bundle):
    options = BuildOptions(1, 2, 2, optimization_level=0)
    plans = rebuild(bundle, RTX, ["8.6", "8.9"], options)
    assert [(p.key.compute_capability, p.key.max_batch) for p in plans] == [("8.6", 2), ("8.9", 2)]
    assert all(Bundle.load(bundle).plan(str(plan.key)) for plan in plans)


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_the_plan_is_portable(bundle):
    (plan,) = rebuild(bundle, RTX)
    assert plan.key.compute_capability is None
    assert plan.layers is None
    assert "every GPU from 8.0 on" in plan.notes[0]


def test_a_plan_is_replaced_by_the_new_one(bundle):
    (first,) = rebuild(bundle, RTX, ["8.6"])
    first.path.write_bytes(b"damaged")
    (second,) = rebuild(bundle, RTX, ["8.6"])
    assert second.path == first.path
    loaded = Bundle.load(bundle)
    assert loaded.plan(str(second.key)) == second.path
    assert sum(a.kind == "plan" for a in loaded.manifest.artifacts) == 1


def test_progress_is_told(bundle):
    told: list[tuple[str, int, int]] = []
    rebuild(bundle, RTX, ["8.6"], progress=lambda *step: told.append(step))
    assert len(told) > 20
    assert all(1 <= done <= total for _, done, total in told)


def test_where_a_gpu_is_the_plan_is_read_back(bundle, monkeypatch):
    layers = (EngineLayer("conv", "CaskConvolution"),)
    checked = []

    def read_back(key, data):
        checked.append((str(key), len(data)))
        return layers

    monkeypatch.setattr(module, "read_back", read_back)
    (plan,) = rebuild(bundle, RTX, ["8.6"])
    assert plan.layers == layers
    assert checked == [(str(plan.key), plan.summary.bytes)]


def test_a_read_only_bundle_uses_the_users_cache(bundle, tmp_path):
    (bundle / "engines").write_text("a file where the folder should be")
    before = contents(bundle)
    (plan,) = rebuild(bundle, RTX, ["8.6"])
    assert plan.path.is_relative_to(tmp_path / "cache" / "edgevid" / "plans")
    assert plan.path.read_bytes()
    assert contents(bundle) == before


# What is refused, and that nothing changes then.


@pytest.fixture
def no_gpu(monkeypatch):
    def refuse():
        raise EngineError("there is no GPU")

    monkeypatch.setattr(module, "open_cuda", refuse)
    monkeypatch.setattr(tensorrt_module, "open_cuda", refuse)


def test_a_graph_that_is_refused_leaves_the_bundle_as_it_was(bundle):
    refused_graph(bundle)
    before = contents(bundle)
    with pytest.raises(
        BuildError, match=r"node '/head/det' \(Det\): TensorRT has no such operator"
    ):
        rebuild(bundle, RTX, ["8.6"])
    assert contents(bundle) == before


def test_one_gpu_of_two_that_cannot_be_built_for_leaves_nothing(bundle):
    before = contents(bundle)
    with pytest.raises(BuildError, match=r"cannot build for compute capability '9\.9'"):
        rebuild(bundle, RTX, ["8.6", "9.9"])
    assert contents(bundle) == before


def test_a_plan_that_does_not_read_back_is_not_kept(bundle, monkeypatch):
    def read_back(_key, _data):
        raise BuildError("the plan does not load")

    monkeypatch.setattr(module, "read_back", read_back)
    before = contents(bundle)
    with pytest.raises(BuildError, match="does not load"):
        rebuild(bundle, RTX, ["8.6"])
    assert contents(bundle) == before


def test_ctrl_c_leaves_the_bundle_as_it_was(bundle):
    def stop(*_step: object) -> None:
        raise KeyboardInterrupt

    before = contents(bundle)
    with pytest.raises(KeyboardInterrupt):
        rebuild(bundle, RTX, ["8.6"], progress=stop)
    assert contents(bundle) == before


def test_a_changed_graph_is_not_built(bundle):
    (bundle / "model.onnx").write_bytes(b"other")
    with pytest.raises(IntegrityError, match=r"model\.onnx was changed"):
        rebuild(bundle, RTX, ["8.6"])


def test_no_engine_was_asked_for(bundle):
    with pytest.raises(SpecError, match="--target onnx builds no engine"):
        rebuild(bundle, "onnx")


def test_a_dla_where_there_is_none(bundle):
    before = contents(bundle)
    with pytest.raises(BuildError, match="tensorrt-rtx has no DLA"):
        rebuild(bundle, RTX, ["8.6"], BuildOptions(dla_core=0))
    assert contents(bundle) == before


@pytest.mark.usefixtures("no_gpu")
def test_auto_without_a_gpu_says_why_and_how(bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    before = contents(bundle)
    with pytest.raises(EngineError) as caught:
        rebuild(bundle)
    assert "tensorrt: the package 'tensorrt' is not installed" in caught.value.message
    assert "tensorrt-rtx: there is no GPU" in caught.value.message
    assert "--compute-capability" in caught.value.hint
    assert contents(bundle) == before


@pytest.mark.usefixtures("no_gpu")
def test_auto_builds_for_gpus_that_are_named(bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    (plan,) = rebuild(bundle, "auto", ["8.6"])
    assert (plan.key.flavour, plan.key.compute_capability) == (RTX, "8.6")


def test_a_package_that_is_missing(bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgevid\[tensorrt\]'"):
        rebuild(bundle, "tensorrt")


def test_nowhere_to_keep_it(bundle, tmp_path):
    (bundle / "engines").write_text("")
    (tmp_path / "cache").write_text("")
    with pytest.raises(OutputError, match=r"not kept.*Free some space"):
        rebuild(bundle, RTX, ["8.6"])


# Killed at any moment.

KILLED = """
import sys
from edgevid.convert.rebuild import rebuild
print("ready", flush=True)
while True:
    rebuild(sys.argv[1], "tensorrt-rtx", ["8.6"])
    print("kept", flush=True)
"""


def test_a_kill_leaves_a_bundle_that_loads(bundle):
    """Four rebuilds in a loop, killed while they build or store; one more then finds it clean."""
    rng = random.Random(0)
    for _turn in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(bundle)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.0, 1.5))
        process.kill()
        process.communicate()
        Bundle.load(bundle).verify_all()
    (plan,) = rebuild(bundle, RTX, ["8.6"])
    loaded = Bundle.load(bundle)
    loaded.verify_all()
    assert loaded.plan(str(plan.key)) == plan.path
    assert not list(bundle.rglob(".tmp-*"))
