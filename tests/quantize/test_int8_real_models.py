"""Real trained models in INT8, on real frames that their ranges were not taken from."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from hand_made import constants, sqnr_db

from edgevid.convert import convert
from edgevid.convert.graph import PREFIX, SCORES
from edgevid.convert.quantize.half_rest import to_fp16
from edgevid.convert.quantize.insert import insert_qdq
from edgevid.convert.quantize.placement import plan_placement
from edgevid.convert.quantize.prepare import prepare
from edgevid.convert.quantize.ranges import collect_ranges
from edgevid.convert.session import Session
from edgevid.engines.tensorrt_build import build_plan
from edgevid.manifest import Bundle
from edgevid.preprocess import Resizer
from edgevid.sources import open_source
from edgevid.spec import InputSpec

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
STRETCH = {"resize": "stretch", "crop": "full", "mean": [0.0] * 3, "std": [1.0] * 3, "scale": 1.0}
CLIPS = {"sampling": "uniform", "window_s": 4.0}
LRCN = {
    "labels": ["Biking", "Diving", "GolfSwing", "Punch", "Rowing"],
    "clip": {"num_frames": 20, **CLIPS},
    "inputs": [
        {"name": "clip", "layout": "NTCHW", "size": [128, 128], "color": "bgr", **STRETCH}
        | {"scale": 1 / 255}
    ],
}
CONV3D = {
    "clip": {"num_frames": 2, **CLIPS},
    "inputs": [{"name": "clip", "layout": "NTCHW", "size": [32, 32], "color": "bgr", **STRETCH}],
}
MOBILENET = {
    "inputs": [
        {"name": "input", "layout": "NCHW", "size": [224, 224], "color": "rgb", **STRETCH}
        | {"mean": [128.0] * 3, "std": [128.0] * 3}
    ],
}
KINDS = (".avi", ".mkv", ".mov", ".mp4", ".webm")

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the shared test data is not here")


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """The FP32 graph of a model, and its input's contract."""
    folder = tmp_path_factory.mktemp("fp32")

    def make(name: str, spec: dict) -> tuple[onnx.ModelProto, InputSpec]:
        out = folder / f"{name}.edgevid"
        model = DATA / "models" / name / "model.onnx"
        convert(model, out, spec=spec, target="onnx", streaming="off")
        bundle = Bundle.load(out)
        graph = onnx.load(str(bundle.file("model")))
        return prepare(graph), bundle.manifest.inputs[0]

    return make


def frames(video: Path, chosen: Sequence[int], spec: InputSpec) -> np.ndarray:
    """`(len(chosen), H, W, 3)`: those frames of the video, as the runtime resizes them."""
    resizer, found = Resizer(spec), {}
    source = open_source(str(video))
    wanted = set(chosen)
    while wanted - set(found):
        frame = source.read(lambda time: time.index in wanted)
        if frame is None:
            break
        found[frame.time.index] = resizer(frame.data).copy()
    source.close()
    return np.stack([found[i] for i in chosen if i in found])


def count(video: Path) -> int:
    """How many frames decode."""
    source = open_source(str(video))
    while source.read(lambda time: False) is not None:  # noqa: ARG005 - the shape of WantFrame
        pass
    number = source.stats.frames_read
    source.close()
    return number


