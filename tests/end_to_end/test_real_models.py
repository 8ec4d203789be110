"""Real trained models on real clips, through decoding, sampling, resizing and the engine.

The references come from the frameworks that the models were trained in, so a right answer
proves layout, channel order, sampling and resizing at once.
"""

import itertools
import json
from contextlib import closing

import numpy as np
import pytest

import edgevid
from edgevid.engines.scripted import ScriptedEngine
from edgevid.pipeline import CaptureJob, NamedSource, Stream
from edgevid.spec import ClipSpec
from edgevid.types import TensorInfo

FP32_TOLERANCE = 0.01


def reference(data, model):
    return json.loads((data / "models" / model / "reference.json").read_text())


def only(bundle, source):
    (prediction,) = list(edgevid.stream(bundle, source))
    return prediction


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", FP32_TOLERANCE), ("fp16", 0.02)])
def test_lrcn_gives_its_reference_on_every_clip(bundles, data, precision, tolerance):
    bundle = edgevid.load(bundles("lrcn-ucf50", precision))
    answers = reference(data, "lrcn-ucf50")
    assert len(answers) == 4
    for clip, scores in answers.items():
        prediction = only(bundle, data / "clips" / clip)
        assert np.abs(prediction.scores - scores["lrcn_model2"]).max() <= tolerance
        assert prediction.label == bundle.labels[int(np.argmax(scores["lrcn_model2"]))]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_conv3d_gives_its_reference_on_every_clip(bundles, data, precision):
    bundle = edgevid.load(bundles("conv3d-ucf101", precision))
    answers = reference(data, "conv3d-ucf101")
    assert len(answers) == 7
    for clip, ranked in answers.items():
        prediction = only(bundle, data / "clips" / clip)
        assert prediction.label == ranked["leakyrelu"][0][0]
        for label, score in ranked["leakyrelu"]:
            assert abs(prediction.scores[bundle.labels.index(label)] - score) <= FP32_TOLERANCE


@pytest.fixture(scope="session")
def mobilenet_answers(data):
    """(file, frame, top-5) of each reference."""
    answers = []
    for place, top5 in next(iter(reference(data, "mobilenet-v2-imagenet").values())).items():
        path, frame = place.split("#frame")
        name = path.rsplit("/", 1)[1]
        folder = data / ("images" if path.startswith("models") else "clips")
        answers.append((folder / name, int(frame), top5))
    return answers


def frame_prediction(bundle, path, frame):
    """The answer on frame `frame` of a file, whose frames in between are skipped."""
    options = edgevid.SamplingOptions(frame_interval=max(frame, 1))
    with edgevid.stream(bundle, path, options=options) as predictions:
        return next(itertools.islice(predictions, min(frame, 1), None))


def test_mobilenet_top5_on_images_and_frames(bundles, mobilenet_answers):
    bundle = edgevid.load(bundles("mobilenet-v2-imagenet", "fp32"))
    short = [label.split(",")[0] for label in bundle.labels]
    assert len(mobilenet_answers) == 6
    for path, frame, top5 in mobilenet_answers:
        scores = frame_prediction(bundle, path, frame).scores
        best = np.sort(scores)[::-1][:5]
        assert np.abs(best - [score for _, score in top5]).max() <= FP32_TOLERANCE, path.name
        for label, score in top5:
            same_name = [float(s) for s, name in zip(scores, short, strict=True) if name == label]
            assert min(abs(s - score) for s in same_name) <= FP32_TOLERANCE, (path.name, label)


def test_mobilenet_fp16_has_the_same_top1(bundles, mobilenet_answers):
    fp32 = edgevid.load(bundles("mobilenet-v2-imagenet", "fp32"))
    fp16 = edgevid.load(bundles("mobilenet-v2-imagenet", "fp16"))
    sizes = [b.file("model").stat().st_size for b in (fp16, fp32)]
    assert sizes[0] < 0.55 * sizes[1]
    for path, frame, _ in mobilenet_answers:
        answers = [frame_prediction(b, path, frame) for b in (fp32, fp16)]
        assert answers[0].raw_label == answers[1].raw_label, path.name
        assert np.abs(answers[0].scores - answers[1].scores).max() <= 0.02


def test_the_10_fps_contract_on_a_variable_rate_file_takes_the_nearest_frames(bundles, data):
    """The 3gp has steps from 0.05 to 0.3 s; every sample must be the nearest frame in time."""
    clip = str(data / "clips" / "mp4parser_MOV00006.3gp")
    pts = []
    with closing(edgevid.open_source(clip)) as source:
        while (frame := source.read()) is not None:
            pts.append(frame.time.pts_s)
    assert max(np.diff(pts)) > 4 * min(np.diff(pts))

    bundle = edgevid.load(bundles("mobilenet-v2-imagenet", "fp32"))
    job = CaptureJob(ClipSpec(num_frames=1, fps=10.0), bundle.manifest.inputs)
    source = NamedSource("3gp", lambda: edgevid.open_source(clip))
    takes = TensorInfo("input", (None, 224, 224, 3), "uint8")
    engine = ScriptedEngine([takes], [TensorInfo("scores", (None, 1), "float32")], [[1.0]])
    chosen = [p.start_s for p in Stream(engine, ["any"], [[source]], job)]
    assert len(chosen) >= int(pts[-1] * 10)
    for k, time in enumerate(chosen):
        nearest = min(abs(p - k / 10) for p in pts)
        assert abs(time - k / 10) <= nearest + 1e-5


def test_sliding_windows_follow_five_actions_in_a_row(bundles, data):
    truth = json.loads((data / "reference" / "stream_ucf5_concat.segments.json").read_text())
    bundle = edgevid.load(bundles("lrcn-ucf50", "fp32"))
    options = edgevid.SamplingOptions(window_s=4.0, hop_s=0.8)
    clip = data / "clips" / "stream_ucf5_concat.mp4"
    stream = edgevid.stream(bundle, clip, options=options)
    right = counted = 0
    for p in stream:
        middle = (p.start_s + p.end_s) / 2 * truth["fps"]
        segment = next(s for s in truth["segments"] if s["start_frame"] <= middle < s["end_frame"])
        right += p.raw_label == segment["label"]
        counted += 1
    assert counted >= 45
    assert right / counted >= 0.8
    assert stream.summary.sources[0].frames_read == truth["num_frames"]
