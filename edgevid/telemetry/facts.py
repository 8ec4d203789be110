"""A log for machines: one JSON object a line, one fact a line.

{"time": "2026-11-26T09:41:07.123Z", "level": "warning", "fact": "source lost", "source": "..."}
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from queue import Full, Queue
from traceback import format_exception
from typing import Any, Literal

from edgevid.errors import OutputError
from edgevid.files import open_lines
from edgevid.pipeline import Result, SourceEnded, SourceStarted
from edgevid.types import Outage

Level = Literal["info", "warning", "error"]

_MOST_WAITING = 1000
_CLOSE_S = 0.3


def _now() -> datetime:
    return datetime.now(timezone.utc)


class FactLog:
    """Appends facts to a file, on a thread of its own: a disk that hangs holds nobody up.

    Args:
        path: Of the file; made where it is missing, never emptied.
        clock: The time of day, in UTC; replaced in tests.

    Attributes:
        lost: Facts that were not written: the disk is full, or hangs.

    Raises:
        OutputError: The file cannot be written.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime] = _now) -> None:
        self._path = path
        self._clock = clock
        self._moved = False
        self._waiting: Queue[bytes | None] = Queue(_MOST_WAITING)
        self.lost = 0
        try:
            self._file = open_lines(path)
        except OSError as exc:
            raise OutputError(
                f"cannot write {path}: {exc.strerror or exc}",
                "Name a file in a folder that exists and that you may write to",
            ) from None
        self._thread = threading.Thread(target=self._run, name="edgevid-log", daemon=True)
        self._thread.start()

    def write(self, level: Level, fact: str, **more: Any) -> None:
        """Append one fact."""
        now = self._clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = json.dumps({"time": now, "level": level, "fact": fact, **more})
        try:
            self._waiting.put_nowait(line.encode() + b"\n")
        except Full:
            self.lost += 1

    def reopen(self) -> None:
        """With the next fact, write to whatever has the file's name then: logs are rotated so."""
        self._moved = True

    def _run(self) -> None:
        while (line := self._waiting.get()) is not None:
            try:
                if self._moved:
                    fresh = open_lines(self._path)
                    self._file.close()
                    self._file, self._moved = fresh, False
                whole = self._file.write(line) == len(line)
            except OSError:
                whole = False
            self.lost += not whole

    def note(self, result: Result) -> None:
        """Write down what a result tells, if it is a fact about a source."""
        if isinstance(result, SourceStarted):
            pipeline = {"pipeline": result.info.pipeline} if result.info.pipeline else {}
            self.write(
                "info", "source started", source=result.source_id, how=result.info.description,
                **pipeline,
            )  # fmt: skip
            for note in result.notes:
                self.write("info", "note", source=result.source_id, text=note)
        elif isinstance(result, Outage):
            self._outage(result)
        elif isinstance(result, SourceEnded):
            level: Level = "info" if result.error is None else "error"
            reason = {} if result.error is None else {"reason": str(result.error)}
            if result.fault is not None:
                reason["traceback"] = "".join(format_exception(result.fault))
            self.write(
                level, "source ended", source=result.source_id,
                frames_read=result.stats.frames_read, frames_dropped=result.fates.frames_dropped,
                **reason,
            )  # fmt: skip

    def _outage(self, outage: Outage) -> None:
        if outage.lasted_s is None:
            fault = {} if outage.traceback is None else {"traceback": outage.traceback}
            self.write(
                "error" if fault else "warning", "source lost" if outage.is_loss else "still away",
                source=outage.source_id, reason=outage.reason, at_s=round(outage.at_s, 3), **fault,
            )  # fmt: skip
        else:
            self.write(
                "info", "source back", source=outage.source_id, attempts=outage.attempts,
                lasted_s=round(outage.lasted_s, 3),
            )  # fmt: skip

    def close(self) -> None:
        """Write what waits; a file that hangs is left as it is."""
        with suppress(Full):
            self._waiting.put_nowait(None)
        self._thread.join(_CLOSE_S)
        if self._thread.is_alive():
            self.lost += self._waiting.qsize()
        else:
            self._file.close()
