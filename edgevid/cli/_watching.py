"""Who watches a run: the metrics endpoint and the log of facts, where they were asked for."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from edgevid.cli._messages import notice, warning

if TYPE_CHECKING:
    from edgevid.pipeline import Result, Stream
    from edgevid.sinks.delivery import Delivery
    from edgevid.telemetry import FactLog, RunMetrics


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
        self._quiet = quiet
        self._open = ExitStack()
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
        if self._address is None:
            return
        from edgevid.telemetry import RunMetrics, Server

        self._metrics = RunMetrics(running, lambda: delivery.undelivered)
        server = Server(self._metrics, *self._address)
        self._open.callback(server.close)
        if not self._quiet:
            notice(f"Metrics: {server.address}/metrics, health: {server.address}/health")

    def note(self, result: Result) -> None:
        """Hand on one result."""
        if self._metrics is not None:
            self._metrics.note(result)
        if self._log is not None:
            self._log.note(result)

    def seen(self) -> None:
        """The main loop turned once more."""
        if self._metrics is not None:
            self._metrics.seen()

    def warn(self, text: str) -> None:
        """Say a warning, and write it down."""
        warning(text)
        if self._log is not None:
            self._log.write("warning", "output failed", text=text)

    def close(self) -> None:
        """Stop serving, end the log."""
        if self._log is not None:
            self._log.write("info", "run ended")
        self._open.close()
