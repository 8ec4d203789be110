"""Clips that are ready for an engine: noise, or windows of videos."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgevid.benchmarks.harness.video import EndlessSource, WindowReader
from edgevid.pipeline.plan import SamplingOptions
from edgevid.sources.clip_list import ListedClip
from edgevid.spec import ClipSpec, InputSpec
from edgevid.types import UInt8Array

Window = dict[str, UInt8Array]
"""Input name to `(K, H, W, channels)` or `(H, W, channels)` uint8."""

_MOST = 16
_MOST_BYTES = 1 << 27


def noise(clip: ClipSpec, inputs: Sequence[InputSpec], seed: int) -> list[Window]:
    """Windows of random bytes: no codec, no eye, every value as likely as the others."""
    rng = np.random.default_rng(seed)
    return [
        {
            spec.name: rng.integers(0, 256, spec.feed_shape(clip.num_frames), np.uint8)
            for spec in inputs
        }
        for _ in range(_windows(clip, inputs))
    ]


def of_videos(
    clip: ClipSpec,
    inputs: Sequence[InputSpec],
    videos: Sequence[ListedClip],
    options: SamplingOptions,
) -> list[Window]:
    """The first windows of each video, in turn, as a live pipeline would cut them.

    Raises:
        SourceError: A video cannot be read.
    """
    count = _windows(clip, inputs)
    windows: list[Window] = []
    videos = videos[:count]
    for number in range(len(videos)):
        source = EndlessSource(videos, "bench", first=number)
        reader = WindowReader(source, clip, inputs, options)
        try:
            for _ in range(-(-count // len(videos))):
                arrays = reader.next_window().arrays
                windows.append({name: array.copy() for name, array in arrays.items()})
        finally:
            reader.close()
    return windows


def _windows(clip: ClipSpec, inputs: Sequence[InputSpec]) -> int:
    """How many differ: several, so that no cache holds them all, but within memory."""
    size = sum(int(np.prod(spec.feed_shape(clip.num_frames))) for spec in inputs)
    return max(2, min(_MOST, _MOST_BYTES // size))
