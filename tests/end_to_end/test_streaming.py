"""A real streaming model (MoViNet-A0-Stream, 43 states) through the real runtime.

The truth is the original graph, stepped by hand in ONNX Runtime on the frames that the
runtime chose, resized and normalised here a second time.
"""

import json
from contextlib import closing

import av
import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest

import edgevid
from edgevid.convert import convert
from edgevid.convert.quantize.settings import QuantizeSettings

PERIOD_S = 0.1


@pytest.fixture(scope="session")
def folder(data):
    return data / "models" / "movinet-a0-stream"


@pytest.fixture(scope="session")
def spec(folder):
    return {
        "labels": str(folder / "labels.txt"),
        "states": str(folder / "states.json"),
        "preset": "unit",
        "clip": {"fps": 1 / PERIOD_S},
    }


@pytest.fixture(scope="session")
def bundle(folder, spec, tmp_path_factory):
    out = tmp_path_factory.mktemp("movinet") / "movinet.edgevid"
    convert(folder / "model.onnx", out, spec=spec, precision="fp32", target="onnx")
    return edgevid.load(out)


@pytest.fixture(scope="session")
def clips(data):
    return sorted((data / "clips").glob("v_*.avi"))[:2]


def pictures_at(path, times_s):
    """`(172, 172, 3)` uint8 RGB of the frames shown at these times."""
    wanted = {round(time_s, 6) for time_s in times_s}
    pictures = {}
    with closing(edgevid.open_source(str(path))) as source:
        while (frame := source.read()) is not None:
            if round(frame.time.pts_s, 6) in wanted:
                small = cv2.resize(frame.data, (172, 172), interpolation=cv2.INTER_LINEAR)
                pictures[round(frame.time.pts_s, 6)] = small[..., ::-1]
    return [pictures[round(time_s, 6)] for time_s in times_s]


def by_hand(folder, pictures):
    """Probabilities after each picture, from the original graph and zero states."""
    session = ort.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    pairs = json.loads((folder / "states.json").read_text())
    types = {"tensor(float)": np.float32, "tensor(int32)": np.int32}
    shapes = {i.name: (i.shape, types[i.type]) for i in session.get_inputs()}
    states = {p["input"]: np.zeros(*shapes[p["input"]]) for p in pairs["states"]}
    names = [o.name for o in session.get_outputs()]
    rows = []
    for picture in pictures:
        image = picture[None, None].astype(np.float32) / 255
        values = session.run(None, {pairs["image"]: image, **states})
        outputs = dict(zip(names, values, strict=True))
        states = {p["input"]: outputs[p["output"]] for p in pairs["states"]}
        exps = np.exp(outputs[pairs["logits"]][0].astype(np.float64))
        rows.append(exps / exps.sum())
    return np.array(rows)


def answers(predictions, path):
    """Times of the frames and scores `(n, 7)` of one source."""
    mine = [p for p in predictions if p.source_id == str(path)]
    return [p.end_s for p in mine], np.array([p.scores for p in mine])


def test_the_runtime_steps_the_model_as_its_authors_would(bundle, folder, clips):
    times_s, actual = answers(edgevid.stream(bundle, clips[0]), clips[0])
    assert len(times_s) > 20
    # A frame for each tenth of a second, none farther from it than half a frame at 25 fps.
    assert np.abs(np.array(times_s) - PERIOD_S * np.arange(len(times_s))).max() <= 0.0201
    expected = by_hand(folder, pictures_at(clips[0], times_s))
    assert np.abs(actual - expected).max() <= 1e-3
    # The states matter: from zero states the last frame is answered otherwise.
    alone = by_hand(folder, pictures_at(clips[0], times_s[-1:]))
    assert np.abs(alone[0] - expected[-1]).max() > 0.05


def test_two_streams_at_once_do_not_see_each_other(bundle, folder, clips):
    predictions = list(edgevid.stream(bundle, clips))
    for path in clips:
        times_s, actual = answers(predictions, path)
        expected = by_hand(folder, pictures_at(path, times_s))
        assert np.abs(actual - expected).max() <= 1e-3


def test_a_restart_begins_anew(bundle, folder, clips, tmp_path):
    """A video with a hole of 30 s: after it the answers are those of a fresh stream."""
    times_s, _ = answers(edgevid.stream(bundle, clips[0], max_clips=12), clips[0])
    pictures = pictures_at(clips[0], times_s)
    path = tmp_path / "hole.mkv"
    write_with_hole(path, pictures, hole_after=6)
    actual = np.array([p.scores for p in edgevid.stream(bundle, path)])
    parts = [by_hand(folder, part) for part in (pictures[:6], pictures[6:])]
    assert np.abs(actual - np.concatenate(parts)).max() <= 1e-3
    assert np.abs(actual - by_hand(folder, pictures)).max() > 1e-2


def write_with_hole(path, pictures, hole_after):
    """Lossless RGB video, 10 frames a second but for the hole."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 172, 172, "bgr0"
        for i, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(picture), format="rgb24"
            ).reformat(format="bgr0")
            frame.pts = i if i < hole_after else i + 300
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_hop_is_refused(bundle, clips):
    options = edgevid.pipeline.SamplingOptions(hop_s=0.5)
    with pytest.raises(edgevid.errors.SpecError, match="takes every frame once"):
        edgevid.stream(bundle, clips[0], options=options)


def test_int8_carries_the_states_of_a_real_model_in_their_own_types(
    bundle, folder, spec, clips, tmp_path
):
    settings = QuantizeSettings(
        calib=(str(clips[0]),),
        eval=(str(clips[1]),),
        calib_clips=4,
        eval_clips=3,
        max_drop=0.5,  # so that no search follows
    )
    out = tmp_path / "auto.edgevid"
    convert(folder / "model.onnx", out, spec=spec, quantize=settings, target="onnx")
    kept = edgevid.load(out)
    assert kept.manifest.precision == "int8"
    assert kept.manifest.states == bundle.manifest.states
    graph = onnx.load(str(kept.file("model")))
    pairs = {s.input: s.output for s in kept.manifest.states}
    types = {
        v.name: v.type.tensor_type.elem_type for v in (*graph.graph.input, *graph.graph.output)
    }
    assert {types[name] for name in (*pairs, *pairs.values())} == {
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.INT32,
    }
    operators = [node.op_type for node in graph.graph.node]
    assert operators.count("QuantizeLinear") > 50
    for node in graph.graph.node:
        assert not (node.op_type == "QuantizeLinear" and node.input[0] in pairs)
    _, before = answers(edgevid.stream(bundle, clips[1]), clips[1])
    _, after = answers(edgevid.stream(kept, clips[1]), clips[1])
    agreement = (before.argmax(axis=1) == after.argmax(axis=1)).mean()
    assert agreement >= 0.9
