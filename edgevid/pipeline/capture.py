"""The capture thread: reads one lane's sources, samples, crops and resizes."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import chain

from edgevid.clips import WindowBuilder
from edgevid.clips.sampling import SKIP
from edgevid.engines.threads import default_threads
from edgevid.errors import EdgevidError, SourceError
from edgevid.pipeline.messages import Captured, SourceEnded, SourceStarted
from edgevid.pipeline.plan import SamplingPlan, plan_sampling, plan_whole_file
from edgevid.pipeline.queues import Closed, Inbox
from edgevid.protocols import ForeseeingSource, FrameSource
from edgevid.samples import SampleMaker, check_motion
from edgevid.sources.paced import PacedSource
from edgevid.sources.reconnecting import ReconnectingSource, RetryPolicy
from edgevid.spec import ClipSpec, InputSpec
from edgevid.tracks import flow_interval
from edgevid.types import Clip, Frame, FrameTime, SampledFrame, SourceInfo, SourceStats

_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass
class NamedSource:
    """A source that is opened when its turn comes, or is open already.

    Attributes:
        name: What it is called until it is open.
        reopen: Opens it, also a second time to read it again.
        opened: Open already; used the first time.
        can_return: `reopen` also works after the source was lost.
    """

    name: str
    reopen: Callable[[], FrameSource]
    opened: FrameSource | None = None
    can_return: bool = True

    def open(self) -> FrameSource:
        """The source, at its beginning."""
        source, self.opened = self.opened, None
        return source or self.reopen()

    def prepare(self) -> None:
        """Open it now, for the first `open`.

        Raises:
            SourceError: It cannot be opened.
        """
        self.opened = self.reopen()

    def is_waited_for(self, retry: RetryPolicy | None) -> bool:
        """True where it need not be there when the run begins."""
        return retry is not None and retry.at_start and self.can_return


class _NeverThere(Exception):
    """The run ended before a source that was waited for was there."""


@dataclass(frozen=True)
class CaptureJob:
    """What a capture thread does with each of its sources.

    Attributes:
        clip: The contract, options applied.
        inputs: The model's inputs.
        slide: Sliding windows on files too.
        duration_s: Stop each source at this time of its own clock; None: at its end.
        fast_resize: See `Resizer`.
        want_frames: Pass every frame on as well, for display.
        real_time: Play files at their own rate, as a camera would, and drop what is too late.
        strict_time: Leave out windows that miss frames, instead of marking their answers.
        retry: How a live source that was lost is tried again; None: its loss is its end.
    """

    clip: ClipSpec
    inputs: tuple[InputSpec, ...]
    slide: bool = False
    duration_s: float | None = None
    fast_resize: bool = False
    want_frames: bool = False
    real_time: bool = False
    strict_time: bool = False
    retry: RetryPolicy | None = None


class CaptureThread(threading.Thread):
    """Reads the sources of one lane, one after another, into the inbox.

    Every source ends with a `SourceEnded` that holds its error, if any; then the next one is
    played.

    Args:
        lane: Of the inbox.
        sources: Played one after another.
        job: What to do with each.
        inbox: Where samples go.
        after: Threads that had sources of the same names: nothing of theirs must come later.

    Attributes:
        ended: The `SourceEnded` of each source so far, also of one that was stopped.
        crash: What ended the thread, if nothing foresaw it.
    """

    def __init__(
        self,
        lane: int,
        sources: Sequence[NamedSource],
        job: CaptureJob,
        inbox: Inbox,
        after: Sequence[CaptureThread] = (),
    ) -> None:
        super().__init__(name=f"edgevid-capture-{lane}", daemon=True)
        self._lane = lane
        self._sources = sources
        self._job = job
        self._inbox = inbox
        self._after = after
        self.ended: list[SourceEnded] = []
        self.crash: BaseException | None = None
        self._stopping = threading.Event()
        self._reader: _Reader | None = None

    @property
    def names(self) -> set[str]:
        """Of the lane's sources."""
        return {source.name for source in self._sources}

    @property
    def is_over(self) -> bool:
        """True once it was stopped or has played everything; it may still be at it."""
        return self._stopping.is_set()

    def has_failed(self, name: str) -> bool:
        """True where a source of the lane has ended by an error."""
        return any(one.source_id == name and one.error is not None for one in list(self.ended))

    def so_far(self) -> SourceEnded | None:
        """What was read of the source that plays; None between two."""
        reader = self._reader
        if reader is None:
            return None
        # In this order, what was sampled is never more than what was read.
        sampled = reader.sampled
        return SourceEnded(reader.source.source_id, reader.source.stats, sampled)

    def stop(self) -> None:
        """Wake the thread where it waits for its source, so that it can end."""
        self._stopping.set()

    def run(self) -> None:
        try:
            for thread in self._after:
                thread.join()
                self._inbox.wait_until_taken(thread._lane)
            self._after = ()
            for source in self._sources:
                if self._stopping.is_set():
                    break
                self._play(source)
        except Closed:
            pass
        except BaseException as exc:
            self.crash = exc
        finally:
            self._stopping.set()
            self._inbox.finish(self._lane)

    def _play(self, named: NamedSource) -> None:
        error: EdgevidError | None = None
        fault: Exception | None = None
        try:
            self._reader = _Reader(named, self._job, self._put, self._stopping, self._lane)
            self._read(self._reader)
        except _NeverThere:
            pass
        except EdgevidError as exc:
            error = exc
        except Exception as exc:
            error, fault = _unforeseen(named.name, exc), exc
        finally:
            wanted = not self._stopping.is_set()
            reader = self._reader
            live = reader.source.info.is_live if reader else named.can_return
            read = self.so_far() or SourceEnded(named.name, SourceStats(), 0)
            missed = error is not None and live and wanted
            # Told before it no longer plays: `progress` must find it in one of both.
            self.ended.append(replace(read, error=error, fault=fault, missed=missed))
            self._reader = None
            if reader is not None:
                reader.source.close()
        self._put(self.ended[-1])

    def _read(self, reader: _Reader) -> None:
        is_live = reader.source.info.is_live
        self._inbox.set_live(self._lane, is_live)
        if is_live or self._job.real_time:
            _give_way(self._inbox.lanes)
        reader.read_all()

    def _put(self, *items: Captured) -> None:
        self._inbox.put(self._lane, *items)


