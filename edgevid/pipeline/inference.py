"""The inference thread: rings, executor and decisions of every lane."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgevid.clips import WindowBuilder
from edgevid.errors import EdgevidError
from edgevid.pipeline.capture import CaptureJob
from edgevid.pipeline.decisions import Continuity, Decider, Scored
from edgevid.pipeline.due import Batching, Call, Due
from edgevid.pipeline.executor import Executor, Memory, Request, new_executor
from edgevid.pipeline.messages import Captured, Fates, Result, SourceEnded, SourceStarted
from edgevid.pipeline.queues import Inbox, Outbox
from edgevid.protocols import Engine
from edgevid.smoothing import SmootherFactory
from edgevid.spec import StateSpec
from edgevid.types import (
    Clip,
    Float32Array,
    Frame,
    Outage,
    Prediction,
    SampledFrame,
    StageTimings,
)

_MOST_MISSING = 4
"""Windows that may be missing in a row before smoothing begins anew (if they outlast a window)."""

_FED_AT_ONCE = 2
"""Frames of one stream. A CPU needs less time for two than for one and one; the activations of
more no longer fit its caches."""


@dataclass
class _Lane:
    """What one stream remembers between windows."""

    source_id: str
    builder: WindowBuilder
    decider: Decider
    continuity: Continuity
    memory: Memory
    source_number: int
    live: bool
    frames_used: int = 0
    newest_frame: int = -1
    clips_dropped: int = 0
    clips_refused: int = 0
    clips_not_finite: int = 0
    states_broken: int = 0

    def count(self, sample: SampledFrame) -> None:
        """A frame may stand for several samples, which come one after another."""
        self.frames_used += sample.time.index != self.newest_frame
        self.newest_frame = sample.time.index

    def restart(self) -> None:
        """Forget what came before: it no longer counts."""
        self.memory.reset()
        self.continuity.broken()


class Inference:
    """Turns captured samples into predictions, in the order in which they come.

    Args:
        alone: Holds True where there is one source only, whose error then ends the run.
        inbox, outbox: The queues on both sides.
        states: What the graph hands from one call to the next, for each stream apart.
        batching: How windows share a call, where the graph lets them.
    """

    def __init__(
        self,
        engine: Engine,
        labels: Sequence[str],
        job: CaptureJob,
        alone: Sequence[bool],
        new_smoother: SmootherFactory | None,
        inbox: Inbox,
        outbox: Outbox[Result],
        states: Sequence[StateSpec] = (),
        batching: Batching | None = None,
    ) -> None:
        batching = batching or Batching()
        self._executor = new_executor(engine, states, max(batching.max_batch, _FED_AT_ONCE))
        self._due = Due(_possible(batching, self._executor, job.clip.num_frames))
        self._labels = tuple(labels)
        self._job = job
        self._alone = alone
        self._new_smoother = new_smoother
        self._inbox = inbox
        self._outbox = outbox
        self._lanes: dict[int, _Lane] = {}
        self._ended: dict[tuple[int, str], Fates] = {}
        self._sources_started: dict[int, int] = {}

    def run(self) -> None:
        """Work until every lane has ended.

        Raises:
            EdgevidError: The engine, or the only source of a lane, failed.
            Closed: The stream was closed.
        """
        while True:
            message = self._inbox.get(self._due.held, self._due.until_s)
            if message is not None:
                self._handle(*message)
                self._answer(self._due.full())
            elif calls := self._due.all():
                for call in calls:
                    self._answer(call)
            else:
                return

    def _handle(self, number: int, item: Captured) -> None:
        if isinstance(item, SampledFrame):
            self._sampled(number, item)
            return
        # What comes after them must not overtake them.
        self._answer(self._due.of(number))
        if isinstance(item, (Frame, Outage)):
            self._outbox.put(item)
        elif isinstance(item, Clip):
            self._lanes[number].frames_used += len(set(item.frames))
            self._due.add(number, item, time.monotonic(), more=False)
        elif isinstance(item, SourceStarted):
            self._source_started(number, item)
        else:
            self._source_ended(number, item)

    def _source_started(self, number: int, message: SourceStarted) -> None:
        builder = WindowBuilder(self._job.clip, self._job.inputs, message.hop, message.source_id)
        self._lanes[number] = _Lane(
            message.source_id,
            builder,
            Decider(self._labels, self._new_smoother() if self._new_smoother else None),
            Continuity(self._max_hole_s(message.hop)),
            self._executor.new_memory(),
            self._sources_started.get(number, 0),
            self._inbox.is_live(number),
        )
        self._sources_started[number] = self._lanes[number].source_number + 1
        self._outbox.put(message)

    def _max_hole_s(self, hop: int) -> float | None:
        """Windows that end farther apart have nothing in common any more; None: not timed."""
        period_s = self._job.clip.period_s
        if period_s is None:
            return None
        return period_s * max(self._job.clip.num_frames, _MOST_MISSING * hop)

    def fates(self, number: int, source_id: str) -> Fates:
        """What became so far of a source of lane `number`. Safe to call from any thread."""
        lane = self._lanes.get(number)
        if lane is None or lane.source_id != source_id:
            return self._ended.get((number, source_id), Fates())
        return Fates(
            frames_used=lane.frames_used,
            frames_dropped=self._inbox.dropped(number, lane.source_number),
            clips_dropped=lane.clips_dropped,
            clips_refused=lane.clips_refused,
            clips_not_finite=lane.clips_not_finite,
            states_broken=lane.states_broken,
        )

    def _source_ended(self, number: int, message: SourceEnded) -> None:
        lane = self._lanes.get(number)
        if lane is not None:
            last = lane.builder.finish()
            if last is not None and message.error is None:
                self._answer([(number, last)])
            for prediction in lane.decider.finish():
                self._outbox.put(prediction)
        fates = self.fates(number, message.source_id)
        self._ended[number, message.source_id] = fates
        message = replace(message, fates=fates)
        self._lanes.pop(number, None)
        self._outbox.put(message)
        if message.error is not None and all(self._alone):
            raise message.fault or message.error

    def _sampled(self, number: int, sample: SampledFrame) -> None:
        lane = self._lanes[number]
        lane.count(sample)
        if sample.restart:
            self._restart(number)
        clip = lane.builder.push(sample)
        if clip is None:
            return
        if self._inbox.backlog(number) >= lane.builder.hop:
            # A newer window is already complete: this one would only be late.
            lane.clips_dropped += 1
        elif clip.gap and self._job.strict_time:
            lane.clips_refused += 1
            self._restart(number)
        else:
            self._due.add(number, clip, time.monotonic(), more=not lane.live)

    def _restart(self, number: int) -> None:
        """Begin a lane's stream anew, once what came before is answered."""
        self._answer(self._due.of(number))
        self._lanes[number].restart()

    def _answer(self, call: Call) -> None:
        """Windows that go to the engine together."""
        if not call:
            return
        counts = Counter(number for number, _ in call)
        due = [(self._lanes[number], clip) for number, clip in call]
        started = time.monotonic_ns()
        answers = self._executor.run([Request(clip, lane.memory) for lane, clip in due])
        inferred = time.monotonic_ns()
        self._due.took((inferred - started) / 1e9, len(due))
        took_ms = (inferred - started) / 1e6
        for (number, clip), scores in zip(call, answers, strict=True):
            lane = self._lanes[number]
            if scores is None:
                # What comes of broken states is no answer.
                lane.states_broken += 1
                lane.restart()
                continue
            self._check(scores)
            for prediction in self._decide(lane, clip, scores, took_ms / counts[number], inferred):
                self._outbox.put(prediction, at_once=lane.live)

    def _decide(
        self, lane: _Lane, clip: Clip, scores: Float32Array, infer_ms: float, inferred: int
    ) -> list[Prediction]:
        if not _all_finite(scores):
            # Neither the smoother nor a reader can do anything with it.
            lane.clips_not_finite += 1
            return []
        here_ms = (inferred - clip.newest_received_ns) / 1e6
        timings = StageTimings(
            capture_ms=clip.capture_ms,
            preprocess_ms=clip.preprocess_ms,
            queue_ms=max(here_ms - clip.preprocess_ms - infer_ms, 0.0),
            infer_ms=infer_ms,
        )
        end_s = clip.end_s
        window = Scored(
            source_id=clip.source_id,
            index=clip.index,
            start_s=clip.start_s,
            end_s=end_s,
            scores=scores,
            gap=clip.gap,
            restart=lane.continuity.is_restart(end_s, clip.gap),
            padded=clip.padded,
            timings=timings,
            latency_from="capture" if clip.newest_taken_ns else "arrival",
            since_ns=clip.newest_taken_ns or clip.newest_received_ns,
            blank=clip.blank,
            inferred_ns=inferred,
        )
        return lane.decider.take(window)

    def _check(self, scores: Float32Array) -> None:
        if scores.shape != (len(self._labels),):
            raise EdgevidError(
                f"the model gives scores of shape {scores.shape}, the bundle has "
                f"{len(self._labels)} labels",
                "Convert the model again with labels that match it",
            )


def _possible(batching: Batching, executor: Executor, num_frames: int) -> Batching:
    """As far as the graph lets windows share a call."""
    if not executor.shares_calls:
        return Batching()
    # The next window of several frames would be written over the one that waits.
    alone = num_frames > 1 or not executor.shares_streams
    return replace(batching, of_a_file=1) if alone else batching


def _all_finite(scores: Float32Array) -> bool:
    # A NaN is what both find. After an engine call, arithmetic of arrays costs ten times this.
    least, most = scores.item(scores.argmin()), scores.item(scores.argmax())
    return math.isfinite(least) and math.isfinite(most)
