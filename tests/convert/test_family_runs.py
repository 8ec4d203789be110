"""A model of each family, converted and run on the demo clip, answers as NumPy does.

The expected inputs are put together here a second time, from decoded frames, OpenCV's resize
and OpenCV's flow, by frame numbers that are written out.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from made_models import probe, probe_scores

import edgevid
from edgevid.convert import convert
from edgevid.errors import SourceError, SpecError
from edgevid.manifest import Bundle
from edgevid.pipeline import SamplingOptions
from edgevid.sources import open_source

FPS = 25.0
SIZE = (64, 96)
DEMO = str(resources.files("edgevid.demo") / "demo.mp4")


@pytest.fixture(scope="module")
def frames() -> list[Any]:
    """The first frames of the demo clip, BGR."""
    source = open_source(DEMO)
    try:
        assert source.info.fps == FPS
        read = []
        while len(read) < 70 and (frame := source.read(lambda _: True)) is not None:
            read.append(frame.data)
    finally:
        source.close()
    return read


def resized(frame: Any, size: tuple[int, int] = SIZE) -> Any:
    return cv2.resize(frame, (size[1], size[0]))


def rgb(frame: Any, size: tuple[int, int] = SIZE) -> Any:
    """`(3, H, W)` in [0, 1]."""
    return resized(frame, size)[..., ::-1].transpose(2, 0, 1).astype("f8") / 255


def flow(first: Any, second: Any) -> Any:
    """`(2, H, W)` in pixels, through bytes."""
    pair = [cv2.cvtColor(resized(f), cv2.COLOR_BGR2GRAY) for f in (first, second)]
    field = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(*pair, None)
    # In float32, as the runtime: no motion lies on the edge between 127 and 128.
    bytes_ = np.round((field.clip(-20, 20) + 20) * np.float32(255 / 40)).astype("f8")
    return (bytes_ * 40 / 255 - 20).transpose(2, 0, 1)


RGB: dict[str, Any] = {"scale": 1 / 255, "mean": [0, 0, 0], "std": [1, 1, 1], "resize": "stretch"}
FLOW: dict[str, Any] = {"scale": 1.0, "resize": "stretch", "modality": "flow"}


class Case:
    """One family: shapes of the inputs, spec, and what a window from a frame on is fed.

    Attributes:
        step: Frames of the file from one window's start to the next.
    """

    def __init__(
        self,
        shapes: dict[str, tuple[int, ...]],
        clip: dict[str, Any],
        inputs: list[dict[str, Any]],
        feed: Callable[[list[Any], int], dict[str, Any]],
    ) -> None:
        self.shapes, self.feed = shapes, feed
        self.spec = {"clip": {"fps": FPS, **clip}, "inputs": inputs}
        self.step = round(clip["hop_s"] * FPS)


def stack(parts: list[Any]) -> Any:
    return np.concatenate(parts)


H, W = SIZE
CASES = {
    "early fusion": Case(
        {"x": (12, H, W)},
        {"hop_s": 0.4, "frame_interval": 2},
        [{"layout": "N(TC)HW", **RGB}],
        lambda f, s: {"x": stack([rgb(f[s + i]) for i in (0, 2, 4, 6)])},
    ),
    "late fusion, one input": Case(
        {"x": (2, 3, H, W)},
        {"num_frames": 16, "hop_s": 0.4},
        [{"frames": "pair", **RGB}],
        lambda f, s: {"x": np.stack([rgb(f[s]), rgb(f[s + 15])])},
    ),
    "late fusion, two inputs": Case(
        {"old": (3, H, W), "new": (3, H, W)},
        {"num_frames": 2, "frame_interval": 15, "hop_s": 0.6},
        [{"name": "old", "frames": "first", **RGB}, {"name": "new", "frames": "last", **RGB}],
        lambda f, s: {"old": rgb(f[s]), "new": rgb(f[s + 15])},
    ),
    "SlowFast": Case(
        {"slow": (3, 2, H, W), "fast": (3, 8, H, W)},
        {"hop_s": 0.4},
        [{"name": "slow", **RGB}, {"name": "fast", **RGB}],
        lambda f, s: {
            "slow": np.stack([rgb(f[s]), rgb(f[s + 4])], axis=1),
            "fast": np.stack([rgb(f[s + i]) for i in range(8)], axis=1),
        },
    ),
    "context and fovea": Case(
        {"context": (3, H, W), "fovea": (3, 32, 30)},
        {"hop_s": 0.4},
        [{"name": "context", **RGB}, {"name": "fovea", "crop": "fovea", **RGB, "resize": "none"}],
        lambda f, s: {
            "context": rgb(f[s]),
            "fovea": rgb(
                f[s][round((len(f[s]) - 32) / 2) :, round((f[s].shape[1] - 30) / 2) :][:32, :30],
                (32, 30),
            ),
        },
    ),
    "frame differences": Case(
        {"x": (3, 4, H, W)},
        {"hop_s": 0.4, "frame_interval": 2},
        [{"modality": "rgb_diff", **RGB}],
        lambda f, s: {
            "x": np.stack([rgb(f[s + i + 2]) - rgb(f[s + i]) for i in (0, 2, 4, 6)], axis=1)
        },
    ),
    "flow stack between samples": Case(
        {"x": (10, H, W)},
        {"hop_s": 0.4, "frame_interval": 2},
        [FLOW],
        lambda f, s: {"x": stack([flow(f[s + i], f[s + i + 2]) for i in (0, 2, 4, 6, 8)])},
    ),
    "flow clip to the next frame": Case(
        {"x": (2, 3, H, W)},
        {"hop_s": 0.64, "frame_interval": 4},
        [{"layout": "NCTHW", "flow_interval": 1, **FLOW}],
        lambda f, s: {"x": np.stack([flow(f[s + i], f[s + i + 1]) for i in (0, 4, 8)], axis=1)},
    ),
    "two streams": Case(
        {"rgb": (3, H, W), "flow": (8, H, W)},
        {"hop_s": 0.4},
        [{"name": "rgb", "frames": "first", **RGB}, {"name": "flow", **FLOW}],
        lambda f, s: {
            "rgb": rgb(f[s]),
            "flow": stack([flow(f[s + i], f[s + i + 1]) for i in range(4)]),
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_family_answers_as_numpy_does(
    tmp_path: Path, frames: list[Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    case = CASES[name]
    model = probe(tmp_path / "m.onnx", case.shapes, gain=2.0)
    convert(model, spec=case.spec, target="onnx")
    predictions = list(edgevid.stream("m.edgevid", DEMO, max_clips=4, threads=1))
    assert len(predictions) == 4
    answers = []
    for prediction in predictions:
        start = round(prediction.start_s * FPS)
        assert start == prediction.index * case.step
        feed = {n: x[np.newaxis] for n, x in case.feed(frames, start).items()}
        answers.append(probe_scores(model, feed))
        assert prediction.scores == pytest.approx(answers[-1], abs=1e-4)
    assert np.ptp(answers, axis=0).max() > 1e-3, "the windows do not differ"
    # The parity that convert measured is over real flow and real foveae as well.
    parity = Bundle.load("m.edgevid").manifest.parity
    assert parity is not None
    assert parity.max_abs_diff < 1e-4
    assert parity.clips >= 4


def bundle_of(folder: Path, shapes: dict[str, tuple[int, ...]], spec: dict[str, Any]) -> Path:
    model = probe(folder / "m.onnx", shapes)
    convert(model, folder / "m.edgevid", spec=spec, target="onnx")
    return folder / "m.edgevid"


def test_a_fovea_larger_than_the_frame_is_one_error_at_run_time(tmp_path: Path) -> None:
    spec = {"inputs": [{"crop": "fovea", "scale": 1.0, "mean": [0, 0, 0], "std": [1, 1, 1]}]}
    # The demo clip is 384x288: its frames are enlarged to compare the graphs on.
    bundle = bundle_of(tmp_path, {"fovea": (3, 300, 390)}, spec)
    with pytest.raises(SourceError) as caught:
        list(edgevid.stream(bundle, DEMO))
    assert str(caught.value) == (
        f"{DEMO}: its picture is 384x288, and the fovea of input 'fovea' takes the centre "
        "390x300. Use a source with larger pictures"
    )
    assert list(edgevid.stream(bundle, "synthetic:?seconds=0.2&size=400x300"))


def test_a_video_smaller_than_the_fovea_is_told_by_convert(tmp_path: Path) -> None:
    model = probe(tmp_path / "m.onnx", {"fovea": (3, 300, 390)})
    spec = {"inputs": [{"crop": "fovea"}]}
    with pytest.raises(SourceError, match=r"demo.mp4: its picture is 384x288, and the fovea"):
        convert(model, tmp_path / "m.edgevid", spec=spec, frames=[Path(DEMO)], target="onnx")
    assert not (tmp_path / "m.edgevid").exists()


@pytest.mark.parametrize("interval", [{}, {"flow_interval": 1}])
def test_flow_of_a_still_image_is_one_error(tmp_path: Path, interval: dict[str, int]) -> None:
    still = tmp_path / "still.png"
    cv2.imwrite(str(still), np.zeros((64, 64, 3), np.uint8))
    depth = 2 + len(interval)
    spec = {
        "clip": {"fps": FPS, "num_frames": 3},
        "inputs": [{"layout": "N(TC)HW", "resize": "stretch", **interval}],
    }
    bundle = bundle_of(tmp_path, {"motion": (2 * depth, H, W)}, spec)
    with pytest.raises(SourceError) as caught:
        list(edgevid.stream(bundle, str(still)))
    assert str(caught.value) == (
        f"{still} is a single picture, and input 'motion' of the model takes optical flow, which "
        "needs two frames at least. Give a video"
    )


def test_a_video_too_short_for_a_window_stands_still_at_its_end(tmp_path: Path) -> None:
    spec = {"clip": {"fps": FPS, "hop_s": 0.2}, "inputs": [FLOW]}
    bundle = bundle_of(tmp_path, {"x": (20, H, W)}, spec)
    source = "synthetic:?seconds=0.2&motions=left&fps=25"
    [prediction] = edgevid.stream(bundle, source)
    assert prediction.padded == 6
    read = []
    opened = open_source(source)
    while (frame := opened.read(lambda _: True)) is not None:
        read.append(frame.data)
    opened.close()
    assert len(read) == 5
    fields = [flow(read[i], read[i + 1]) for i in range(4)]
    still = np.full((2, H, W), 128 * 40 / 255 - 20)
    expected = probe_scores(tmp_path / "m.onnx", {"x": stack([*fields, *[still] * 6])[np.newaxis]})
    assert prediction.scores == pytest.approx(expected, abs=1e-4)


def test_alpha_that_does_not_divide_the_window(tmp_path: Path) -> None:
    model = probe(tmp_path / "m.onnx", {"slow": (3, 5, H, W), "fast": (3, 16, H, W)})
    with pytest.raises(SpecError, match=r"'slow' takes 5 frame\(s\), which does not divide .* 16"):
        convert(model, tmp_path / "m.edgevid", target="onnx")
    slow = {"name": "slow", "every": 3}
    with pytest.raises(SpecError, match="every 3 does not divide num_frames 16"):
        convert(model, tmp_path / "m.edgevid", spec={"inputs": [slow]}, target="onnx")
    assert not (tmp_path / "m.edgevid").exists()


def test_a_stride_below_the_flow_interval_is_refused(tmp_path: Path) -> None:
    fields = {"layout": "N(TC)HW", "flow_interval": 3, **FLOW}
    spec = {"clip": {"fps": FPS, "frame_interval": 4}, "inputs": [fields]}
    bundle = bundle_of(tmp_path, {"x": (6, H, W)}, spec)
    with pytest.raises(SpecError, match=r"--stride 2 is shorter .* of the model, 3\. Give"):
        edgevid.stream(bundle, DEMO, options=SamplingOptions(frame_interval=2))
    assert list(
        edgevid.stream(bundle, DEMO, options=SamplingOptions(frame_interval=3), max_clips=1)
    )


def test_flow_of_a_live_source(tmp_path: Path) -> None:
    fields = {"layout": "N(TC)HW", "flow_interval": 1, **FLOW}
    spec = {"clip": {"fps": FPS, "frame_interval": 2, "hop_s": 0.16}, "inputs": [fields]}
    bundle = bundle_of(tmp_path, {"x": (6, H, W)}, spec)
    source = "synthetic:?seconds=1&motions=left&fps=25&live=1"
    predictions = list(edgevid.stream(bundle, source))
    assert len(predictions) >= 3
    starts = [p.start_s for p in predictions]
    assert starts == sorted(starts)
    assert all(p.end_s - p.start_s == pytest.approx(0.16, abs=0.05) for p in predictions)
    # From the arrival of the last field's second frame on.
    assert all(0 <= p.timings.queue_ms < p.timings.total_ms for p in predictions)


def test_flow_computed_otherwise_than_the_contract_says(tmp_path: Path) -> None:
    spec = {"clip": {"fps": FPS, "hop_s": 0.4}, "inputs": [FLOW]}
    bundle = bundle_of(tmp_path, {"x": (8, H, W)}, spec)
    answers = {
        method: [p.scores for p in edgevid.stream(bundle, DEMO, flow_method=method, max_clips=2)]
        for method in (None, "dis-fast", "farneback")
    }
    assert np.array_equal(answers[None], answers["dis-fast"])
    assert np.abs(np.array(answers[None]) - answers["farneback"]).max() > 1e-4
    with pytest.raises(SpecError, match=r"--flow: flow_method: .*got 'tvl1'"):
        edgevid.stream(bundle, DEMO, flow_method="tvl1")


def test_a_flow_method_for_a_model_without_flow(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, {"x": (3, H, W)}, {"inputs": [RGB]})
    with pytest.raises(SpecError, match="--flow does not apply: this model takes no optical flow"):
        edgevid.stream(bundle, DEMO, flow_method="farneback")


@pytest.mark.parametrize("sampling", ["uniform", "segments"])
def test_two_streams_over_a_whole_file(tmp_path: Path, sampling: str) -> None:
    spec = {
        "clip": {"sampling": sampling},
        "inputs": [
            {"name": "rgb", "layout": "NTCHW", **RGB},
            {"name": "flow", "flow_interval": 1, **FLOW},
        ],
    }
    bundle = bundle_of(tmp_path, {"rgb": (4, 3, H, W), "flow": (8, H, W)}, spec)
    source = "synthetic:?seconds=2&motions=left&fps=25"
    [prediction] = edgevid.stream(bundle, source)
    read = []
    opened = open_source(source)
    while (frame := opened.read(lambda _: True)) is not None:
        read.append(frame.data)
    opened.close()
    assert len(read) == 50
    # Of the 49 frames that have a next one: every 12th, or the centres of four segments.
    at = [0, 12, 24, 36] if sampling == "uniform" else [6, 18, 30, 42]
    fed = {
        "rgb": np.stack([rgb(read[i]) for i in at])[np.newaxis],
        "flow": stack([flow(read[i], read[i + 1]) for i in at])[np.newaxis],
    }
    expected = probe_scores(tmp_path / "m.onnx", fed)
    assert prediction.scores == pytest.approx(expected, abs=1e-4)
    assert prediction.padded == 0
