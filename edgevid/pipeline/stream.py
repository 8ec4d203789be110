"""The running pipeline: capture threads, one inference thread, and the caller's own thread.

    capture 0 ─┐
    capture 1 ─┼─► inbox ─► inference thread ─► outbox ─► caller (sinks)
    capture n ─┘            rings, engine, smoothers

The caller iterates. Every thread forwards its error and its end, so a run ends cleanly or
with the first error.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

from edgevid.errors import SourceError
from edgevid.events import EventRules
from edgevid.pipeline.capture import CaptureJob, CaptureThread, NamedSource
from edgevid.pipeline.due import Batching
from edgevid.pipeline.event_tracker import EventTracker
from edgevid.pipeline.inference import Inference
from edgevid.pipeline.messages import Result, SourceEnded
from edgevid.pipeline.queues import Closed, Inbox, Outbox, Waiting
from edgevid.pipeline.summary import SourceProgress, Summary
from edgevid.protocols import Engine
from edgevid.smoothing import SmootherFactory
from edgevid.spec import StateSpec
from edgevid.types import Event, Prediction

_INBOX_CAPACITY = 64
_INBOX_CAPACITY_WITH_FRAMES = 8
_OUTBOX_CAPACITY = 16
_TURN_S = 0.5
_INFER_JOIN_S = 5.0
_CAPTURE_JOIN_S = 0.2
"""Nothing can wake a thread that waits for the network. It ends, and closes its source, when its
time-out has passed."""


class Stream(Iterator[Prediction]):
    """Predictions as they come. Iterate once; then look at `summary`.

    A context manager: leaving it stops the threads and closes sources and engine.

    Args:
        engine: Runs the bundle's graph; closed at the end.
        labels: One name per class.
        lanes: Each a list of sources that are played one after another; lanes run side by side.
        job: What to do with every source.
        new_smoother: Makes the smoother of one stream; None: none.
        max_clips: Stop after this many predictions; None: at the end of the sources.
        states: What the graph hands from one call to the next.
        batching: How windows of several lanes share a call of the engine.
        priorities: For each lane, at least 1: its share of the engine where all want more.
        events: When events begin and end; None: there are none.
    """

    def __init__(
        self,
        engine: Engine,
        labels: Sequence[str],
        lanes: Sequence[Sequence[NamedSource]],
        job: CaptureJob,
        new_smoother: SmootherFactory | None = None,
        max_clips: int | None = None,
        states: Sequence[StateSpec] = (),
        batching: Batching | None = None,
        priorities: Sequence[int] | None = None,
        events: EventRules | None = None,
    ) -> None:
        self.summary = Summary()
        self.summary.engine = engine.name
        self._left = max_clips
        self._events = EventTracker(labels, events)
        capacity = _INBOX_CAPACITY_WITH_FRAMES if job.want_frames else _INBOX_CAPACITY
        self._inbox = Inbox(max(capacity, job.clip.num_frames), priorities or [1] * len(lanes))
        self._outbox: Outbox[Result] = Outbox(_OUTBOX_CAPACITY)
        self._captures = [
            CaptureThread(number, sources, job, self._inbox) for number, sources in enumerate(lanes)
        ]
        self._job = job
        # The error of a source that is all there is ends the run; other sources go on.
        self._alone = [len(lanes) == 1 and len(lanes[0]) == 1]
        self._inference = Inference(
            engine,
            labels,
            job,
            self._alone,
            new_smoother,
            self._inbox,
            self._outbox,
            states,
            batching,
        )
        # The threads must not hold the stream itself: one that is dropped half-way, or still
        # open when the interpreter exits, is then closed by its finalizer.
        self._inferring = self._inference_thread()
        self._started = False
        self._named = [source for lane in lanes for source in lane]
        self._close = weakref.finalize(
            self,
            _close,
            self._inbox,
            self._outbox,
            self._captures,
            self._inferring,
            engine,
            self._named,
        )

    @property
    def num_sources(self) -> int:
        """Sources that play, or will."""
        return len(self._named)

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Prediction:
        for result in self.results():
            if isinstance(result, Prediction):
                return result
        raise StopIteration

    def add_lane(self, sources: Sequence[NamedSource], priority: int = 1) -> None:
        """Play more sources beside those that play; of no effect once the stream has ended.

        They are opened on a thread of their own. Sources that follow stopped ones of the same name
        begin when those have ended.

        Raises:
            SourceError: One of that name plays already.
        """
        names = {source.name for source in sources}
        before = [capture for capture in self._captures if capture.names & names]
        for capture in before:
            if not capture.is_over:
                name = min(capture.names & names)
                raise SourceError(f"source {name!r} plays already", "Name each source once")
        self._alone[:] = [False]
        number = self._inbox.add_lane(priority)
        capture = CaptureThread(number, sources, self._job, self._inbox, before)
        self._captures.append(capture)
        self._named.extend(sources)
        if self._started and self._close.alive:
            capture.start()

    def stop_source(self, name: str) -> None:
        """Stop reading the lane that holds a source of that name; the others go on."""
        for capture in self._captures:
            if name in capture.names:
                capture.stop()

    def has_failed(self, name: str) -> bool:
        """True where the source of that name ended by an error, and nothing took its place."""
        lives = [capture for capture in self._captures if name in capture.names]
        return bool(lives) and lives[-1].has_failed(name)

    def stop(self) -> None:
        """Stop reading every source. What is read already is answered, then the stream ends."""
        for capture in self._captures:
            capture.stop()

    def results(self, meanwhile: Callable[[], None] = lambda: None) -> Iterator[Result]:
        """Everything in order: sources that start and end, frames (if wanted), predictions.

        Args:
            meanwhile: Called between results, at least twice a second.

        Raises:
            EdgevidError: The engine, or the only source, failed.
        """
        self._start()
        while self._left is None or self._left > 0:
            meanwhile()
            try:
                result = self._outbox.get(_TURN_S)
            except Waiting:
                continue
            except BaseException:
                self.close()
                raise
            if result is None:
                break
            if isinstance(result, Prediction) and self._left is not None:
                self._left -= 1
            for item in self._with_events(result):
                self.summary.note(item)
                yield item
        yield from self.end_events()
        self.close()

    def progress(self) -> list[SourceProgress]:
        """What became of the frames of every source so far. Safe to call from any thread."""
        found: dict[str, SourceProgress] = {}
        for number, capture in enumerate(list(self._captures)):
            for one in self._progress_of(number, capture):
                # A source that was taken out and added again counts on.
                found[one.name] = found[one.name] + one if one.name in found else one
        return [*found.values()]

    def _progress_of(self, number: int, capture: CaptureThread) -> Collection[SourceProgress]:
        found: dict[str, SourceProgress] = {}
        if (playing := capture.so_far()) is not None:
            fates = self._inference.fates(number, playing.source_id)
            # What was read is asked for again: it must not be less than what came of it.
            now = capture.so_far()
            if now is not None and now.source_id == playing.source_id:
                waiting = self._inbox.waiting(number)
                found[now.source_id] = SourceProgress.of(replace(now, fates=fates), waiting)
        for ended in list(capture.ended):
            fates = self._inference.fates(number, ended.source_id)
            found[ended.source_id] = SourceProgress.of(replace(ended, fates=fates))
        return found.values()

    def end_events(self) -> list[Event]:
        """End the events that are open: for a caller that does not read `results` to its end."""
        events = self._events.finish()
        for event in events:
            self.summary.note(event)
        return events

    def _with_events(self, result: Result) -> list[Result]:
        """An event comes after the prediction that tells of it, and before its source's end."""
        if isinstance(result, Prediction):
            return [result, *self._events.predicted(result)]
        if isinstance(result, SourceEnded):
            return [*self._events.ended(result.source_id), result]
        return [result]

    def close(self) -> None:
        """Stop the threads, close sources and engine. Safe to call twice."""
        if self._close.alive:
            self._close()
            self._account_for_unread()
            self.summary.finish()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        if not self._started:
            self._started = True
            for thread in (*self._captures, self._inferring):
                thread.start()

    def _inference_thread(self) -> threading.Thread:
        arguments = (self._inference, self._captures, self._inbox, self._outbox)
        return threading.Thread(
            target=_infer, args=arguments, name="edgevid-inference", daemon=True
        )

    def _account_for_unread(self) -> None:
        """Count what was read of sources whose end nobody saw, because the caller stopped."""
        for number, capture in enumerate(self._captures):
            for message in (*capture.ended, capture.so_far()):
                if message is not None and self.summary.is_open(message.source_id):
                    fates = self._inference.fates(number, message.source_id)
                    self.summary.source_ended(replace(message, fates=fates))


def _infer(
    inference: Inference,
    captures: Sequence[CaptureThread],
    inbox: Inbox,
    outbox: Outbox[Result],
) -> None:
    """What the inference thread does; its error goes to the caller."""
    try:
        inference.run()
        crashes = [c.crash for c in captures if c.crash is not None]
        outbox.finish(crashes[0] if crashes else None)
    except Closed:
        outbox.finish()
    except BaseException as exc:
        outbox.finish(exc)
        inbox.close()


def _close(
    inbox: Inbox,
    outbox: Outbox[Result],
    captures: Sequence[CaptureThread],
    inference: threading.Thread,
    engine: Engine,
    sources: Sequence[NamedSource],
) -> None:
    for capture in captures:
        capture.stop()
    inbox.close()
    outbox.close()
    until_s = time.monotonic() + _CAPTURE_JOIN_S
    for capture in captures:
        if capture.is_alive():
            capture.join(max(until_s - time.monotonic(), 0.0))
    if inference.is_alive():
        inference.join(_INFER_JOIN_S)
    for source in sources:
        if source.opened is not None:
            source.opened.close()
    engine.close()
