"""Spreads the windows to draw over the videos, and draws them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgevid.clips.timeline import Timeline, padded, starts, window
from edgevid.convert.quantize.spool import Spool
from edgevid.convert.quantize.window_plan import choose, fair_shares
from edgevid.errors import SourceError
from edgevid.sources.clip_list import ListedClip
from edgevid.spec import ClipSpec, InputSpec
from edgevid.video_reader import VideoReader, require_samples

Progress = Callable[[int, int], None]
"""Called with the clips drawn so far, and with how many were asked for."""

_SHOWN = 3
"""Videos that a note names."""


@dataclass(frozen=True)
class Entry:
    """One drawn window.

    Attributes:
        number: Of the window in the spool.
        listed: Where it comes from.
        start_s: Presentation time of its first frame.
    """

    number: int
    listed: ListedClip
    start_s: float


@dataclass
class _Video:
    """What is known of a video, and what was drawn from it."""

    listed: ListedClip
    rng: np.random.Generator
    timeline: Timeline | None = None
    fault: str = ""
    drawn: dict[int, Entry] = field(default_factory=dict)

    def left(self, clip: ClipSpec) -> list[int]:
        """Starts of the windows that can still be drawn."""
        if self.fault or self.timeline is None:
            return []
        return [s for s in starts(clip, self.timeline) if s not in self.drawn]


class Drawing:
    """Draws windows from videos.

    A header's frame count is taken on trust; a video that proves it wrong is read again. What
    a video cannot give, others give instead.

    Args:
        listed: The videos.
        clip: The contract.
        inputs: The model's inputs.
        spool: Takes the pixels.
        seed: At least 0. Chooses the videos where there are more than windows, and the
            windows.
    """

    def __init__(
        self,
        listed: Sequence[ListedClip],
        clip: ClipSpec,
        inputs: Sequence[InputSpec],
        spool: Spool,
        seed: int,
    ) -> None:
        self._clip = clip
        self._reader = VideoReader(clip, inputs, spool.write)
        self._videos = [_Video(c, np.random.default_rng([seed, i])) for i, c in enumerate(listed)]
        order = np.random.default_rng(seed).permutation(len(listed))
        self._shuffled = [self._videos[i] for i in order]

    @property
    def entries(self) -> list[Entry]:
        """The windows drawn, by video and time."""
        return [v.drawn[start] for v in self._videos for start in sorted(v.drawn)]

    def draw(self, count: int, progress: Progress) -> None:
        """Draw `count` windows, or as many different ones as the videos hold."""
        drawn = 0
        while drawn < count and (shares := self._shares(count - drawn)):
            for video, share in shares:
                drawn += self._take(video, share, drawn)
                progress(drawn, count)

    def _shares(self, missing: int) -> list[tuple[_Video, int]]:
        """How many windows to draw from which video."""
        fresh = [v for v in self._shuffled if v.timeline is None and not v.fault]
        if len(fresh) >= missing:
            return [(video, 1) for video in fresh[:missing]]
        for video in fresh:
            self._survey(video)
        shares = fair_shares(missing, [len(v.left(self._clip)) for v in self._shuffled])
        return [(v, share) for v, share in zip(self._shuffled, shares, strict=True) if share]

    def _survey(self, video: _Video) -> None:
        try:
            timeline, exact = self._reader.estimate(video.listed)
            if exact:
                require_samples(video.listed, timeline)
            video.timeline = timeline
        except SourceError as exc:
            video.fault = exc.message

    def _take(self, video: _Video, share: int, number: int) -> int:
        """Draw up to `share` windows into the spool, from `number` on; how many it were."""
        if video.timeline is None:
            self._survey(video)
        try:
            while video.timeline and not video.fault:
                entries = self._attempt(video, video.timeline, share, number)
                if entries is not None:
                    video.drawn.update(entries)
                    return len(entries)
        except SourceError as exc:
            video.fault = exc.message
        return 0

    def _attempt(
        self, video: _Video, timeline: Timeline, share: int, number: int
    ) -> dict[int, Entry] | None:
        """The windows by start; None where the video is not as long as was thought."""
        clip = self._clip
        chosen = choose(video.left(clip), share, video.rng)
        windows = {start: window(clip, timeline, start) for start in chosen}
        slots = {start: number + i for i, start in enumerate(chosen)}
        reading = self._reader.read(
            video.listed,
            {slots[start]: numbers for start, numbers in windows.items()},
            to_end=clip.sampling != "interval" or padded(clip, timeline),
        )
        if reading.to_end:
            require_samples(video.listed, reading.timeline)
            video.timeline = reading.timeline
        possible = set(starts(clip, reading.timeline))
        for start, numbers in windows.items():
            if start not in possible or window(clip, reading.timeline, start) != numbers:
                return None
        return {
            start: Entry(slot, video.listed, reading.start_s[slot]) for start, slot in slots.items()
        }

    def notes(self, count: int) -> Iterator[str]:
        """What a user should know, after `draw`."""
        if faults := self.faults:
            yield f"{len(faults)} of {len(self._videos)} videos are left out: {shown(faults)}"
        short = [
            v.listed.uri
            for v in self._videos
            if v.drawn and v.timeline and padded(self._clip, v.timeline)
        ]
        if short:
            yield (
                f"videos shorter than a window, whose last frame is repeated: {len(short)} "
                f"({shown(short)})"
            )
        if len(self.entries) < count:
            yield (
                f"{len(self.entries)} clips drawn, {count} were asked for: the videos hold no "
                "more different windows"
            )

    @property
    def faults(self) -> list[str]:
        """Why videos cannot be used."""
        return [v.fault for v in self._videos if v.fault]


def shown(names: Iterable[str]) -> str:
    """The first few, and how many more there are."""
    names = list(names)
    more = [f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return "; ".join([*names[:_SHOWN], *more])
