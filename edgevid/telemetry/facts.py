"""A log for machines: one JSON object a line, one fact a line.

{"time": "2026-11-26T09:41:07.123Z", "level": "warning", "fact": "source lost", "source": "..."}
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from edgevid.errors import OutputError
from edgevid.pipeline import Result, SourceEnded, SourceStarted
from edgevid.types import Outage

Level = Literal["info", "warning", "error"]


def _now() -> datetime:
    return datetime.now(timezone.utc)


class FactLog:
    """Appends facts to a file; each is on disk before the next.

    Args:
        path: Of the file; made where it is missing, never emptied.
        clock: The time of day, in UTC; replaced in tests.

    Raises:
        OutputError: The file cannot be written.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime] = _now) -> None:
        self._path = path
        self._clock = clock
        try:
            self._file = path.open("a", encoding="utf-8")
        except OSError as exc:
            raise OutputError(
                f"cannot write {path}: {exc.strerror or exc}",
                "Name a file in a folder that exists and that you may write to",
            ) from None

    def write(self, level: Level, fact: str, **more: Any) -> None:
        """Append one fact. A disk that is full loses it: the pipeline goes on."""
        now = self._clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = json.dumps({"time": now, "level": level, "fact": fact, **more})
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError:
            return

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
            self.write(
                level, "source ended", source=result.source_id,
                frames_read=result.stats.frames_read, frames_dropped=result.fates.frames_dropped,
                **reason,
            )  # fmt: skip

    def _outage(self, outage: Outage) -> None:
        if outage.lasted_s is None:
            self.write(
                "warning", "source lost", source=outage.source_id, reason=outage.reason,
                at_s=round(outage.at_s, 3),
            )  # fmt: skip
        else:
            self.write(
                "info", "source back", source=outage.source_id, attempts=outage.attempts,
                lasted_s=round(outage.lasted_s, 3),
            )  # fmt: skip

    def close(self) -> None:
        self._file.close()
