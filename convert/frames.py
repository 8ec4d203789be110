"""Real frames to check a graph with: windows as the runtime would feed them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

from edgevid.clips import FrameIndexSampler, PairSampler, Pick, Sampler
from edgevid.clips.sampling import SKIP
from edgevid.convert.spec_infer import Pictures
from edgevid.errors import SourceError
from edgevid.samples import SampleMaker
from edgevid.spec import ClipSpec, InputSpec
from edgevid.tracks import Tracks, flow_interval, stacked
from edgevid.types import Frame, FrameTime, UInt8Array

Window = dict[str, UInt8Array]
"""Input name to `(1, K, H, W, channels)` or `(1, H, W, channels)` uint8.

For a model with states the first axis holds the steps that follow each other.
"""

_WINDOWS_PER_VIDEO = 6
_RUNS_PER_VIDEO = 2
_MAX_FRAMES = 1800
"""Of a longer video only the beginning is read."""


def collect(pictures: Pictures, videos: Sequence[Path], steps: int = 1) -> tuple[list[Window], str]:
    """Windows from the clip that ships with edgevid and from `videos`.

    Args:
        pictures: The contract.
        videos: More videos.
        steps: Above 1 for a model with states: frames come at the contract's rate, so many
            windows in a row.

    Returns:
        The windows, and a phrase that says which frames they are.

    Raises:
        SourceError: A video cannot be read, or holds no frame.
    """
    windows: list[Window] = []
    with resources.as_file(resources.files("edgevid.demo") / "demo.mp4") as demo:
        windows += _windows_of(pictures, demo, steps, enlarge=True)
    for video in videos:
        windows += _windows_of(pictures, video, steps)
    names = ", ".join(["edgevid's demo clip", *(v.name for v in videos)])
    what = "windows" if steps == 1 else f"runs of {steps} steps"
    return windows, f"{len(windows)} {what} of {names}"


def _windows_of(pictures: Pictures, video: Path, steps: int, enlarge: bool = False) -> list[Window]:
    """Windows spread over the video, without overlap where it is long enough."""
    clip = pictures.clip
    length = clip.num_frames * steps
    maker = SampleMaker(pictures.inputs)
    samples: list[Mapping[str, UInt8Array]] = []
    for frame, pick in _picked(video, clip, steps, flow_interval(pictures.inputs)):
        if enlarge:
            frame = _enlarged(frame, pictures.inputs)
        samples += [sample.arrays for sample in maker.push(frame, pick)]
    if not samples:
        raise SourceError(f"{video} holds no frame that decodes", "Give another video to --frames")
    tracks = Tracks(pictures.inputs, clip.num_frames)
    samples += [samples[-1]] * (-len(samples) % length)
    return [
        _window(tracks, samples[start : start + length], steps)
        for start in range(0, len(samples), length)
    ]


def _picked(
    video: Path, clip: ClipSpec, steps: int, pairs: int | None
) -> Iterator[tuple[Frame, Pick]]:
    """The frames of one window after the other, and those that flow goes to."""
    from edgevid.sources import open_source

    source = open_source(str(video))
    try:
        claimed = min(source.info.num_frames or 0, _MAX_FRAMES)
        windows = _WINDOWS_PER_VIDEO if steps == 1 else _RUNS_PER_VIDEO
        length = clip.num_frames * steps
        interval = clip.frame_interval
        if steps > 1 and clip.period_s is not None:
            interval = max(1, round(clip.period_s * source.info.fps))
        stride = max(claimed // windows, length * interval)
        wanted = [
            window * stride + frame * interval
            for window in range(windows)
            for frame in range(length)
        ]
        sampler: Sampler = FrameIndexSampler(wanted)
        if pairs is not None:
            sampler = PairSampler(sampler, pairs)
        picked = SKIP

        def is_wanted(time: FrameTime) -> bool:
            nonlocal picked
            picked = sampler.pick(time)
            return picked.taken

        last = wanted[-1] + (pairs or 0)
        while (frame := source.read(is_wanted)) is not None:
            yield frame, picked
            if frame.time.index >= last:
                return
    finally:
        source.close()


def _enlarged(frame: Frame, inputs: Sequence[InputSpec]) -> Frame:
    """The frame as many times larger as the largest fovea needs it."""
    foveae = [spec.size for spec in inputs if spec.crop == "fovea"]
    sides = [(n, side) for size in foveae for n, side in zip(size, frame.data.shape, strict=False)]
    times = max((math.ceil(n / side) for n, side in sides), default=1)
    if times == 1:
        return frame
    return replace(frame, data=frame.data.repeat(times, axis=0).repeat(times, axis=1))


def _window(tracks: Tracks, samples: Sequence[Mapping[str, UInt8Array]], steps: int) -> Window:
    length = len(samples) // steps
    cut = [tracks.cut(stacked(samples[i * length : (i + 1) * length])) for i in range(steps)]
    return stacked(cut)
