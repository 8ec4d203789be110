"""The samples of a video, and the windows that can be cut from them: arithmetic, no pictures.

The samples are numbered from 0 as the contract's sampler takes them: the ticks of an
`interval` contract, every decoded frame for `uniform` and `segments`. A window is known by the
number that it starts at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgevid.clips.sampling import segment_indices, uniform_indices
from edgevid.spec import ClipSpec

WHOLE = -1
"""The start of the window that a `uniform` or `segments` contract takes of the whole video."""


@dataclass(frozen=True)
class Timeline:
    """The samples of one video.

    Attributes:
        num_samples: How many there are.
        breaks: Numbers of the samples that do not continue the one before; ascending.
    """

    num_samples: int
    breaks: tuple[int, ...] = ()

    @property
    def runs(self) -> list[range]:
        """Stretches of samples without a break, none empty."""
        edges = [0, *self.breaks, self.num_samples]
        return [range(a, b) for a, b in pairwise(edges) if b > a]


def starts(clip: ClipSpec, timeline: Timeline) -> Sequence[int]:
    """Every window that can be drawn, by its start.

    - `interval`: every T samples in a row, as the runtime slides over them. Of a video
      without T in a row, its last run, which the runtime fills up with the last sample.
    - `uniform`, `segments`: the whole video, as the runtime takes it (`WHOLE`); then each
      stretch of half its frames (T at least), taken as if it were a file of its own.
    """
    if not timeline.num_samples:
        return []
    if clip.sampling == "interval":
        fitting = [r.start + i for r in timeline.runs for i in range(len(r) - clip.num_frames + 1)]
        return fitting or [timeline.runs[-1].start]
    if timeline.num_samples <= clip.num_frames:
        return [WHOLE]
    return range(WHOLE, timeline.num_samples - _stretch(clip, timeline) + 1)


def window(clip: ClipSpec, timeline: Timeline, start: int) -> tuple[int, ...]:
    """The T sample numbers of the window at `start`; the last one repeats where they run out."""
    count = clip.num_frames
    if clip.sampling == "interval":
        (run,) = (r for r in timeline.runs if start in r)
        return tuple(min(start + i, run.stop - 1) for i in range(count))
    indices = uniform_indices if clip.sampling == "uniform" else segment_indices
    if start == WHOLE:
        return tuple(indices(timeline.num_samples, count))
    return tuple(start + i for i in indices(_stretch(clip, timeline), count))


def padded(clip: ClipSpec, timeline: Timeline) -> bool:
    """True where the video is too short for one window."""
    runs = timeline.runs if clip.sampling == "interval" else [range(timeline.num_samples)]
    return max(map(len, runs), default=0) < clip.num_frames


def _stretch(clip: ClipSpec, timeline: Timeline) -> int:
    """Frames of a part of the video that is taken as a file."""
    return max(clip.num_frames, timeline.num_samples // 2)
