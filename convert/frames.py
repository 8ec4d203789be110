"""Real frames to check a graph with: windows as the runtime would feed them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from edgevid.convert.spec_infer import Pictures
from edgevid.errors import SourceError
from edgevid.preprocess import Resizer
from edgevid.spec import InputSpec
from edgevid.types import FrameTime, UInt8Array

Window = dict[str, UInt8Array]
"""Input name to `(1, T, H, W, 3)` or `(1, H, W, 3)` uint8 BGR."""

_WINDOWS_PER_VIDEO = 6
_PICTURE_STEP = 15
"""Between two frames for one-frame models: neighbours in a video are nearly alike."""


def collect(pictures: Pictures, videos: Sequence[Path]) -> tuple[list[Window], str]:
    """Windows from the clip that ships with edgevid and from `videos`.

    Returns:
        The windows, and a phrase that says which frames they are.

    Raises:
        SourceError: A video cannot be read, or holds no frame.
    """
    windows: list[Window] = []
    with resources.as_file(resources.files("edgevid.demo") / "demo.mp4") as demo:
        for video in (demo, *videos):
            windows += _windows_of(pictures, video)
    names = ", ".join(["edgevid's demo clip", *(v.name for v in videos)])
    return windows, f"{len(windows)} windows of {names}"


def _windows_of(pictures: Pictures, video: Path) -> list[Window]:
    """Windows that follow each other without overlap, from the start of the video."""
    clip = pictures.clip
    step = clip.frame_interval if clip.num_frames > 1 else _PICTURE_STEP
    wanted = _WINDOWS_PER_VIDEO * clip.num_frames
    frames = list(_frames(video, step, wanted))
    if not frames:
        raise SourceError(f"{video} holds no frame that decodes", "Give another video to --frames")
    frames += frames[-1:] * (-len(frames) % clip.num_frames)
    resized = {spec.name: _resize(spec, frames) for spec in pictures.inputs}
    return [
        {
            spec.name: _cut(resized[spec.name][start : start + clip.num_frames], spec)
            for spec in pictures.inputs
        }
        for start in range(0, len(frames), clip.num_frames)
    ]


def _frames(video: Path, step: int, count: int) -> Iterator[UInt8Array]:
    from edgevid.sources import open_source

    def wanted(time: FrameTime) -> bool:
        return time.index % step == 0

    source = open_source(str(video))
    try:
        for _ in range(count):
            frame = source.read(wanted)
            if frame is None:
                return
            yield frame.data
    finally:
        source.close()


def _resize(spec: InputSpec, frames: Sequence[UInt8Array]) -> UInt8Array:
    resizer = Resizer(spec)
    return np.stack([resizer(frame) for frame in frames])


def _cut(frames: UInt8Array, spec: InputSpec) -> UInt8Array:
    if not spec.is_clip:
        return np.ascontiguousarray(frames[:1])
    return np.ascontiguousarray(frames[None, :: spec.every])
