"""TensorRT-RTX plans of real trained models, converted here; the builder needs no GPU."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, numpy_helper

from edgevid.convert import convert
from edgevid.convert.rebuild import rebuild
from edgevid.engines.plan_summary import plan_summary
from edgevid.engines.plans import PlanKey
from edgevid.manifest import Bundle

pytest.importorskip("tensorrt_rtx", reason="pip install 'edgevid[tensorrt-rtx]'")

MODELS = Path(__file__).parents[2] / ".." / "shared" / "data" / "models"
CLIP = {"sampling": "uniform", "window_s": 4.0}
SPECS = {
    "mobilenet-v2-imagenet": {"clip": {}},
    "lrcn-ucf50": {"clip": CLIP | {"num_frames": 20}},
    "conv3d-ucf101": {"clip": CLIP | {"num_frames": 2}},
}

pytestmark = pytest.mark.skipif(not MODELS.is_dir(), reason="the shared test data is not here")


@pytest.fixture(scope="module")
def converted(tmp_path_factory) -> dict[tuple[str, str], Bundle]:
    """Every model in both precisions, each with a plan for compute capability 8.6."""
    folder = tmp_path_factory.mktemp("rtx")
    bundles = {}
    for name, spec in SPECS.items():
        for precision in ("fp32", "fp16"):
            out = folder / f"{name}-{precision}.edgevid"
            convert(
                MODELS / name / "model.onnx",
                out,
                spec=spec,
                preset="unit",
                precision=precision,
                target="tensorrt-rtx",
                compute_capabilities=["8.6"],
                streaming="off",
            )
            bundles[name, precision] = Bundle.load(out)
    return bundles


def plan_of(bundle: Bundle) -> tuple[PlanKey, bytes]:
    (artifact,) = (a for a in bundle.manifest.artifacts if a.kind == "plan")
    path = bundle.plan(artifact.key)
    assert path is not None
    return PlanKey.parse(artifact.key), path.read_bytes()


def weights_of(bundle: Bundle) -> dict[str, int]:
    """Bytes of the graph's own constants, by type."""
    sizes = {"float": 0, "half": 0}
    for tensor in onnx.load(bundle.file("model")).graph.initializer:
        kind = {TensorProto.FLOAT: "float", TensorProto.FLOAT16: "half"}.get(tensor.data_type)
        if kind is not None:
            sizes[kind] += numpy_helper.to_array(tensor).nbytes
    return sizes


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("name", SPECS)
def test_the_plan_holds_the_weights_in_the_graphs_precision(converted, name, precision):
    """FP16 weights stand in the plan as FP16, those that must stay FP32 as FP32."""
    bundle = converted[name, precision]
    key, plan = plan_of(bundle)
    assert (key.flavour, key.compute_capability, key.precision, key.max_batch) == (
        "tensorrt-rtx",
        "8.6",
        precision,
        4,
    )
    summary = plan_summary(plan)
    held = {
        "float": summary.float_constants.nbytes,
        "half": summary.half_constants.nbytes,
    }
    for kind, size in weights_of(bundle).items():
        assert held[kind] == pytest.approx(size, rel=0.05, abs=4096)
    assert (held["half"] > 100_000) is (precision == "fp16")
    assert held["float"] + held["half"] > 190_000
    assert summary.int8_constants.count == 0
    assert summary.doubt(precision) == ""
    nodes = {node.name for node in onnx.load(bundle.file("model")).graph.node}
    assert len(nodes & set(summary.layer_names)) >= len(nodes) // 2


def tensors(plan: bytes, name: str) -> set[tuple[tuple[int, ...], str]]:
    """(shape after the free batch, type) of an input or output, as the plan writes it."""
    line = rb'dims=\{ "[^"]+" ([\d ]*)\}[^\n]* name="' + name.encode() + rb'\.\d+"[^\n]* type=(\w+)'
    return {
        (tuple(int(d) for d in dims.split()), kind.decode())
        for dims, kind in re.findall(line, plan)
    }


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("name", SPECS)
def test_the_plan_takes_bytes_and_gives_floats(converted, name, precision):
    """Preprocessing and softmax are inside: uint8 frames in, FP32 scores out, batch free."""
    bundle = converted[name, precision]
    _, plan = plan_of(bundle)
    frames = bundle.manifest.inputs[0]
    output = onnx.load(bundle.file("model")).graph.output[0].name
    time = (bundle.manifest.clip.num_frames,) if frames.is_clip else ()
    assert tensors(plan, frames.name) == {((*time, *frames.size, 3), "uint8")}
    assert tensors(plan, output) == {((len(bundle.labels),), "float")}


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_each_part_of_a_split_model_has_its_plan(tmp_path, precision):
    """The backbone takes 1 to T frames, the head 1 to 4 windows of features."""
    out = tmp_path / "lrcn.edgevid"
    convert(
        MODELS / "lrcn-ucf50" / "model.onnx",
        out,
        spec=SPECS["lrcn-ucf50"],
        preset="unit",
        precision=precision,
        target="tensorrt-rtx",
        compute_capabilities=["8.6"],
        reference=False,
    )
    bundle = Bundle.load(out)
    bundle.verify_all()
    plans = {a.stage: a for a in bundle.manifest.artifacts if a.kind == "plan"}
    keys = {stage: PlanKey.parse(a.key) for stage, a in plans.items()}
    assert {stage: (k.min_batch, k.max_batch) for stage, k in keys.items()} == {
        "backbone": (1, 20),
        "head": (1, 4),
    }
    graphs = {a.stage: a for a in bundle.manifest.models}
    assert all(graphs[s].sha256.startswith(k.model_hash) for s, k in keys.items())
    kind = "half" if precision == "fp16" else "float"
    backbone, head = (bundle.read_plan(str(keys[s])) for s in ("backbone", "head"))
    assert tensors(backbone, "clip") == {((128, 128, 3), "uint8")}
    assert tensors(backbone, "features") == {((256,), kind)}
    assert tensors(head, "features") == {((20, 256), kind)}
    assert tensors(head, "scores") == {((5,), "float")}
    built = rebuild(out, "tensorrt-rtx", ["8.9"], notify=lambda _: None)
    assert [plan.key.max_batch for plan in built] == [20, 4]
    Bundle.load(out).verify_all()
    stages = [a.stage for a in Bundle.load(out).manifest.artifacts if a.kind == "plan"]
    assert sorted(stages) == ["backbone", "backbone", "head", "head"]
