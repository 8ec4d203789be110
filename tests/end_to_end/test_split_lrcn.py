"""A real CNN + LSTM, split: the same answers for a fraction of the work."""

import numpy as np
import pytest
from contracts import LRCN

import edgevid
from edgevid.benchmarks.streaming import slide
from edgevid.convert import convert


@pytest.fixture(scope="module")
def pair(data, tmp_path_factory):
    """The model split, and whole."""
    folder = tmp_path_factory.mktemp("lrcn")
    model = data / "models" / "lrcn-ucf50" / "model.onnx"
    bundles = []
    for streaming in ("auto", "off"):
        out = folder / f"{streaming}.edgevid"
        convert(model, out, spec=LRCN, target="onnx", streaming=streaming)
        bundles.append(edgevid.load(out))
    return bundles


def test_sliding_windows_have_the_same_labels_for_a_twelfth_of_the_work(pair, data):
    clip = data / "clips" / "stream_ucf5_concat.mp4"
    split, whole = (slide(bundle, clip, window_s=4.0, duration_s=12.0) for bundle in pair)
    assert len(split.labels) >= 40
    assert len(set(split.labels)) >= 2
    assert split.labels == whole.labels
    assert np.abs(split.scores - whole.scores).max() <= 1e-5
    assert whole.frames_computed == 20 * len(whole.labels)
    assert whole.frames_computed >= 12 * split.frames_computed


def test_whole_files_have_the_same_scores(pair, data):
    clips = sorted((data / "clips").glob("v_*.avi"))[:4]
    assert len(clips) == 4
    for clip in clips:
        (split,), (whole,) = (list(edgevid.stream(bundle, clip)) for bundle in pair)
        assert np.abs(split.scores - whole.scores).max() <= 1e-5, clip.name
