"""The loop of `edgevid run`: results to sinks, and what signals ask for.

SIGTERM   stop reading, answer what was read, finish the outputs; within about 2 seconds
SIGHUP    with a configuration file or --append: open files of lines anew, as they may have been
          moved away; read the configuration again: new sources join, those gone leave
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from edgevid.cli._messages import warning
from edgevid.cli._watching import Watchers

if TYPE_CHECKING:
    from edgevid.pipeline import Stream
    from edgevid.protocols import Sink
    from edgevid.sinks import WindowSink
    from edgevid.sinks.delivery import Delivery

DRAIN_S = 0.8
"""How long a stream that is to end may still answer."""

FLUSH_S = 0.5
"""How long outputs may then take, beside a live source."""


class Signals:
    """What was asked for by signal since it was last looked at."""

    def __init__(self) -> None:
        self.terminate = False
        self.hangup = False

    @contextmanager
    def caught(self, hangup: bool) -> Iterator[Signals]:
        """Catch SIGTERM, and SIGHUP where asked, in the block; only the main thread may."""
        numbers = (signal.SIGTERM, signal.SIGHUP) if hangup else (signal.SIGTERM,)
        before = {number: signal.signal(number, self._note) for number in numbers}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGTERM:
            self.terminate = True
        else:
            self.hangup = True


class _TimeIsUp(Exception):
    """The stream did not end in the time it was given."""


def play(
    running: Stream,
    sinks: Sequence[Sink],
    window: WindowSink | None,
    hangup: Callable[[], None] | None,
    watchers: Watchers,
) -> bool:
    """Feed the sinks until the end; True where Ctrl-C ended it.

    Args:
        running: The stream, which stays the caller's to close.
        sinks: Each fed on a thread of its own, and closed at the end.
        window: Fed here: windows belong to the main thread.
        hangup: Called on SIGHUP; None: that ends the run.
        watchers: Told of everything.

    Raises:
        EdgevidError: The engine, the only source, or an output of files failed.
    """
    from edgevid.sinks.delivery import Delivery

    delivery = Delivery(sinks, watchers.warn)
    live = _Live(delivery)
    interrupted = False
    try:
        watchers.start(running, delivery)
        with Signals().caught(hangup is not None) as signals:
            meanwhile = _Meanwhile(running, signals, hangup, watchers)
            _play(running, live, window, meanwhile, watchers)
    except KeyboardInterrupt:
        interrupted = True
    except _TimeIsUp:
        pass
    finally:
        try:
            for event in running.end_events():
                delivery.deliver(event)
        finally:
            delivery.close(FLUSH_S if live.is_live else None)
            watchers.close()
            running.summary.undelivered = watchers.undelivered(delivery)
    for name, count in running.summary.undelivered.items():
        warning(f"{count} results did not reach {name}")
    return interrupted


class _Live:
    """The delivery, which a live source makes live."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.is_live = False

    def go(self) -> None:
        self.is_live = True
        self.delivery.go_live()


class _Meanwhile:
    """Between results: see to signals."""

    def __init__(
        self,
        running: Stream,
        signals: Signals,
        hangup: Callable[[], None] | None,
        watchers: Watchers,
    ) -> None:
        self._watchers = watchers
        self._running = running
        self._signals = signals
        self._hangup = hangup
        self._until_s: float | None = None

    def __call__(self) -> None:
        self._watchers.seen()
        if self._signals.hangup and self._hangup is not None:
            self._signals.hangup = False
            self._hangup()
        if self._signals.terminate and self._until_s is None:
            self._until_s = time.monotonic() + DRAIN_S
            self._watchers.stopping()
            self._running.stop()
        if self._until_s is not None and time.monotonic() >= self._until_s:
            raise _TimeIsUp


def _play(
    running: Stream,
    live: _Live,
    window: WindowSink | None,
    meanwhile: Callable[[], None],
    watchers: Watchers,
) -> None:
    from edgevid.pipeline import SourceStarted
    from edgevid.types import Event, Frame, Outage, Prediction

    for result in running.results(meanwhile):
        watchers.note(result)
        if isinstance(result, SourceStarted):
            watchers.started(result)
            if result.info.is_live:
                live.go()
        elif isinstance(result, (Prediction, Event, Outage, Frame)):
            if isinstance(result, Outage):
                live.go()
            live.delivery.deliver(result)
            if window is not None and _shown(window, result):
                return


def _shown(window: WindowSink, result: Any) -> bool:
    """Show what a window shows; True where its user wants to end."""
    from edgevid.types import Frame, Prediction

    if isinstance(result, Prediction):
        window.write(result)
    elif isinstance(result, Frame):
        window.write_frame(result)
    return window.stop_requested
