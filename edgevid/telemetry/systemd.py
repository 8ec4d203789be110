"""What a service tells systemd: that it is ready, that it still moves, that it stops.

Protocol: sd_notify(3). A datagram of NAME=value lines to the socket that `$NOTIFY_SOCKET` names;
`WATCHDOG=1` at least every `$WATCHDOG_USEC`, or systemd starts the service anew.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping

from edgevid.errors import OutputError
from edgevid.pipeline import Result, SourceStarted, Stream
from edgevid.telemetry.health import Flow, Health

_STATUS_EVERY_S = 5.0
_PINGS_A_LIMIT = 4
"""Pings within the watchdog's limit. Two are advised; a busy board may be late with one."""


class Notifier:
    """Tells systemd of a running stream.

    Args:
        address: Of the datagram socket: a path, or `@name` in the abstract namespace.
        watchdog_s: Silence after which systemd ends the service; None: it does not.
        clock: Seconds, monotonic; replaced in tests.

    Raises:
        OutputError: `address` is neither.
    """

    def __init__(
        self,
        address: str,
        watchdog_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if address[:1] not in ("/", "@") or len(address) < 2:
            raise OutputError(
                f"NOTIFY_SOCKET {address!r} is no address of systemd's",
                "Unset NOTIFY_SOCKET where systemd did not start edgevid",
            )
        self._address = "\0" + address[1:] if address[0] == "@" else address
        self._clock = clock
        limit_s = watchdog_s if watchdog_s is not None else float("inf")
        self._every_s = min(limit_s / _PINGS_A_LIMIT, _STATUS_EVERY_S)
        self._due_s = clock()
        self._flow = Flow()
        self._stopping = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Notifier | None:
        """The notifier of the service that this process is; None where it is none.

        Raises:
            OutputError: systemd's variables are malformed.
        """
        address = environment.get("NOTIFY_SOCKET")
        if not address:
            return None
        microseconds = environment.get("WATCHDOG_USEC", "")
        meant = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        if not microseconds or not meant:
            return cls(address)
        if not microseconds.isdecimal() or int(microseconds) == 0:
            raise OutputError(f"WATCHDOG_USEC {microseconds!r} is no number of microseconds")
        return cls(address, int(microseconds) / 1e6)

    def send(self, *lines: str) -> None:
        """Send one datagram.

        Raises:
            OutputError: Nobody listens.
        """
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError as exc:
            raise OutputError(f"systemd cannot be told: {exc.strerror or exc}") from None

    def ready(self) -> None:
        """The engine is loaded and the outputs are open."""
        self.send("READY=1", f"STATUS={_status(0, [])}")

    def note(self, result: Result) -> None:
        """Take in one result."""
        if isinstance(result, SourceStarted):
            self._flow.restarted(result.source_id)

    def seen(self, stream: Stream, health: Health) -> None:
        """The main loop turned once more: tell so from time to time, if frames flow."""
        now = self._clock()
        if now < self._due_s or self._stopping:
            return
        self._due_s = now + self._every_s
        away = health.away
        lost = sorted(name for name, is_away in away.items() if is_away)
        lines = [f"STATUS={_status(len(away), lost)}"]
        if self._flow.moved(stream.progress(), away.keys() - set(lost)):
            lines.append("WATCHDOG=1")
        self.send(*lines)

    def stopping(self) -> None:
        """The end began."""
        if not self._stopping:
            self._stopping = True
            self.send("STOPPING=1", "STATUS=Finishing the outputs")

    def close(self) -> None:
        self._socket.close()


def _status(sources: int, lost: list[str]) -> str:
    if not sources:
        return "Waiting for the first source"
    playing = f"{sources - len(lost)} of {sources} sources"
    text = f"Running on {playing}" + (f"; lost: {', '.join(lost)}" if lost else "")
    return " ".join(text.split())