def clip(video: Path, spec: InputSpec, num_frames: int) -> dict[str, np.ndarray]:
    """The window that a `uniform` contract draws from a file."""
    step = max(count(video) // num_frames, 1)
    window = frames(video, [i * step for i in range(num_frames)], spec)
    return {spec.name: window[None]}


def videos() -> list[Path]:
    return sorted(p for p in (DATA / "clips").iterdir() if p.suffix in KINDS)


def quantize(model, feeds, method="mse"):
    placement = plan_placement(model)
    ranges = collect_ranges(model, placement.tensors, feeds, method)
    int8 = insert_qdq(model, placement, ranges)
    onnx.checker.check_model(int8, full_check=True)
    return int8, placement


@pytest.fixture(scope="module")
def mobilenet(converted):
    """FP32, INT8, its placement, and frames of the videos that it was not calibrated on."""
    labels = str(DATA / "models/mobilenet-v2-imagenet/labels.txt")
    model, spec = converted("mobilenet-v2-imagenet", MOBILENET | {"labels": labels})
    drawn = [frames(video, range(0, 120, 12), spec) for video in videos()]
    calibration = np.concatenate(drawn[::2])[::3]
    held_out = [{spec.name: frame[None]} for frame in np.concatenate(drawn[1::2])]
    int8, placement = quantize(model, [{spec.name: frame[None]} for frame in calibration])
    return model, int8, placement, held_out


def test_mobilenet_agrees_with_fp32(mobilenet):
    """All 36 pointwise convolutions in INT8: 91 to 96 % by the frames chosen, 25 dB."""
    model, int8, _, held_out = mobilenet
    assert len(held_out) >= 100
    expected, scores = (Session(m).run_each(held_out, SCORES) for m in (model, int8))
    agreement = (expected.argmax(1) == scores.argmax(1)).mean()
    print(f"top-1 agreement {agreement:.3f} on {len(held_out)} frames")
    assert agreement >= 0.9
    sure = expected.max(axis=1) > 0.3
    assert (expected.argmax(1) == scores.argmax(1))[sure].mean() >= 0.95
    logits = [np.log(np.maximum(s, 1e-9)) for s in (expected, scores)]
    assert sqnr_db(logits[0], logits[1]) > 20


def test_mobilenet_is_a_third_of_its_size(mobilenet):
    _, int8, placement, _ = mobilenet
    assert int8.ByteSize() <= 4.2e6
    assert len(placement.groups) == 36
    reasons = list(placement.left_alone.values())
    assert sum("depthwise" in reason for reason in reasons) == 17


def test_mobilenet_with_fp16_for_the_rest(mobilenet):
    model, int8, _, held_out = mobilenet
    keep = {n.name for n in int8.graph.node if n.name.startswith(PREFIX) or SCORES in n.output}
    half = to_fp16(int8, keep)
    assert half.ByteSize() < int8.ByteSize()
    some = held_out[::8]
    expected, scores = (np.log(Session(m).run_each(some, SCORES) + 1e-9) for m in (model, half))
    assert sqnr_db(expected, scores) > 20


def reference(name: str, key: str) -> dict[str, list]:
    answers = json.loads((DATA / "models" / name / "reference.json").read_text())
    return {video: ranked[key] for video, ranked in answers.items()}


def test_lrcn_keeps_the_label_of_every_reference_clip(converted):
    model, spec = converted("lrcn-ucf50", LRCN)
    answers = reference("lrcn-ucf50", "lrcn_model2")
    others = [v for v in videos() if v.name.startswith("v_") and v.name not in answers]
    int8, placement = quantize(model, [clip(video, spec, 20) for video in others])
    assert [g.op_type for g in placement.groups] == ["Conv"] * 4 + ["Gemm"]
    assert any("recurrent" in reason for reason in placement.left_alone.values())
    for video, scores in answers.items():
        found = Session(int8).run(clip(DATA / "clips" / video, spec, 20))[SCORES][0]
        assert found.argmax() == int(np.argmax(scores)), video


def test_conv3d_keeps_the_label_of_every_reference_clip(converted):
    labels = (DATA / "models/conv3d-ucf101/labels.txt").read_text().split()
    model, spec = converted("conv3d-ucf101", CONV3D | {"labels": [*labels, "unnamed"]})
    answers = reference("conv3d-ucf101", "leakyrelu")
    others = [v for v in videos() if v.name not in answers]
    int8, placement = quantize(model, [clip(video, spec, 2) for video in others])
    assert len(placement.groups) == 8
    for video, ranked in answers.items():
        found = Session(int8).run(clip(DATA / "clips" / video, spec, 2))[SCORES][0]
        assert labels[found.argmax()] == ranked[0][0], video


def test_mobilenet_becomes_an_int8_plan(mobilenet, tmp_path):
    pytest.importorskip("tensorrt_rtx", reason="pip install 'edgevid[tensorrt-rtx]'")
    _, int8, _, _ = mobilenet
    path = tmp_path / "model.onnx"
    path.write_bytes(int8.SerializeToString())
    plan = build_plan(path, "tensorrt-rtx", "8.6", precision="int8").data
    stored = sum(v.nbytes for v in constants(int8).values() if v.ndim == 4 and v.dtype == np.int8)
    sizes = re.findall(rb"const_payload_size=(\d+)[^\n]* type=int8 \}", plan)
    assert sum(map(int, sizes)) == pytest.approx(stored, rel=0.01)
