"""Real frames to check a graph with: windows as the runtime would feed them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from edgevid.convert.spec_infer import Pictures
from edgevid.errors import SourceError
from edgevid.preprocess import Resizer
from edgevid.spec import ClipSpec, InputSpec
from edgevid.types import FrameTime, UInt8Array

Window = dict[str, UInt8Array]
"""Input name to `(1, T, H, W, 3)` or `(1, H, W, 3)` uint8 BGR.

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
        for video in (demo, *videos):
            windows += _windows_of(pictures, video, steps)
    names = ", ".join(["edgevid's demo clip", *(v.name for v in videos)])
    what = "windows" if steps == 1 else f"runs of {steps} steps"
    return windows, f"{len(windows)} {what} of {names}"


def _windows_of(pictures: Pictures, video: Path, steps: int) -> list[Window]:
    """Windows spread over the video, without overlap where it is long enough."""
    clip = pictures.clip
    length = clip.num_frames * steps
    frames = list(_frames(video, clip, steps))
    if not frames:
        raise SourceError(f"{video} holds no frame that decodes", "Give another video to --frames")
    frames += frames[-1:] * (-len(frames) % length)
    resized = {spec.name: _resize(spec, frames) for spec in pictures.inputs}
    return [
        {
            spec.name: _cut(resized[spec.name][start : start + length], spec, steps)
            for spec in pictures.inputs
        }
        for start in range(0, len(frames), length)
    ]


def _frames(video: Path, clip: ClipSpec, steps: int) -> Iterator[UInt8Array]:
    """The frames of one window after the other."""
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
        wanted = {
            window * stride + frame * interval
            for window in range(windows)
            for frame in range(length)
        }

        def is_wanted(time: FrameTime) -> bool:
            return time.index in wanted

        for _ in wanted:
            frame = source.read(is_wanted)
            if frame is None:
                return
            yield frame.data
    finally:
        source.close()


def _resize(spec: InputSpec, frames: Sequence[UInt8Array]) -> UInt8Array:
    resizer = Resizer(spec)
    return np.stack([resizer(frame) for frame in frames])


def _cut(frames: UInt8Array, spec: InputSpec, steps: int) -> UInt8Array:
    runs = frames.reshape(steps, -1, *frames.shape[1:])
    return np.ascontiguousarray(runs[:, :: spec.every] if spec.is_clip else runs[:, 0])
