"""Who watches a run: metrics and the log of facts where they were asked for, and systemd."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgevid.cli._messages import notice, warning
from edgevid.errors import OutputError
from edgevid.types import Prediction

if TYPE_CHECKING:
    from edgevid.pipeline import Result, SourceStarted, Stream
    from edgevid.sinks.delivery import Delivery
    from edgevid.telemetry import FactLog, Health, Notifier, RunMetrics


class Watchers:
    """Opens what was asked for, and hands every result on to it.

    Args:
        metrics: Address to serve metrics at; None: nowhere.
        log: File to append facts to; None: none.
        quiet: Do not say where metrics are.

    Raises:
        SpecError: `metrics` is no address.
        OutputError: The file cannot be written.
    """

    def __init__(self, metrics: str | None, log: Path | None, quiet: bool) -> None:
        self._address: tuple[str, int] | None = None
        self._log: FactLog | None = None
        self._metrics: RunMetrics | None = None
        self._health: Health | None = None
        self._running: Stream | None = None
        self._quiet = quiet
        self._blank: set[str] = set()
        self._open = ExitStack()
        self._systemd = self._find_systemd()
        if metrics is not None:
            from edgevid.telemetry import parse_address

            self._address = parse_address(metrics)
        if log is not None:
            from edgevid.telemetry import FactLog

            self._log = FactLog(log)
            self._open.callback(self._log.close)

    def start(self, running: Stream, delivery: Delivery) -> None:
        """Begin to serve.

        Raises:
            OutputError: Nobody may listen at that address.
            MissingDependencyError: The extra `metrics` is not installed.
        """
        if self._log is not None:
            self._log.write("info", "run started", engine=running.summary.engine)
        self._running = running
        if self._address is not None or self._systemd is not None:
            from edgevid.telemetry import Health

            self._health = Health()
        if self._address is not None:
            self._serve(running, delivery)
        if self._systemd is not None:
            self._tell(self._systemd.ready)

    def _serve(self, running: Stream, delivery: Delivery) -> None:
        from edgevid.telemetry import RunMetrics, Server

        assert self._address is not None
        self._metrics = RunMetrics(running, partial(self.undelivered, delivery), self._health)
        server = Server(self._metrics, *self._address)
        self._open.callback(server.close)
        if not self._quiet:
            notice(f"Metrics: {server.address}/metrics, health: {server.address}/health")

    def _find_systemd(self) -> Notifier | None:
        if "NOTIFY_SOCKET" not in os.environ:
            return None
        from edgevid.telemetry import Notifier

        try:
            found = Notifier.from_environment()
        except OutputError as exc:
            warning(str(exc))
            return None
        if found is not None:
            self._open.callback(found.close)
        return found

    def _tell(self, say: Callable[[], None]) -> None:
        """Tell systemd; where nobody listens that is said once, and the run goes on."""
        try:
            say()
        except OutputError as exc:
            self._systemd = None
            self.warn(str(exc))

    def note(self, result: Result) -> None:
        """Hand on one result."""
        from edgevid.pipeline import SourceEnded

        if isinstance(result, Prediction):
            self._note_blank(result.source_id, result.blank)
        if isinstance(result, SourceEnded) and result.error is not None and self._has_others:
            warning(f"{result.error}; the other sources go on")
        if self._health is not None:
            self._health.note(result)
        if self._systemd is not None:
            self._systemd.note(result)
        if self._metrics is not None:
            self._metrics.note(result)
        if self._log is not None:
            self._log.note(result)

    @property
    def _has_others(self) -> bool:
        """False where an error ends the run, which says it then."""
        return self._running is not None and self._running.num_sources > 1

    def _note_blank(self, source: str, blank: bool) -> None:
        """Say it once where a source begins to show one colour, and where it ends."""
        if blank == (source in self._blank):
            return
        self._blank ^= {source}
        if blank:
            warning(f"{source} shows nothing but one colour; its labels are marked `blank`")
        elif not self._quiet:
            notice(f"{source} shows a picture again")
        if self._log is not None:
            fact = "picture blank" if blank else "picture back"
            self._log.write("warning" if blank else "info", fact, source=source)

    def started(self, message: SourceStarted) -> None:
        """Say which pipeline a source is read with, where it is read with one."""
        if message.info.pipeline and not self._quiet:
            notice(f"Reading with: {message.info.pipeline}")

    def taken_out(self, name: str) -> None:
        """A source is wanted no more."""
        if self._health is not None:
            self._health.forget(name)

    def seen(self) -> None:
        """The main loop turned once more."""
        if self._health is not None:
            self._health.seen()
        if self._systemd is not None and self._health is not None and self._running is not None:
            self._tell(partial(self._systemd.seen, self._running, self._health))

    def stopping(self) -> None:
        """The end began."""
        if self._systemd is not None:
            self._tell(self._systemd.stopping)

    def undelivered(self, delivery: Delivery) -> dict[str, int]:
        """What sinks and log did not get so far, by their names."""
        lost = self._log.lost if self._log is not None else 0
        return {**delivery.undelivered, **({"FactLog": lost} if lost else {})}

    def warn(self, text: str) -> None:
        """Say a warning, and write it down."""
        warning(text)
        if self._log is not None:
            self._log.write("warning", "output failed", text=text)

    def reopen(self) -> None:
        """Open the log anew: it may have been moved away."""
        if self._log is not None:
            self._log.reopen()

    def close(self) -> None:
        """Stop serving, end the log."""
        self.stopping()
        if self._log is not None:
            self._log.write("info", "run ended")
        self._open.close()
