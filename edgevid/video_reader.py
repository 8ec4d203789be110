"""Reads the planned windows of one video in one pass, with the runtime's sampler and resizer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from types import MappingProxyType

from edgevid.clips import IntervalSampler, NthFrameSampler, PairSampler, Pick, Sampler
from edgevid.clips.sampling import SKIP
from edgevid.clips.timeline import Timeline
from edgevid.errors import SourceError
from edgevid.preprocess import CropPlace
from edgevid.protocols import FrameSource
from edgevid.samples import SampleMaker, check_motion
from edgevid.sources import open_source
from edgevid.sources.clip_list import ListedClip
from edgevid.spec import ClipSpec, InputSpec
from edgevid.tracks import flow_interval
from edgevid.types import Frame, FrameTime, SourceInfo, UInt8Array

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
        lost: Frames that the file holds or claims and that did not decode, as far as it was read.
    """

    timeline: Timeline
    start_s: dict[int, float]
    to_end: bool
    lost: int = 0


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
        self._pairs = flow_interval(inputs)
        self._write = write

    def estimate(self, listed: ListedClip) -> tuple[Timeline, bool]:
        """What the header says of the samples; read to the end where it says nothing.

        Returns:
            The timeline, and True where it was counted and is exact.

        Raises:
            SourceError: The video cannot be opened, or is live.
        """
        with closing(self._open(listed)) as source:
            claimed = _claimed_samples(self._clip, source.info, listed, self._pairs or 0)
        if claimed is None:
            return self.read(listed, {}, to_end=True).timeline, True
        return Timeline(claimed), False

    def read(
        self,
        listed: ListedClip,
        windows: Mapping[int, Window],
        to_end: bool,
        places: Mapping[int, CropPlace] = MappingProxyType({}),
    ) -> Reading:
        """Read `windows`, by key; frames of none of them are decoded, not converted.

        Args:
            listed: The video, or the part of it.
            windows: May hold samples that turn out not to be there.
            to_end: Read on to the end after the last window.
            places: By key, where to crop, for a window that is not cropped as the runtime does.

        Raises:
            SourceError: The video cannot be opened or read, or is live.
        """
        with closing(self._open(listed)) as source:
            numbering = _Numbering(self._clip, source.info, listed, self._pairs)
            streams = {
                key: self._stream(key, numbers, numbering, places.get(key, "centre"))
                for key, numbers in windows.items()
            }
            last = -1 if to_end else max(chain.from_iterable(windows.values()), default=-1)

            def want(time: FrameTime) -> bool:
                ended = numbering.take(time)
                for stream in streams.values():
                    stream.pick(numbering.now)
                return ended or any(stream.picked.taken for stream in streams.values())

            while (frame := source.read(want)) is not None and not numbering.ended:
                for stream in streams.values():
                    stream.push(frame, self._write)
                if 0 <= last < numbering.complete and not numbering.breaks:
                    return Reading(numbering.timeline, _starts(streams), to_end=False)
            lost = source.stats.frames_lost
            return Reading(numbering.timeline, _starts(streams), to_end=True, lost=lost)

    def _stream(
        self, key: int, numbers: Window, numbering: _Numbering, place: CropPlace
    ) -> _WindowStream:
        sampler: Sampler = _Chosen(numbers, numbering)
        if self._pairs is not None:
            fps = self._clip.fps if self._clip.sampling == "interval" else None
            sampler = PairSampler(sampler, self._pairs, fps)
        return _WindowStream(key, sampler, SampleMaker(self._inputs, place=place))

    def _open(self, listed: ListedClip) -> FrameSource:
        # No model runs meanwhile: decoding may have every core.
        source = open_source(listed.uri, threads=0)
        try:
            if source.info.is_live:
                raise SourceError(f"{source.source_id} is live: its frames cannot be read again")
            check_motion(self._inputs, source.source_id, source.info.num_frames)
        except SourceError:
            source.close()
            raise
        return source


def _starts(streams: Mapping[int, _WindowStream]) -> dict[int, float]:
    return {key: s.start_s for key, s in streams.items() if s.start_s is not None}


class _Chosen:
    """Picks samples by their numbers."""

    def __init__(self, numbers: Window, numbering: _Numbering) -> None:
        self._times_wanted = Counter(numbers)
        self._numbering = numbering

    def pick(self, time: FrameTime) -> Pick:  # noqa: ARG002 - it was numbered
        """Decide about the frame that was numbered last."""
        now = self._numbering
        ticks = tuple(
            tick
            for number, tick in zip(now.current, now.ticks_s, strict=True)
            for _ in range(self._times_wanted[number])
        )
        return Pick(ticks, (False,) * len(ticks), now.restart)


