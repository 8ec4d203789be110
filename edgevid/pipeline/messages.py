"""What travels beside samples and predictions: the beginning and the end of each source."""

from __future__ import annotations

from dataclasses import dataclass

from edgevid.errors import EdgevidError
from edgevid.types import (
    Clip,
    Event,
    Frame,
    Outage,
    Prediction,
    SampledFrame,
    SourceInfo,
    SourceStats,
)


@dataclass(frozen=True)
class SourceStarted:
    """A source was opened.

    Attributes:
        hop: Samples from one window to the next.
        notes: What the sampling does that a user should know, one sentence each.
    """

    source_id: str
    info: SourceInfo
    hop: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fates:
    """What became of a source's sampled frames and of its windows.

    Attributes:
        frames_used: Frames that reached a window.
        frames_dropped: Frames of a live source that the engine was too slow for.
        clips_dropped: Windows of a live source that newer ones replaced.
        clips_refused: Windows that miss frames, where only whole ones are wanted.
        clips_not_finite: Windows whose scores were NaN or infinite: they have no prediction.
        states_broken: How often the model's states were NaN or infinite and began anew.
    """

    frames_used: int = 0
    frames_dropped: int = 0
    clips_dropped: int = 0
    clips_refused: int = 0
    clips_not_finite: int = 0
    states_broken: int = 0


@dataclass(frozen=True)
class SourceEnded:
    """A source has no more frames.

    Attributes:
        stats: What was read.
        frames_sampled: How many frames the sampler took.
        error: Why it ended early; None at its natural end.
        fates: What became of them.
        fault: What `error` tells of, where it is a fault of edgevid or of a library, not of
            the source.
        missed: A camera or stream that ended by an error while it was wanted.
    """

    source_id: str
    stats: SourceStats
    frames_sampled: int
    error: EdgevidError | None = None
    fates: Fates = Fates()
    fault: Exception | None = None
    missed: bool = False

    @property
    def frames_skipped(self) -> int:
        """Frames that no window asked for, or that were read ahead when the run was stopped."""
        return self.stats.frames_read - self.fates.frames_used - self.fates.frames_dropped


Captured = SourceStarted | SampledFrame | Clip | Frame | Outage | SourceEnded
"""From a capture thread to the inference thread, in order."""

Result = SourceStarted | Prediction | Event | Frame | Outage | SourceEnded
"""To the caller, in order; an event follows the prediction that tells of it."""