def _unforeseen(name: str, fault: Exception) -> SourceError:
    """What the other sources' readers see of a fault that nobody foresaw."""
    return SourceError(
        f"{name} is played no more, for a fault of edgevid or of a library: "
        f"{type(fault).__name__}: {fault}",
        "Report it with the traceback, which the log (--log) holds",
    )


def _give_way(lanes: int) -> None:
    """Let the engine go before the many threads that decode in real time.

    The kernel would have it wait for each of them as if it were one of them. All together still
    weigh twice as much as its threads, so that they keep up: a step of niceness is a factor of
    1.25 (docs.kernel.org/scheduler/sched-nice-design.html).
    """
    steps = int(math.log(max(lanes / (2 * default_threads()), 1.0), 1.25))
    if steps and sys.platform == "linux":
        # From the process's own: a lane may play many sources, one after another.
        nice = os.getpriority(os.PRIO_PROCESS, os.getpid()) + steps
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(nice, 19))


class _Reader:
    """Reads one source to its end."""

    def __init__(
        self,
        named: NamedSource,
        job: CaptureJob,
        put: Callable[..., None],
        stop: threading.Event,
        lane: int,
    ) -> None:
        self._open = named.open
        self._job = job
        self._flow_interval = flow_interval(job.inputs)
        self._put = put
        self._stop = stop
        self.source = _kept_up(named, job, put, stop, lane)
        self.sampled = 0

    def read_all(self) -> None:
        info = self.source.info
        if not info.is_live:
            check_motion(self._job.inputs, self.source.source_id, info.num_frames)
        limit = self._job.duration_s
        if limit is not None and info.num_frames:
            info = replace(info, num_frames=min(info.num_frames, max(int(limit * info.fps), 1)))
        plan = plan_sampling(self._job.clip, info, self._job.slide, self._flow_interval)
        self._put(SourceStarted(self.source.source_id, info, plan.hop, plan.notes))
        if plan.expected_frames is None:
            for samples in self._samples(plan):
                self._put(*samples)
        else:
            self._put_whole_file(plan, plan.expected_frames)

    def _put_whole_file(self, plan: SamplingPlan, expected: int) -> None:
        """One window from the whole file; read again where the header's count was wrong."""
        samples = [*chain.from_iterable(self._samples(plan))]
        decoded = self.source.stats.frames_read
        if decoded != expected and decoded > 0 and self._job.duration_s is None:
            self.source.close()
            self.source = self._open()
            self.sampled = 0
            plan = plan_whole_file(self._job.clip, decoded, self._flow_interval)
            samples = [*chain.from_iterable(self._samples(plan))]
        clip = whole_file_clip(self._job, samples, self.source.source_id, decoded)
        if clip is not None:
            self._put(clip)

    def _samples(self, plan: SamplingPlan) -> Iterable[list[SampledFrame]]:
        """The samples of each frame that has any."""
        picker = _Picker(plan, self._job.want_frames)
        if isinstance(self.source, ForeseeingSource) and not self._job.want_frames:
            self.source.foresee(_Picker(deepcopy(plan)).want)
        maker = SampleMaker(self._job.inputs, self._job.fast_resize)
        while True:
            started = time.perf_counter()
            frame = self.source.read(picker.want)
            if frame is None or self._is_over(frame) or self._stop.is_set():
                break
            captured = time.perf_counter()
            if self._job.want_frames:
                self._put(frame)
            if not picker.pick.taken:
                continue
            self.sampled += bool(picker.pick.ticks_s)
            capture_ms = self._capture_ms(frame, started, captured)
            if samples := maker.push(frame, picker.pick, capture_ms):
                yield samples
        if not self._stop.is_set():
            # A header may promise more frames than decode.
            check_motion(self._job.inputs, self.source.source_id, self.source.stats.frames_read)

    def _is_over(self, frame: Frame) -> bool:
        limit = self._job.duration_s
        return limit is not None and frame.time.pts_s >= limit

    def _capture_ms(self, frame: Frame, started: float, captured: float) -> float:
        if self.source.info.is_live:
            # Waiting for a live frame costs nothing: count from its arrival.
            return (time.monotonic_ns() - frame.time.received_ns) / 1e6
        return (captured - started) * 1e3


