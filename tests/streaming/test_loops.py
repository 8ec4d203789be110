"""Models that take frames one by one, in a loop or in copies, split as those that fold them."""

import io
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from clip_nets import SIZE, Clip, Recurrent, Unrolled, clips, nn, torch
from loop_nets import (
    COUNTED,
    SCANS,
    SPEC,
    Apart,
    Cell,
    Feedback,
    Filled,
    Loop,
    Stopped,
    Summed,
    T,
    by_hand,
    scripted,
)

import edgevid
from edgevid.benchmarks.streaming import slide
from edgevid.convert import convert
from edgevid.convert.graph import rename
from edgevid.convert.session import Session
from edgevid.convert.streaming.split import run_pair
from edgevid.manifest import Bundle

DEMO = Path(edgevid.__file__).parent / "demo" / "demo.mp4"


def loops_in(model):
    return [n.op_type for n in model.graph.node if n.op_type in ("Loop", "Scan")]


def require_equal_split(path, tmp_path, **options):
    """Convert, and compare with the model as it came; gives the notes."""
    assert loops_in(onnx.load(path)) or "copies" in options.pop("of", "")
    result = convert(path, tmp_path / "net.edgevid", spec=SPEC, target="onnx", **options)
    parts = [onnx.load(result.bundle / f"{name}.onnx") for name in ("backbone", "head")]
    assert not any(loops_in(part) for part in parts)
    backbone, head = map(Session, parts)
    original = Session(onnx.load(path))
    (name,) = (value.name for value in onnx.load(path).graph.input)
    for window in clips(T):
        pixels = window["clip"][..., ::-1].transpose(0, 1, 4, 2, 3).astype(np.float32) / 255
        scores = np.exp(original.run({name: pixels})[original.output_names[0]])
        scores /= scores.sum()
        got = run_pair(backbone, head, {name: window["clip"]}, together=False)
        assert np.abs(got - scores).max() / scores.max() <= 1e-5
    return result.report.notes


@pytest.mark.parametrize("make", [Loop, Filled, Summed, Cell], ids=lambda make: make.__name__)
def test_a_loop_of_a_script_becomes_a_backbone(tmp_path, make):
    notes = require_equal_split(scripted(make(), tmp_path), tmp_path)
    assert any("stood in turns of Loop '/Loop', take all 5 frames" in note for note in notes)


@pytest.mark.parametrize("text", [*SCANS.values(), COUNTED], ids=[*SCANS, "counted"])
def test_a_scan_or_a_loop_that_counts_becomes_a_backbone(tmp_path, text):
    path = tmp_path / "net.onnx"
    onnx.save(by_hand(text), path)
    require_equal_split(path, tmp_path)


def test_a_loop_may_be_made_stateful(tmp_path):
    result = convert(
        scripted(Cell(), tmp_path), tmp_path / "net.edgevid", spec=SPEC, target="onnx",
        stateful=True,
    )  # fmt: skip
    stepped = Bundle.load(result.bundle).manifest.stepped
    assert stepped.carried_by == {"cell state": 2}
    assert stepped.max_diff <= 1e-5


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Feedback, "Loop '/Loop' stays a loop: no layer sees each frame alone"),
        (Stopped, "Loop '/Loop' stays a loop: it takes as many turns as the frames say"),
    ],
)
def test_a_loop_whose_turns_need_each_other_stays_one(tmp_path, make, reason):
    path = scripted(make(), tmp_path)
    result = convert(path, tmp_path / "net.edgevid", spec=SPEC, target="onnx")
    assert loops_in(onnx.load(result.bundle / "model.onnx")) == ["Loop"]
    assert any(reason in note for note in result.report.notes)
    assert any("Not split for streams: " in note for note in result.report.notes)


def test_a_loop_over_some_of_the_frames_stays_one(tmp_path):
    model = by_hand(COUNTED)
    (length,) = (w for w in model.graph.initializer if w.name == "length")
    length.CopyFrom(onnx.numpy_helper.from_array(np.array(3, np.int64), "length"))
    onnx.save(model, tmp_path / "net.onnx")
    result = convert(tmp_path / "net.onnx", tmp_path / "net.edgevid", spec=SPEC, target="onnx")
    assert any("it takes 3 turns, not one for each frame" in n for n in result.report.notes)


def traced(net, path):
    torch.manual_seed(0)
    file = io.BytesIO()
    names = {"input_names": ["clip"], "output_names": ["logits"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net.eval(), (torch.rand(1, T, 3, SIZE, SIZE),), file, dynamo=False,
            dynamic_axes={"clip": {0: "n"}, "logits": {0: "n"}}, **names,
        )  # fmt: skip
    path.write_bytes(file.getvalue())
    return path


def test_copies_become_one_backbone(tmp_path):
    path = traced(Unrolled(Recurrent(nn.GRU)), tmp_path / "net.onnx")
    notes = require_equal_split(path, tmp_path, of="copies")
    assert any("stood in 5 copies, take all 5 frames in one batch" in note for note in notes)


def test_copies_with_weights_of_their_own_stay(tmp_path):
    result = convert(
        traced(Apart(), tmp_path / "net.onnx"), tmp_path / "net.edgevid", spec=SPEC, target="onnx"
    )
    (note,) = [note for note in result.report.notes if "streams" in note]
    assert "frames go through layers of their own: what Conv '/frames.0/" in note


def test_a_tensor_called_features_is_in_no_ones_way(tmp_path):
    model = onnx.load(traced(Clip(Recurrent(nn.LSTM)), tmp_path / "net.onnx"))
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    rename(model.graph, {str(conv.output[0]): "features"})
    onnx.save(model, tmp_path / "net.onnx")
    require_equal_split(tmp_path / "net.onnx", tmp_path, of="no copies")


def test_a_stream_computes_each_frame_once(tmp_path):
    path = scripted(Cell(), tmp_path)
    runs = []
    for streaming in ("auto", "off"):
        out = tmp_path / streaming
        convert(path, out, spec=SPEC, target="onnx", streaming=streaming)
        runs.append(slide(edgevid.load(out), DEMO, window_s=None, duration_s=2.0))
    split, whole = runs
    assert len(split.labels) == len(whole.labels) >= 10
    assert split.frames_computed == len(split.labels) + T - 1
    assert whole.frames_computed == len(whole.labels) * T
    assert split.labels == whole.labels
    assert np.abs(split.scores - whole.scores).max() <= 1e-5
