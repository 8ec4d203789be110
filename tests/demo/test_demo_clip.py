"""The shipped clip shows what truth.json says, and the model sees it."""

from __future__ import annotations

import json
from typing import Any

import av
import numpy as np
import onnxruntime
import pytest

from edgevid import demo
from edgevid.benchmarks import demo_clip
from edgevid.benchmarks.demo_data import demo_spec, to_model
from edgevid.preprocess.resize import Resizer
from edgevid.sources.moving_shapes import MOTIONS


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    return dict(json.loads(demo.TRUTH.read_text()))


@pytest.fixture(scope="module")
def decoded() -> tuple[np.ndarray, np.ndarray]:
    """Presentation times in seconds and the frames, BGR."""
    times, frames = [], []
    with av.open(str(demo.CLIP)) as container:
        for frame in container.decode(video=0):
            times.append(frame.time)
            frames.append(frame.to_ndarray(format="bgr24"))
    return np.array(times), np.stack(frames)


def test_the_truth_is_what_the_script_renders(truth: dict[str, Any]) -> None:
    assert truth == demo_clip.truth()
    assert demo.CLIPS.read_text() == demo_clip.clip_list()
    assert sorted(s["label"] for s in truth["segments"]) == sorted(MOTIONS)
    ends = [s["end_s"] for s in truth["segments"]]
    assert [s["start_s"] for s in truth["segments"]] == [0, *ends[:-1]]
    assert ends[-1] == truth["frames"] / truth["fps"]


def test_the_clip_decodes_to_the_frames_that_the_truth_counts(
    truth: dict[str, Any], decoded: tuple[np.ndarray, np.ndarray]
) -> None:
    times, frames = decoded
    assert demo.CLIP.stat().st_size <= 700_000
    assert frames.shape == (truth["frames"], truth["height"], truth["width"], 3)
    assert times == pytest.approx(np.arange(truth["frames"]) / truth["fps"], abs=1e-9)


def test_the_frames_are_those_of_the_script(decoded: tuple[np.ndarray, np.ndarray]) -> None:
    for i, rendered in enumerate(demo_clip.frames()):
        if i % 50 == 0:
            difference = decoded[1][i].astype(int) - rendered
            # Half of a colour's resolution is lost, and some noise.
            assert np.abs(difference).mean() < 6


def test_windows_of_the_model_follow_the_truth(
    truth: dict[str, Any], decoded: tuple[np.ndarray, np.ndarray]
) -> None:
    times, frames = decoded
    spec = demo_spec()
    period, count = spec.clip.period_s, spec.clip.num_frames
    assert period is not None
    session = onnxruntime.InferenceSession(demo.MODEL, providers=["CPUExecutionProvider"])
    small = np.stack([Resizer(spec.inputs[0])(frame) for frame in frames])
    right = []
    for segment in truth["segments"]:
        starts = np.arange(segment["start_s"], segment["end_s"] - count * period, spec.clip.hop_s)
        for start in starts:
            instants = start + period * np.arange(count)
            nearest = np.abs(times[None] - instants[:, None]).argmin(axis=1)
            feeds = {"clip": to_model(small[nearest][None], spec.inputs[0])}
            (logits,) = session.run(["logits"], feeds)
            right.append(spec.labels[int(logits.argmax())] == segment["label"])
    assert len(right) >= 8 * 11
    assert np.mean(right) >= 0.98