def _kept_up(
    named: NamedSource,
    job: CaptureJob,
    put: Callable[..., None],
    stop: threading.Event,
    lane: int,
) -> FrameSource:
    """The source; a live one comes back where it is lost, a file keeps time where it shall."""
    try:
        source = named.open()
    except SourceError as exc:
        if job.retry is None or not named.is_waited_for(job.retry):
            raise
        coming = ReconnectingSource(exc, named.reopen, job.retry, put, stop, name=named.name)
        if not coming.connect():
            raise _NeverThere from None
        return coming
    if not source.info.is_live:
        if not job.real_time:
            return source
        return PacedSource(source, stop, start_after_s=_phase_s(lane, job.clip, source.info))
    if job.retry is None or not named.can_return:
        return source
    return ReconnectingSource(source, named.reopen, job.retry, put, stop)


def _phase_s(lane: int, clip: ClipSpec, info: SourceInfo) -> float:
    """Files in real time start a part of a hop apart: together they would all want the engine at
    the same moments, which cameras do not. Multiples of the golden ratio are spread evenly for
    any number of lanes."""
    frame_s = 1 / info.fps if info.fps > 0 else 0.0
    hop_s = clip.hop_s or clip.period_s or clip.frame_interval * frame_s
    return lane * _GOLDEN % 1 * hop_s


class _Picker:
    """Remembers what the sampler said about the frame that `read` is about to give."""

    def __init__(self, plan: SamplingPlan, want_all: bool = False) -> None:
        self._sampler = plan.sampler
        self._want_all = want_all
        self.pick = SKIP

    def want(self, frame_time: FrameTime) -> bool:
        pick = self.pick = self._sampler.pick(frame_time)
        return self._want_all or (pick is not SKIP and pick.taken)


def whole_file_clip(
    job: CaptureJob, samples: list[SampledFrame], source_id: str, decoded: int
) -> Clip | None:
    """The one window of a file, padded with its last frame where frames are missing."""
    builder = WindowBuilder(job.clip, job.inputs, job.clip.num_frames, source_id)
    clip: Clip | None = None
    for sample in samples:
        clip = builder.push(sample) or clip
    clip = clip or builder.finish()
    if clip is None:
        return None
    return replace(clip, padded=max(clip.padded, job.clip.num_frames - decoded, 0))
