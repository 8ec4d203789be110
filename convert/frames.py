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
"""Input name to `(1, T, H, W, 3)` or `(1, H, W, 3)` uint8 BGR."""

_WINDOWS_PER_VIDEO = 6
_MAX_FRAMES = 1800
"""Of a longer video only the beginning is read."""


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
    """Windows spread over the video, without overlap where it is long enough."""
    clip = pictures.clip
    frames = list(_frames(video, clip))
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


def _frames(video: Path, clip: ClipSpec) -> Iterator[UInt8Array]:
    """The frames of one window after the other."""
    from edgevid.sources import open_source

    source = open_source(str(video))
    try:
        claimed = min(source.info.num_frames or 0, _MAX_FRAMES)
        span = clip.num_frames * clip.frame_interval
        stride = max(claimed // _WINDOWS_PER_VIDEO, span)
        wanted = {
            window * stride + frame * clip.frame_interval
            for window in range(_WINDOWS_PER_VIDEO)
            for frame in range(clip.num_frames)
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


def _cut(frames: UInt8Array, spec: InputSpec) -> UInt8Array:
    if not spec.is_clip:
        return np.ascontiguousarray(frames[:1])
    return np.ascontiguousarray(frames[None, :: spec.every])
