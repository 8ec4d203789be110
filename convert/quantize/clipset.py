"""Clips to calibrate and to judge INT8 on: windows of real videos, as the runtime feeds them.

Videos are decoded once, in sequence; the pixels of the windows drawn go to a temporary file,
so that calibration, gate and search can go through them as often as they like. What is held
in memory is one frame while drawing, one window while reading.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import overload

import numpy as np

from edgevid.convert.quantize.drawing import Drawing, Entry, Progress, shown
from edgevid.convert.quantize.spool import Spool
from edgevid.errors import SourceError, SpecError
from edgevid.sources.clip_list import ListedClip, list_clips
from edgevid.spec import ClipSpec, InputSpec
from edgevid.types import UInt8Array

DEFAULT_COUNT = 64


def no_progress(drawn: int, wanted: int) -> None:
    """The `Progress` of those who do not watch."""


def draw(
    paths: Sequence[str],
    clip: ClipSpec,
    inputs: Sequence[InputSpec],
    count: int = DEFAULT_COUNT,
    seed: int = 0,
    *,
    steps: int = 1,
    progress: Progress = no_progress,
) -> ClipSet:
    """Draw windows from videos, spread evenly over the videos and over time in each.

    A window is what the runtime would feed the model: the same sampler, the same crop and
    resize.

    - `interval`: T samples in a row; the starts are random, one in each equal share of the
      video.
    - `uniform`, `segments`: first the whole video, as the runtime takes a file. Where more
      windows are wanted than there are videos: parts of half the video's frames (T at
      least), each taken as if it were a file of its own, and spread likewise.

    Args:
        paths: Videos, folders, glob patterns, and CSV files of clips (see `clip_list`).
        clip: The contract.
        inputs: The model's inputs.
        count: Windows to draw; fewer, with a note, where the videos hold no more.
        seed: At least 0. The same seed and files give the same clips.
        steps: Of a model with states, how many windows in a row make one clip.
        progress: Called after every video.

    Raises:
        SpecError: `count` is below 1, or a CSV file is wrong.
        SourceError: A path does not exist, or none of the videos can be used. A video that
            cannot be, among others that can, is left out with a note.
        OutputError: There is no room for the pixels.
    """
    if count < 1:
        raise SpecError(f"{count} calibration clips are too few", "Ask for at least 1")
    return draw_listed(list_clips(paths), clip, inputs, count, seed, steps=steps, progress=progress)


def draw_listed(
    listed: Sequence[ListedClip],
    clip: ClipSpec,
    inputs: Sequence[InputSpec],
    count: int,
    seed: int = 0,
    *,
    steps: int = 1,
    progress: Progress = no_progress,
) -> ClipSet:
    """As `draw`, of videos that are listed already."""
    spool = Spool(inputs, clip.num_frames, steps)
    if steps > 1:
        clip = clip.model_copy(update={"num_frames": clip.num_frames * steps})
    drawing = Drawing(listed, clip, inputs, spool, seed)
    drawing.draw(count, progress)
    if not drawing.entries:
        reason = shown(drawing.faults)
        if len(listed) > 1:
            reason = f"none of the {len(listed)} videos can be used: {reason}"
        raise SourceError(reason, "Give videos that play, with --calib")
    clips = ClipSet(spool, drawing.entries, [])
    return ClipSet(spool, drawing.entries, [*drawing.notes(count), *_colour_notes(clips)])


@dataclass(frozen=True)
class DrawnClip:
    """One window of a video.

    Attributes:
        source: The video, as it was named.
        start_s: Presentation time of the window's first frame, from the video's start.
        label: What a CSV says that it shows; None where nothing does.
        feeds: Input name to `(1, K, H, W, channels)` or `(1, H, W, channels)` uint8; of a
            model with states the first axis holds the steps.
    """

    source: str
    start_s: float
    label: str | None
    feeds: dict[str, UInt8Array]


class ClipSet(Sequence[DrawnClip]):
    """Drawn clips, read from disk one at a time, as often as wanted.

    Attributes:
        notes: What a user should know of the videos, one sentence each.
    """

    def __init__(self, spool: Spool, entries: Sequence[Entry], notes: Sequence[str]) -> None:
        self._spool = spool
        self._entries = tuple(entries)
        self.notes = tuple(notes)

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> DrawnClip: ...

    @overload
    def __getitem__(self, index: slice) -> ClipSet: ...

    def __getitem__(self, index: int | slice) -> DrawnClip | ClipSet:
        if isinstance(index, slice):
            return ClipSet(self._spool, self._entries[index], self.notes)
        entry = self._entries[index]
        feeds = self._spool.read(entry.number)
        return DrawnClip(entry.listed.uri, entry.start_s, entry.listed.label, feeds)

    def spread(self, count: int) -> ClipSet:
        """At most `count` of the clips, evenly spread over all of them."""
        if count >= len(self):
            return self
        chosen = np.linspace(0, len(self) - 1, count).round().astype(int)
        return ClipSet(self._spool, [self._entries[i] for i in chosen], self.notes)

    @property
    def feeds(self) -> Sequence[dict[str, UInt8Array]]:
        """Only what the graph is fed, clip by clip, read from disk just as lazily."""
        return _Feeds(self)

    @property
    def labels(self) -> tuple[str | None, ...]:
        """The label of every clip."""
        return tuple(e.listed.label for e in self._entries)

    @property
    def sources(self) -> tuple[str, ...]:
        """The videos that clips were drawn from, each once."""
        return tuple(dict.fromkeys(e.listed.uri for e in self._entries))

    @property
    def videos(self) -> tuple[ListedClip, ...]:
        """The same, as they were listed; of several parts of one the first."""
        return tuple({e.listed.video: e.listed for e in reversed(self._entries)}.values())[::-1]

    @cached_property
    def sha256(self) -> str:
        """Hash of all pixels, in order, with the names and shapes of the inputs."""
        digest = hashlib.sha256(json.dumps(self._spool.shapes).encode())
        for clip in self:
            for array in clip.feeds.values():
                digest.update(array.data)
        return digest.hexdigest()

    def split(self, fraction: float, seed: int) -> tuple[ClipSet, ClipSet]:
        """Two sets without a clip in common; both keep the order and the notes.

        All windows of one video are on the same side. Of a single video the windows are cut
        at one instant, and the seed says which end goes where.

        Args:
            fraction: Share of the clips for the first set, above 0 and below 1; met as
                nearly as whole videos allow, with at least one clip on each side.
            seed: At least 0; the same seed gives the same sets.

        Raises:
            SpecError: There is only one clip.
        """
        if not 0 < fraction < 1:
            raise ValueError(f"fraction {fraction} is not between 0 and 1")
        if len(self) < 2:
            raise SpecError(
                "one clip cannot be both calibrated and judged on", "Give more videos, or longer"
            )
        by_video: dict[str, list[int]] = defaultdict(list)
        for i, entry in enumerate(self._entries):
            by_video[entry.listed.video].append(i)
        rng = np.random.default_rng(seed)
        groups = list(by_video.values())
        if len(groups) == 1:
            groups = [[i] for i in groups[0][:: rng.choice([1, -1])]]
        else:
            rng.shuffle(groups)
        sizes = np.cumsum([len(group) for group in groups])[:-1]
        cut = int(np.argmin(np.abs(sizes - fraction * len(self)))) + 1
        return self._subset(groups[:cut]), self._subset(groups[cut:])

    def _subset(self, groups: Sequence[Sequence[int]]) -> ClipSet:
        entries = [self._entries[i] for i in sorted(chain.from_iterable(groups))]
        return ClipSet(self._spool, entries, self.notes)


class _Feeds(Sequence[dict[str, UInt8Array]]):
    """The feeds of a set."""

    def __init__(self, clips: ClipSet) -> None:
        self._clips = clips

    def __len__(self) -> int:
        return len(self._clips)

    @overload
    def __getitem__(self, index: int) -> dict[str, UInt8Array]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[dict[str, UInt8Array]]: ...

    def __getitem__(
        self, index: int | slice
    ) -> dict[str, UInt8Array] | Sequence[dict[str, UInt8Array]]:
        if isinstance(index, slice):
            return _Feeds(self._clips[index])
        return self._clips[index].feeds


def _colour_notes(clips: ClipSet) -> list[str]:
    """Says which clips show one colour and nothing else."""
    blank = [c.source for c in clips if _is_blank(c)]
    if not blank:
        return []
    return [
        f"{len(blank)} of {len(clips)} clips show one single colour, so ranges taken from them "
        f"say little: {shown(dict.fromkeys(blank))}"
    ]


def _is_blank(clip: DrawnClip) -> bool:
    """True where every picture is of one colour; optical flow says nothing of that."""
    pictures = [a.reshape(-1, 3) for a in clip.feeds.values() if a.shape[-1] == 3]
    return bool(pictures) and all(bool((p == p[0]).all()) for p in pictures)
