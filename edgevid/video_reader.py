"""Reads the planned windows of one video in one pass, with the runtime's sampler and resizer."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from edgevid.clips import IntervalSampler, NthFrameSampler, Pick, Sampler
from edgevid.clips.timeline import Timeline
from edgevid.errors import SourceError
from edgevid.protocols import FrameSource
from edgevid.samples import SampleMaker
from edgevid.sources import open_source
from edgevid.sources.clip_list import ListedClip
from edgevid.spec import ClipSpec, InputSpec
from edgevid.types import FrameTime, SourceInfo, UInt8Array

Window = tuple[int, ...]
"""Numbers of its T samples."""

Write = Callable[[int, int, Mapping[str, UInt8Array]], None]
"""Takes a window's key, a position in it, and the sample of each track."""


@dataclass(frozen=True)
class Reading:
    """What one pass over a video found.

    Attributes:
        timeline: The samples that it has; where `to_end` is False, of the part that was read.
        start_s: Presentation time of each window's first sample, by key.
        to_end: The whole part that was asked for was read.
    """

    timeline: Timeline
    start_s: dict[int, float]
    to_end: bool


class VideoReader:
    """Reads windows of videos under one contract.

    Args:
        clip: The contract.
        inputs: The model's inputs.
        write: Takes each frame of each window as it comes.
    """

    def __init__(self, clip: ClipSpec, inputs: Sequence[InputSpec], write: Write) -> None:
        self._clip = clip
        self._inputs = inputs
        self._write = write

    def estimate(self, listed: ListedClip) -> tuple[Timeline, bool]:
        """What the header says of the samples; read to the end where it says nothing.

        Returns:
            The timeline, and True where it was counted and is exact.

        Raises:
            SourceError: The video cannot be opened, or is live.
        """
        with closing(_open(listed)) as source:
            claimed = _claimed_samples(self._clip, source.info, listed)
        if claimed is None:
            return self.read(listed, {}, to_end=True).timeline, True
        return Timeline(claimed), False

    def read(self, listed: ListedClip, windows: Mapping[int, Window], to_end: bool) -> Reading:
        """Read `windows`, by key; frames of none of them are decoded, not converted.

        Args:
            listed: The video, or the part of it.
            windows: May hold samples that turn out not to be there.
            to_end: Read on to the end after the last window.

        Raises:
            SourceError: The video cannot be opened or read, or is live.
        """
        with closing(_open(listed)) as source:
            numbering = _Numbering(_sampler(self._clip, source.info), listed)
            places: dict[int, list[tuple[int, int]]] = defaultdict(list)
            for key, numbers in windows.items():
                for position, number in enumerate(numbers):
                    places[number].append((key, position))
            start_s: dict[int, float] = {}
            # Every window is made as if it were a stream of its own.
            makers = {key: SampleMaker(self._inputs) for key in windows}

            def want(time: FrameTime) -> bool:
                return numbering.take(time) or any(n in places for n in numbering.current)

            last = -1 if to_end else max(places, default=-1)
            while (frame := source.read(want)) is not None and not numbering.ended:
                for number in numbering.current:
                    for key, position in places[number]:
                        pick = Pick((frame.time.pts_s,), (False,))
                        for sample in makers[key].push(frame, pick):
                            self._write(key, position, sample.arrays)
                        start_s.setdefault(key, frame.time.pts_s)
                if 0 <= last < numbering.count and not numbering.breaks:
                    return Reading(numbering.timeline, start_s, to_end=False)
            return Reading(numbering.timeline, start_s, to_end=True)


class _Numbering:
    """Numbers the samples of one source as its frames come."""

    def __init__(self, sampler: Sampler, listed: ListedClip) -> None:
        self._sampler = sampler
        self._listed = listed
        self._frames = 0
        self.count = 0
        self.current = range(0)
        self.breaks: list[int] = []
        self.ended = False

    def take(self, time: FrameTime) -> bool:
        """Number the samples that the frame stands for; True once the part is over."""
        self.current = range(0)
        self.ended = time.pts_s >= self._listed.end_s
        if self.ended or time.pts_s < self._listed.start_s:
            return self.ended
        # A part is sampled as a file that begins with it.
        pick = self._sampler.pick(replace(time, index=self._frames))
        self._frames += 1
        if pick.restart:
            self.breaks.append(self.count)
        self.current = range(self.count, self.count + len(pick.ticks_s))
        self.count = self.current.stop
        return False

    @property
    def timeline(self) -> Timeline:
        return Timeline(self.count, tuple(self.breaks))


def _open(listed: ListedClip) -> FrameSource:
    # No model runs meanwhile: decoding may have every core.
    source = open_source(listed.uri, threads=0)
    if source.info.is_live:
        source.close()
        raise SourceError(f"{source.source_id} is live: its frames cannot be read again")
    return source


def _sampler(clip: ClipSpec, info: SourceInfo) -> Sampler:
    """The sampler that numbers this source's samples; see `clips.timeline`."""
    if clip.sampling != "interval":
        return NthFrameSampler(1)
    if clip.period_s is None:
        return NthFrameSampler(clip.frame_interval)
    frame_s = 1.0 / info.fps if info.fps > 0 else 0.0
    return IntervalSampler(clip.period_s, frame_s, clip.period_s * clip.num_frames)


def _claimed_samples(clip: ClipSpec, info: SourceInfo, listed: ListedClip) -> int | None:
    """How many samples the header promises; None where it says too little."""
    if not info.num_frames or info.fps <= 0:
        return None
    first = math.ceil(listed.start_s * info.fps)
    last = min(listed.end_s * info.fps, info.num_frames)
    frames = math.ceil(last) - first
    if frames < 1:
        return None
    if clip.sampling != "interval":
        return frames
    if clip.period_s is None:
        return math.ceil(frames / clip.frame_interval)
    # The last frame still stands for what lies half a frame after it.
    return int((frames - 0.5) / info.fps / clip.period_s) + 1
