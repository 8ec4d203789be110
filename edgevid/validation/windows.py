"""Reads the windows of a video that are looked at, ready for the engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgevid.clips.timeline import Timeline, padded
from edgevid.preprocess import CropPlace
from edgevid.sources.clip_list import ListedClip
from edgevid.spec import ClipSpec, InputSpec
from edgevid.tracks import Tracks
from edgevid.types import Clip, UInt8Array
from edgevid.validation.views import Views
from edgevid.video_reader import Reading, VideoReader, require_samples

_PLACES: dict[int, tuple[CropPlace, ...]] = {1: ("centre",), 3: ("first", "centre", "last")}
_ATTEMPTS = 3


@dataclass(frozen=True)
class ReadViews:
    """The views of one clip, at least one, and how many frames of its video did not decode."""

    views: list[Clip]
    lost: int


class ViewReader:
    """Reads the views of one clip after another.

    Args:
        clip: The contract.
        inputs: The model's inputs.
        views: Which windows and crops.
    """

    def __init__(self, clip: ClipSpec, inputs: Sequence[InputSpec], views: Views) -> None:
        self._clip = clip
        self._views = views
        self._tracks = Tracks(inputs, clip.num_frames)
        self._reader = VideoReader(clip, inputs, self._write)
        self._places = _PLACES[views.crops]
        self._pixels: dict[int, dict[str, UInt8Array]] = {}

    def read(self, listed: ListedClip) -> ReadViews:
        """The views of a clip, by time and crop.

        The header's frame count is taken on trust; a video that proves it wrong is read again.

        Raises:
            SourceError: The video cannot be opened or read, or the part holds no frame.
        """
        timeline, exact = self._reader.estimate(listed)
        if exact:
            require_samples(listed, timeline)
        for _ in range(_ATTEMPTS):
            numbers = self._views.windows(self._clip, timeline)
            reading = self._attempt(listed, numbers, timeline)
            found = reading.timeline
            if not reading.to_end or self._views.windows(self._clip, found) == numbers:
                break
            timeline = found
        clips = self._clips(listed, numbers, reading.start_s, timeline)
        return ReadViews(list(clips), reading.lost)

    def _attempt(
        self, listed: ListedClip, numbers: Sequence[tuple[int, ...]], timeline: Timeline
    ) -> Reading:
        """Read the views' pixels."""
        self._pixels = {}
        keys = range(len(numbers) * len(self._places))
        reading = self._reader.read(
            listed,
            {key: numbers[key // len(self._places)] for key in keys},
            to_end=self._clip.sampling != "interval" or padded(self._clip, timeline),
            places={key: self._places[key % len(self._places)] for key in keys},
        )
        if reading.to_end:
            require_samples(listed, reading.timeline)
        return reading

    def _write(self, key: int, position: int, sample: Mapping[str, UInt8Array]) -> None:
        if key not in self._pixels:
            shapes = {n: (self._clip.num_frames, *a.shape) for n, a in sample.items()}
            self._pixels[key] = {n: np.empty(shape, np.uint8) for n, shape in shapes.items()}
        for name, array in sample.items():
            self._pixels[key][name][position] = array

    def _clips(
        self,
        listed: ListedClip,
        numbers: Sequence[tuple[int, ...]],
        starts_s: Mapping[int, float],
        timeline: Timeline,
    ) -> Iterator[Clip]:
        for key, pixels in sorted(self._pixels.items()):
            window = numbers[key // len(self._places)]
            yield Clip(
                source_id=listed.uri,
                index=key,
                pts_s=(starts_s[key],),
                frames=window,
                arrays=self._tracks.cut(pixels),
                padded=len(window) - len(set(window)) if padded(self._clip, timeline) else 0,
            )
