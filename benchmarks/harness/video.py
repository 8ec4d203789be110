"""Videos that never end, and the windows of one, read where they are used."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import cycle

from edgevid.clips import WindowBuilder
from edgevid.clips.sampling import SKIP
from edgevid.errors import SourceError
from edgevid.pipeline.plan import SamplingOptions, plan_sampling
from edgevid.protocols import FrameSource, WantFrame, every_frame
from edgevid.samples import SampleMaker, check_motion
from edgevid.sources import open_source
from edgevid.sources.clip_list import ListedClip
from edgevid.sources.part import Part
from edgevid.spec import ClipSpec, InputSpec
from edgevid.tracks import flow_interval
from edgevid.types import Clip, Frame, FrameTime, SourceInfo, SourceStats


class EndlessSource:
    """Plays videos one after another, again and again, as one stream without gaps.

        video 1        0.0  0.1  0.2 | video 2  0.0  0.1 | video 1  0.0 ...
        times          0.0  0.1  0.2            0.3  0.4            0.5

    Args:
        clips: What to play, in turn.
        source_id: Name that frames carry.
        first: Which of them comes first.
        wait_s: How long the first frame is held back, so that several do not keep step.
        sleep: How to wait.

    Raises:
        SourceError: The first video cannot be opened.
    """

    def __init__(
        self,
        clips: Sequence[ListedClip],
        source_id: str,
        first: int = 0,
        wait_s: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        order = [*clips[first:], *clips[:first]]
        self._clips = cycle(order)
        self._round = len(order)
        self._source_id = source_id
        self._wait_s = wait_s
        self._sleep = sleep
        self._source = _open(next(self._clips))
        self._info = self._source.info
        self._shift_s = 0.0
        self._frames_before = 0
        self._empty = 0
        self._last: FrameTime | None = None

    @property
    def source_id(self) -> str:
        return self._source_id

    @property
    def info(self) -> SourceInfo:
        return replace(self._info, num_frames=None)

    @property
    def stats(self) -> SourceStats:
        return SourceStats(frames_read=0 if self._last is None else self._last.index + 1)

    def read(self, want: WantFrame = every_frame) -> Frame | None:
        """The next frame that `want` accepts; never None.

        Raises:
            SourceError: A video cannot be read, or none of them holds a frame.
        """
        if self._wait_s > 0:
            self._sleep(self._wait_s)
            self._wait_s = 0.0
        while True:
            frame = self._source.read(lambda at: want(self._shifted(at)))
            if frame is not None and self._last is not None:
                return Frame(frame.data, self._last, self._source_id)
            self._next()

    def close(self) -> None:
        self._source.close()

    def _shifted(self, at: FrameTime) -> FrameTime:
        self._last = replace(
            at,
            index=self._frames_before + at.index,
            pts_s=self._shift_s + at.pts_s,
            next_pts_s=self._shift_s + at.next_pts_s,
        )
        return self._last

    def _next(self) -> None:
        """Go on with the next video, from the end of this one."""
        self._empty = 0 if self._source.stats.frames_read else self._empty + 1
        if self._empty >= self._round:
            raise SourceError(f"{self._source.source_id} holds no frame that decodes")
        self._source.close()
        self._source = _open(next(self._clips))
        if self._last is not None:
            self._shift_s = self._last.next_pts_s
            self._frames_before = self._last.index + 1


def _open(clip: ListedClip) -> FrameSource:
    source = open_source(clip.uri)
    part = Part(source, clip.start_s, clip.end_s)
    return source if part.info == source.info else part


class WindowReader:
    """The windows of one stream, each read when it is asked for, on the caller's thread.

    The sampler, the sizes and the rings are the pipeline's own; what is left out is its threads.

    Args:
        source: Endless; closed with this one.
        clip: The contract.
        inputs: The model's inputs.
        options: Changes to the contract.

    Raises:
        SourceError: It is a single picture, and the model takes optical flow.
        SpecError: An option cannot be right.
    """

    def __init__(
        self,
        source: FrameSource,
        clip: ClipSpec,
        inputs: Sequence[InputSpec],
        options: SamplingOptions,
    ) -> None:
        clip = options.applied_to(clip)
        check_motion(inputs, source.source_id, source.info.num_frames)
        plan = plan_sampling(clip, replace(source.info, is_live=True), True, flow_interval(inputs))
        self._source = source
        self._sampler = plan.sampler
        self._maker = SampleMaker(inputs)
        self._builder = WindowBuilder(clip, inputs, plan.hop, source.source_id)
        self._pick = SKIP

    def next_window(self) -> Clip:
        """The window that comes next; its arrays are valid until the next call.

        Raises:
            SourceError: The video cannot be read.
        """
        while True:
            started = time.perf_counter()
            frame = self._source.read(self._wanted)
            if frame is None:
                raise SourceError(f"{self._source.source_id} has ended")
            captured_ms = (time.perf_counter() - started) * 1e3
            window: Clip | None = None
            for sample in self._maker.push(frame, self._pick, captured_ms):
                # A frame that stands for several samples may complete several windows: the last
                # one is the newest.
                window = self._builder.push(sample) or window
            if window is not None:
                return window

    def close(self) -> None:
        self._source.close()

    def _wanted(self, at: FrameTime) -> bool:
        self._pick = self._sampler.pick(at)
        return self._pick.taken
