"""Which windows of a video are looked at, whose scores are then averaged: the test protocol.

`interval` contracts: N windows at the centres of N equal shares of all possible ones, so that
one is the centre clip (as MMAction2's test setting), or windows that overlap by a given share
from beginning to end.

    possible starts   0 1 2 3 4 5 6 7 8 9        N = 1: 5     N = 2: 2 7     N = 5: 1 3 5 7 9

`uniform` and `segments` contracts see the whole video in every window; N windows are shifted
by shares of the step between their samples (for N = 2: "twice sample", Lin et al. 2019, TSM).
"""

from __future__ import annotations

from dataclasses import dataclass

from edgevid.clips.timeline import Timeline, starts, window
from edgevid.errors import SpecError
from edgevid.spec import ClipSpec, InputSpec

MAX_CLIPS = 1000


@dataclass(frozen=True)
class Views:
    """What is averaged for one answer.

    Attributes:
        clips: Windows spread evenly over the video.
        overlap: Instead: windows from beginning to end that overlap by this share, from 0 to
            below 1 (`interval` contracts).
        crops: 1: as in the contract; 3: the left, centre and right of the longer side (or its
            top, centre and bottom), for contracts that cut a centre crop.
    """

    clips: int = 1
    overlap: float | None = None
    crops: int = 1

    def check(self, clip: ClipSpec, inputs: tuple[InputSpec, ...]) -> None:
        """Raise SpecError where this cannot be, or not for this contract."""
        if not 1 <= self.clips <= MAX_CLIPS:
            raise SpecError(f"--clips {self.clips} is not from 1 to {MAX_CLIPS}")
        if self.crops not in (1, 3):
            raise SpecError(f"--crops {self.crops} is neither 1 nor 3")
        if self.overlap is not None:
            if not 0 <= self.overlap < 1:
                raise SpecError(f"--overlap {self.overlap:g} must be at least 0 and below 1")
            if self.clips != 1:
                raise SpecError("--clips and --overlap exclude each other", "Leave one out")
            if clip.sampling != "interval":
                raise SpecError(
                    f"--overlap does not apply: with {clip.sampling!r} sampling every window "
                    "spans the whole video",
                    "Use --clips",
                )
        if self.crops == 3 and any(i.crop != "center" for i in inputs):
            raise SpecError(
                "--crops 3 does not apply: this model does not take a centre crop of the frame",
                "Leave it out",
            )

    def windows(self, clip: ClipSpec, timeline: Timeline) -> list[tuple[int, ...]]:
        """The sample numbers of each window, T each, in order; fewer where the video is short.

        Args:
            clip: The contract.
            timeline: The samples of the video; at least one.
        """
        if clip.sampling == "interval":
            return [window(clip, timeline, start) for start in self._starts(clip, timeline)]
        shifted = (_shifted(clip, timeline, k, self.clips) for k in range(self.clips))
        return list(dict.fromkeys(shifted))

    def _starts(self, clip: ClipSpec, timeline: Timeline) -> list[int]:
        possible = starts(clip, timeline)
        if self.overlap is not None:
            hop = max(1, round(clip.num_frames * (1 - self.overlap)))
            return list(possible[::hop])
        share = len(possible) / self.clips
        return [*dict.fromkeys(possible[int((k + 0.5) * share)] for k in range(self.clips))]


def _shifted(clip: ClipSpec, timeline: Timeline, k: int, of: int) -> tuple[int, ...]:
    """The whole video, shifted by k shares of a step: `uniform_indices` for `of` = 1."""
    samples, count = timeline.num_samples, clip.num_frames
    if clip.sampling == "uniform":
        step = max(samples // count, 1)
        numbers = (i * step + k * step // of for i in range(count))
    else:
        numbers = ((2 * (i * of + k) + 1) * samples // (2 * of * count) for i in range(count))
    return tuple(min(n, samples - 1) for n in numbers)
