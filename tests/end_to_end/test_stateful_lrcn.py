"""A real CNN + LSTM over 20 frames (lrcn-ucf50), made stateful, through the real runtime."""

import itertools

import numpy as np
import pytest
from contracts import LRCN

import edgevid
from edgevid.convert import convert
from edgevid.pipeline import SamplingOptions

STREAM = "clips/stream_ucf5_concat.mp4"


@pytest.fixture(scope="module")
def stateful(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("stateful") / "lrcn.edgevid"
    model = data / "models" / "lrcn-ucf50" / "model.onnx"
    return convert(model, out, spec=LRCN, stateful=True, precision="fp32", target="onnx")


def test_says_what_it_was_made_of_and_what_changes(stateful):
    manifest = edgevid.load(stateful.bundle).manifest
    assert manifest.clip.model_dump(exclude_none=True) == {
        "num_frames": 1,
        "sampling": "interval",
        "frame_interval": 1,
        "fps": 5.0,
    }
    assert [(s.shape, s.batch_axis) for s in manifest.states] == [((1, 1, 32), 1)] * 2
    assert manifest.stepped.num_frames == 20
    assert manifest.stepped.carried_by == {"LSTM": 1}
    assert manifest.stepped.max_diff <= 1e-5
    assert 0 < manifest.stepped.later_max_abs_diff < 0.5
    [note] = [n for n in stateful.report.notes if "frame by frame" in n]
    assert "After 20 frames its scores are the window's" in note
    assert "differ by design" in note


def test_after_20_frames_it_answers_what_the_window_does(stateful, bundles, data):
    """Then it remembers more than the window, whose next answers are others."""
    video = data / STREAM
    windows = itertools.islice(
        edgevid.stream(
            edgevid.load(bundles("lrcn-ucf50", "fp32")),
            video,
            options=SamplingOptions(hop_s=0.2, window_s=4.0),
        ),
        40,
    )
    steps = list(itertools.islice(edgevid.stream(edgevid.load(stateful.bundle), video), 59))
    first, *later = windows
    assert steps[19].end_s == pytest.approx(first.end_s)
    assert np.abs(steps[19].scores - first.scores).max() <= 1e-5
    apart = [
        np.abs(step.scores - window.scores).max()
        for step, window in zip(steps[20:], later, strict=True)
    ]
    assert max(apart) > 1e-2


def test_tells_the_five_actions_of_a_stream(stateful, data):
    predictions = list(edgevid.stream(edgevid.load(stateful.bundle), data / STREAM))
    assert len(predictions) == 211
    seen = [label for label, _ in itertools.groupby(p.label for p in predictions)]
    assert seen == ["Biking", "Diving", "GolfSwing", "Biking", "Rowing", "Punch"]


class Counted:
    """Passes calls on and notes their batches."""

    def __init__(self, engine):
        self._engine = engine
        self.name, self.inputs, self.outputs = engine.name, engine.inputs, engine.outputs
        self.close = engine.close
        self.batches = []

    def infer(self, feeds):
        self.batches.append(len(feeds["clip"]))
        return self._engine.infer(feeds)


def test_three_streams_share_calls_and_see_their_own_past_alone(stateful, data):
    bundle = edgevid.load(stateful.bundle)
    videos = [*sorted((data / "clips").glob("v_*.avi"))[:2], data / STREAM]
    alone = {str(v): [p.scores for p in edgevid.stream(bundle, v, max_clips=30)] for v in videos}
    engine = Counted(edgevid.engines.open_engine(bundle, "onnxruntime"))
    together = edgevid.stream(bundle, videos, engine=engine, max_batch=3, max_wait_ms=200.0)
    seen = {str(v): [] for v in videos}
    for prediction in together:
        seen[prediction.source_id].append(prediction.scores)
    assert max(engine.batches) == 3
    assert sum(b > 1 for b in engine.batches) >= 10
    for video in map(str, videos):
        count = min(30, len(alone[video]))
        assert np.abs(np.array(seen[video][:count]) - alone[video][:count]).max() <= 1e-5
