"""From samples to windows: one builder per stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from edgevid.clips.ring import ClipRing
from edgevid.spec import ClipSpec, InputSpec
from edgevid.tracks import Tracks
from edgevid.types import Clip, FrameTime, SampledFrame


class _Facts(NamedTuple):
    """What is remembered of a sample; its pixels lie in the ring."""

    time: FrameTime
    gap: bool
    capture_ms: float
    preprocess_ms: float
    blank: bool


class WindowBuilder:
    """Collects samples and gives a window of T every `hop` samples.

    Args:
        clip: The contract.
        inputs: The model's inputs; each track of theirs gets a ring.
        hop: Samples from one window's start to the next, at least 1.
        source_id: Name that the windows carry.
    """

    def __init__(
        self, clip: ClipSpec, inputs: Sequence[InputSpec], hop: int, source_id: str
    ) -> None:
        self._num_frames = clip.num_frames
        self._tracks = Tracks(inputs, clip.num_frames)
        self._rings = {
            name: ClipRing(clip.num_frames, shape) for name, shape in self._tracks.shapes.items()
        }
        self._hop = hop
        self._source_id = source_id
        self._samples: deque[_Facts] = deque(maxlen=clip.num_frames)
        self._numbers: deque[int] = deque([-1], maxlen=clip.num_frames)
        self._new: list[_Facts] = []
        self._until_due = clip.num_frames
        self._emitted = 0

    @property
    def hop(self) -> int:
        return self._hop

    @property
    def emitted(self) -> int:
        """Windows given so far."""
        return self._emitted

    def push(self, sample: SampledFrame) -> Clip | None:
        """Take one sample; a window where one is due. Its arrays are views into the ring."""
        if sample.restart:
            self._restart()
        for name, ring in self._rings.items():
            ring.push(sample.arrays[name])
        facts = _Facts(
            sample.time, sample.gap, sample.capture_ms, sample.preprocess_ms, sample.blank
        )
        new = not self._samples or self._samples[-1].time.index != facts.time.index
        self._numbers.append(self._numbers[-1] + new)
        self._samples.append(facts)
        self._new.append(facts)
        self._until_due -= 1
        if self._until_due > 0:
            return None
        self._until_due = self._hop
        return self._window(padded=0)

    def finish(self) -> Clip | None:
        """At the end of a source too short for one window: the last sample repeated to fill it."""
        if self._emitted or not self._samples:
            return None
        missing = self._num_frames - len(self._samples)
        last = self._tracks.repeated({n: r.last().copy() for n, r in self._rings.items()})
        for _ in range(missing):
            self._samples.append(self._samples[-1])
            self._numbers.append(self._numbers[-1])
            for name, ring in self._rings.items():
                ring.push(last[name])
        return self._window(padded=missing)

    def _restart(self) -> None:
        self._samples.clear()
        self._new.clear()
        for ring in self._rings.values():
            ring.clear()
        self._until_due = self._num_frames

    def _window(self, padded: int) -> Clip:
        times, gaps, _, _, blanks = zip(*self._samples, strict=True)
        _, _, capture_ms, preprocess_ms, _ = zip(*self._new, strict=True)
        clip = Clip(
            source_id=self._source_id,
            index=self._emitted,
            pts_s=tuple([time.pts_s for time in times]),
            frames=tuple(self._numbers),
            arrays=self._tracks.cut({n: ring.window() for n, ring in self._rings.items()}),
            gap=True in gaps,
            padded=padded,
            newest_received_ns=times[-1].received_ns,
            newest_taken_ns=times[-1].taken_ns,
            blank=False not in blanks,
            capture_ms=sum(capture_ms),
            preprocess_ms=sum(preprocess_ms),
        )
        self._emitted += 1
        self._new.clear()
        return clip
