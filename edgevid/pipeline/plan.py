"""How a contract is kept on one source: which sampler, which hop, whole file or sliding."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgevid.clips import (
    FrameIndexSampler,
    IntervalSampler,
    NthFrameSampler,
    PairSampler,
    Sampler,
    segment_indices,
    uniform_indices,
)
from edgevid.errors import SpecError
from edgevid.spec import DEFAULT_WINDOW_S, ClipSpec
from edgevid.types import SourceInfo

_HOP_TOLERANCE = 0.1
"""A hop that is rounded to whole samples by more than this part of it is worth a note."""


@dataclass(frozen=True)
class SamplingOptions:
    """What a caller may say on top of the contract.

    Attributes:
        hop_s: Seconds from one window to the next; None: as in the contract.
        window_s: Sliding windows of this span on files too, for `uniform` and `segments`
            contracts; None: one window a file.
        frame_interval: Overrides the contract's; for a clip model this changes its tempo.
    """

    hop_s: float | None = None
    window_s: float | None = None
    frame_interval: int | None = None

    def applied_to(self, clip: ClipSpec) -> ClipSpec:
        """The contract with these changes.

        Raises:
            SpecError: A value is out of range, or does not belong to this contract.
        """
        for name, value in (("hop", self.hop_s), ("window", self.window_s)):
            if value is not None and not value > 0:
                raise SpecError(f"--{name} {value} must be above 0 seconds")
        if self.frame_interval is not None and self.frame_interval < 1:
            raise SpecError(f"--stride {self.frame_interval} must be at least 1")
        whole_file = clip.sampling != "interval"
        if self.frame_interval is not None and whole_file:
            raise SpecError(
                f"--stride does not apply: this model's frames are spread by "
                f"{clip.sampling!r} sampling",
                "Use --window to slide over a long video",
            )
        if self.window_s is not None and not whole_file:
            raise SpecError(
                "--window does not apply: this model's window is fixed by its frame interval",
                "Use --hop to change how often it answers",
            )
        changes = {
            "hop_s": self.hop_s,
            "window_s": self.window_s,
            "frame_interval": self.frame_interval,
        }
        return clip.model_copy(update={k: v for k, v in changes.items() if v is not None})

    @property
    def slide(self) -> bool:
        """True where windows shall slide over files whatever the sampling."""
        return self.window_s is not None or self.hop_s is not None


@dataclass(frozen=True)
class SamplingPlan:
    """The sampler of one source, and the samples from one window to the next.

    Attributes:
        expected_frames: For one window a file: the frame count that the plan rests on; the
            plan holds only if that many decode. None for sliding windows.
        notes: What a user should know, one sentence each.
    """

    sampler: Sampler
    hop: int
    expected_frames: int | None = None
    notes: tuple[str, ...] = ()


def plan_sampling(
    clip: ClipSpec, info: SourceInfo, slide: bool, flow_interval: int | None = None
) -> SamplingPlan:
    """Choose how to sample a source.

    Args:
        clip: The contract, options applied.
        info: The source's own figures.
        slide: Sliding windows on files too.
        flow_interval: Of the inputs, where one has it.
    """
    whole_file = clip.sampling != "interval" and not info.is_live and not slide
    if whole_file:
        # A wrong or unknown count only costs a second pass over the file.
        return plan_whole_file(clip, info.num_frames or 1, flow_interval)
    plan = _plan_sliding(clip, info)
    if flow_interval is None:
        return plan
    frame_s = 1.0 / info.fps if info.fps > 0 else 0.0
    return replace(plan, sampler=PairSampler(plan.sampler, flow_interval, clip.fps, frame_s))


def _plan_sliding(clip: ClipSpec, info: SourceInfo) -> SamplingPlan:
    frame_s = 1.0 / info.fps if info.fps > 0 else 0.0
    period_s = clip.period_s
    if period_s is None:
        return _hopping(NthFrameSampler(clip.frame_interval), clip, clip.frame_interval * frame_s)
    sampler = IntervalSampler(period_s, frame_s, period_s * clip.num_frames)
    plan = _hopping(sampler, clip, period_s)
    if frame_s > 1.5 * period_s:
        note = (
            f"the source has {info.fps:.3g} frames a second, the model wants "
            f"{1 / period_s:.3g}: frames are repeated"
        )
        plan = replace(plan, notes=(*plan.notes, note))
    if clip.sampling != "interval":
        span = clip.window_s or DEFAULT_WINDOW_S
        plan = replace(
            plan,
            notes=(*plan.notes, f"{clip.num_frames} frames are spread over windows of {span:g} s"),
        )
    return plan


def plan_whole_file(
    clip: ClipSpec, num_decoded: int, flow_interval: int | None = None
) -> SamplingPlan:
    """One window from a file of which `num_decoded` frames decode.

    With a flow interval the frames at the end, which have no second frame, are not sampled,
    as in TSN's test setting.
    """
    indices = uniform_indices if clip.sampling == "uniform" else segment_indices
    paired = max(num_decoded - (flow_interval or 0), 1)
    sampler: Sampler = FrameIndexSampler(indices(paired, clip.num_frames))
    if flow_interval is not None:
        sampler = PairSampler(sampler, flow_interval)
    return SamplingPlan(sampler, hop=clip.num_frames, expected_frames=num_decoded)


def _hopping(sampler: Sampler, clip: ClipSpec, period_s: float) -> SamplingPlan:
    """Windows every so many samples; one where nothing says otherwise."""
    if clip.hop_s is None or period_s <= 0:
        return SamplingPlan(sampler, hop=1)
    hop = max(1, round(clip.hop_s / period_s))
    every_s = hop * period_s
    if abs(every_s - clip.hop_s) <= _HOP_TOLERANCE * clip.hop_s:
        return SamplingPlan(sampler, hop)
    note = (
        f"a window every {every_s:.3g} s, not every {clip.hop_s:g} s: "
        f"samples are {period_s:.3g} s apart"
    )
    return SamplingPlan(sampler, hop, notes=(note,))
