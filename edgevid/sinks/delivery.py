"""Hands results to sinks, each on a thread of its own: a slow or dead one holds nobody up."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from edgevid.bell import Bell
from edgevid.errors import OutputError
from edgevid.protocols import EventSink, FrameSink, OutageSink, Sink
from edgevid.types import Event, Frame, Outage, Prediction

_CAPACITY = 256
_FRAMES = 8
"""Frames that may wait: they are large."""

Deliverable = Prediction | Event | Outage | Frame
"""What sinks may take."""

_Item = tuple[Callable[[], None], bool]
"""What writes a result, and whether it is a frame."""


class Delivery:
    """Gives every result to every sink that takes its kind, in order.

    With files alone nothing may be lost: a full queue makes the caller wait, and the error of a
    sink is raised in the caller. Beside a live source, which does not wait, the oldest result
    gives way and is counted, and a sink that fails is left out from then on.

    Args:
        sinks: Closed with this.
        warn: Told of a sink that failed, in a sentence.
    """

    def __init__(self, sinks: Sequence[Sink], warn: Callable[[str], None] = lambda _: None) -> None:
        self._workers = [_Worker(sink, warn) for sink in sinks]

    def go_live(self) -> None:
        """A live source plays: from now on it comes before completeness."""
        for worker in self._workers:
            worker.lossless = False

    def deliver(self, result: Deliverable) -> None:
        """Hand one result on.

        Raises:
            OutputError: A sink failed, and nothing may be lost.
            BrokenPipeError: The reader of a sink went away.
        """
        for worker in self._workers:
            if (write := writer(worker.sink, result)) is not None:
                worker.put(write, isinstance(result, Frame))

    def close(self, within_s: float | None = None) -> None:
        """Wait until everything is delivered, or for so many seconds; then close the sinks.

        A sink that still hangs then is left as it is: to close it would hang as well.

        Raises:
            OutputError: As `deliver`, or a sink cannot be closed.
            BrokenPipeError: As `deliver`.
        """
        until_s = None if within_s is None else time.monotonic() + within_s
        for worker in self._workers:
            worker.finish(until_s)
        for worker in self._workers:
            worker.close()
        for worker in self._workers:
            worker.raise_error()

    @property
    def undelivered(self) -> dict[str, int]:
        """Sinks that something did not reach, by the name of their class, and how much."""
        return {type(w.sink).__name__: w.lost for w in self._workers if w.lost}


def writer(sink: Sink, result: Deliverable) -> Callable[[], None] | None:
    """What writes that result to that sink; None where it does not take its kind."""
    if isinstance(result, Prediction):
        return lambda: sink.write(result)
    if isinstance(result, Event):
        return (lambda: sink.write_event(result)) if isinstance(sink, EventSink) else None
    if isinstance(result, Outage):
        return (lambda: sink.write_outage(result)) if isinstance(sink, OutageSink) else None
    return (lambda: sink.write_frame(result)) if isinstance(sink, FrameSink) else None


class _Worker:
    """One sink, its queue and its thread."""

    def __init__(self, sink: Sink, warn: Callable[[str], None]) -> None:
        self.sink = sink
        self.lost = 0
        self.lossless = True
        self._written = 0
        self._warn = warn
        self._queue: deque[_Item] = deque()
        self._lock = threading.Lock()
        self._filled, self._room = Bell(self._lock), Bell(self._lock)
        self._finished = False
        self._busy = False
        self._error: BaseException | None = None
        self._raised = False
        self._thread = threading.Thread(
            target=self._run, name=f"edgevid-{type(sink).__name__}", daemon=True
        )
        self._thread.start()

    def put(self, write: Callable[[], None], is_frame: bool) -> None:
        with self._lock:
            while self.lossless and self._excess(is_frame) and self._error is None:
                self._room.wait()
            self._raise_if_fatal()
            if self._error is not None:
                self.lost += 1
                return
            if (excess := self._excess(is_frame)) is not None:
                self._queue.remove(excess)
                self.lost += 1
            self._queue.append((write, is_frame))
            self._filled.ring()

    def _excess(self, is_frame: bool) -> _Item | None:
        """What has to give way to one more item; None where there is room."""
        if is_frame:
            frames = [item for item in self._queue if item[1]]
            if len(frames) >= _FRAMES:
                return frames[0]
        return self._queue[0] if len(self._queue) >= _CAPACITY else None

    def finish(self, until_s: float | None) -> None:
        with self._lock:
            self._finished = True
            self._filled.ring()
        self._thread.join(None if until_s is None else max(until_s - time.monotonic(), 0.0))
        with self._lock:
            self.lost += len(self._queue) + self._busy
            self._queue.clear()

    def close(self) -> None:
        """Close the sink. What it cannot complete then is lost as a whole."""
        if self._thread.is_alive():
            return
        try:
            self.sink.close()
        except OutputError as exc:
            with self._lock:
                self.lost += self._written
                self._error = self._error or exc
            if not self.lossless:
                self._warn(str(exc))

    def raise_error(self) -> None:
        with self._lock:
            self._raise_if_fatal()

    def _raise_if_fatal(self) -> None:
        """Raise the error once, where it is not only a sink that a live run can do without."""
        error = self._error
        if error is None or self._raised:
            return
        if self.lossless or not isinstance(error, OutputError):
            self._raised = True
            raise error

    def _run(self) -> None:
        while (write := self._next()) is not None:
            try:
                write()
            except BaseException as exc:
                self._fail(exc)
                return

    def _next(self) -> Callable[[], None] | None:
        with self._lock:
            self._written += self._busy
            self._busy = False
            while not self._queue and not self._finished:
                self._filled.wait()
            if not self._queue:
                return None
            write, _ = self._queue.popleft()
            self._busy = True
            self._room.ring()
            return write

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._error = error
            self._busy = False
            self.lost += 1 + len(self._queue)
            self._queue.clear()
            self._room.ring()
        if isinstance(error, OutputError) and not self.lossless:
            self._warn(f"{error}; what comes from now on is not delivered there")