class _WindowStream:
    """One window, made as if it were a stream of its own."""

    def __init__(self, key: int, sampler: Sampler, maker: SampleMaker) -> None:
        self._key = key
        self._sampler = sampler
        self._maker = maker
        self._position = 0
        self.picked = SKIP
        self.start_s: float | None = None

    def pick(self, now: FrameTime) -> None:
        """Decide about the frame at hand."""
        self.picked = self._sampler.pick(now)

    def push(self, frame: Frame, write: Write) -> None:
        """Take the frame where it was picked."""
        if not self.picked.taken:
            return
        for sample in self._maker.push(frame, self.picked):
            write(self._key, self._position, sample.arrays)
            self._position += 1
            self.start_s = sample.time.pts_s if self.start_s is None else self.start_s


class _Numbering:
    """Numbers the samples of one source as its frames come.

    Attributes:
        current: Those that the frame at hand stands for.
        ticks_s: Their instants.
        now: Its time, in a part that is taken as a file.
        restart: It does not continue what came before it.
        count: Samples so far.
        complete: Of these, how many have the second frame that their flow goes to.
    """

    def __init__(
        self, clip: ClipSpec, info: SourceInfo, listed: ListedClip, pairs: int | None
    ) -> None:
        self._by_frame = clip.sampling != "interval"
        self._sampler = _sampler(clip, info)
        if pairs is not None and not self._by_frame:
            self._sampler = PairSampler(self._sampler, pairs, clip.fps)
        self._pairs = pairs or 0
        self._listed = listed
        self._frames = 0
        self.count = self.complete = 0
        self.current = range(0)
        self.ticks_s: tuple[float, ...] = ()
        self.now = FrameTime(0, 0.0, 0.0)
        self.restart = False
        self.breaks: list[int] = []
        self.ended = False

    def take(self, time: FrameTime) -> bool:
        """Number the samples that the frame stands for; True once the part is over."""
        self.current, self.ticks_s = range(0), ()
        self.restart = False
        self.ended = time.pts_s >= self._listed.end_s
        if self.ended or time.pts_s < self._listed.start_s:
            return self.ended
        # A part is sampled as a file that begins with it.
        self.now = replace(time, index=self._frames)
        pick = self._sampler.pick(self.now)
        self._frames += 1
        self.restart = pick.restart
        if pick.restart:
            if self._pairs:
                self.count = self.complete  # the last one never gets its second frame
            self.breaks.append(self.count)
        if pick.second:
            self.complete = self.count
        self.current = range(self.count, self.count + len(pick.ticks_s))
        self.ticks_s = pick.ticks_s
        self.count = self.current.stop
        if not self._pairs:
            self.complete = self.count
        elif self._by_frame:
            self.complete = max(self.count - self._pairs, 0)
        return False

    @property
    def timeline(self) -> Timeline:
        return Timeline(self.complete, tuple(b for b in self.breaks if b < self.complete))


def _sampler(clip: ClipSpec, info: SourceInfo) -> Sampler:
    """The sampler that numbers this source's samples; see `clips.timeline`."""
    if clip.sampling != "interval":
        return NthFrameSampler(1)
    if clip.period_s is None:
        return NthFrameSampler(clip.frame_interval)
    frame_s = 1.0 / info.fps if info.fps > 0 else 0.0
    return IntervalSampler(clip.period_s, frame_s, clip.period_s * clip.num_frames)


def _claimed_samples(
    clip: ClipSpec, info: SourceInfo, listed: ListedClip, pairs: int
) -> int | None:
    """How many samples the header promises; None where it says too little."""
    if not info.num_frames or info.fps <= 0:
        return None
    first = math.ceil(listed.start_s * info.fps)
    last = min(listed.end_s * info.fps, info.num_frames)
    per_pair = info.fps / clip.fps if clip.fps and clip.sampling == "interval" else 1.0
    frames = math.ceil(last) - first - math.ceil(pairs * per_pair)
    if frames < 1:
        return None
    if clip.sampling != "interval":
        return frames
    if clip.period_s is None:
        return math.ceil(frames / clip.frame_interval)
    # The last frame still stands for what lies half a frame after it.
    return int((frames - 0.5) / info.fps / clip.period_s) + 1


def require_samples(listed: ListedClip, timeline: Timeline) -> None:
    """Raise SourceError where a video, or the part of it that is meant, holds no sample."""
    if not timeline.num_samples:
        part = f"from {listed.start_s:g} s"
        if math.isfinite(listed.end_s):
            part += f" to {listed.end_s:g} s"
        raise SourceError(f"{listed.uri} has no frame {part}")
