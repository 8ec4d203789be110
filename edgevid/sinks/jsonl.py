"""Predictions as JSON lines. docs/jsonl.md describes the format for those who read it."""

from __future__ import annotations

import io
import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticSerializationError, to_json

from edgevid.errors import OutputError
from edgevid.files import open_lines, open_output
from edgevid.sinks.ranking import best
from edgevid.types import ClosedBy, Event, LatencyFrom, Outage, Prediction

SCHEMA: Literal[1] = 1
TOP = 5

_Score = float | None
_UnixS = Annotated[
    float,
    Field(
        description="When the line was written: seconds since 1970 began in UTC, by this "
        "machine's clock."
    ),
]
_COMPACT = (",", ":")


class TimingsMs(BaseModel):
    """Where the time of the prediction went, in milliseconds."""

    capture: float = Field(description="Reading and decoding the window's new frames.")
    preprocess: float = Field(description="Cropping and resizing them.")
    queue: float = Field(
        description="The rest of the time from the newest frame's arrival to the engine's answer, "
        "less preprocess."
    )
    infer: float = Field(
        description="The engine call; of windows of one source that share it, each its part."
    )
    post: float = Field(description="Smoothing and choosing the label.")
    total: float = Field(
        description="From the newest frame's arrival, or from its capture (see `latency_from`), "
        "to the label."
    )


class PredictionLine(BaseModel):
    """One line: the answer for one window of frames.

    docs/prediction.schema.json is the JSON Schema of this class. Unknown keys are ignored,
    as every reader should: later versions add some.
    """

    model_config = ConfigDict(title="edgevid prediction")

    schema_version: Literal[1] = Field(alias="schema", description="Version of this format.")
    type: Literal["prediction"] = Field(description="What the line is about.")
    source: str = Field(description="Name of the source.")
    index: int = Field(ge=0, description="Window number within the source, from 0.")
    start_s: float = Field(description="Time of the window's first frame in the source, seconds.")
    end_s: float = Field(description="Time of the window's last frame in the source, seconds.")
    label: str = Field(description="Best class after smoothing.")
    score: _Score = Field(description="Its score, 0 to 1; null where it is not a finite number.")
    raw_label: str = Field(description="Best class of this window alone.")
    raw_score: _Score = Field(description="Its score, as for `score`.")
    top: list[tuple[str, _Score]] = Field(
        max_length=TOP, description="The best classes after smoothing, best first."
    )
    gap: bool = Field(description="The window misses frames that the model's contract asks for.")
    padded: int = Field(
        ge=0, description="How many frames at the window's end repeat the last one."
    )
    restart: bool = Field(description="Smoothing began anew with this window.")
    lag_s: float = Field(
        ge=0, description="Seconds after `end_s`, in the source, at which this was decided."
    )
    latency_from: LatencyFrom = Field(
        description="Where `total` begins: at the newest frame's arrival, or at its capture, "
        "where the camera's driver stamps it.",
    )
    blank: bool = Field(description="Every frame of the window is of one colour.")
    timings_ms: TimingsMs
    unix_s: _UnixS


class OutageLine(BaseModel):
    """One line: a live source was lost (`lasted_s` is null), or is back."""

    model_config = ConfigDict(title="edgevid outage")

    schema_version: Literal[1] = Field(alias="schema", description="Version of this format.")
    type: Literal["outage"] = Field(description="What the line is about.")
    source: str = Field(description="Name of the source.")
    at_s: float = Field(description="Time of its last frame before, in seconds.")
    reason: str = Field(description="Why it was lost.")
    attempts: int = Field(
        ge=0, description="How often it was tried again so far; 0 in the line of its loss."
    )
    lasted_s: float | None = Field(
        description="Seconds from that frame to the first one after; null: it is still away."
    )
    unix_s: _UnixS


class EventLine(BaseModel):
    """One line: an event began (`end_s` is null), or has ended.

    docs/event.schema.json is the JSON Schema of this class.
    """

    model_config = ConfigDict(title="edgevid event")

    schema_version: Literal[1] = Field(alias="schema", description="Version of this format.")
    type: Literal["event"] = Field(description="What the line is about.")
    event: Literal["start", "end"] = Field(description="It began, or it has ended.")
    source: str = Field(description="Name of the source.")
    id: int = Field(ge=0, description="Number within the source; the same at start and end.")
    label: str = Field(description="What is seen.")
    start_s: float = Field(description="End of the first window that showed it, seconds.")
    end_s: float | None = Field(
        description="End of the first window that no longer did; null: it goes on."
    )
    peak_score: _Score = Field(description="Highest smoothed score, or the highest so far.")
    mean_score: _Score = Field(description="Mean smoothed score, or the mean so far.")
    decided_s: float = Field(description="When this was known, in seconds of the source.")
    closed_by: ClosedBy | None = Field(
        description="Its score fell (offset), the stream has a gap, or is over (end)."
    )
    unix_s: _UnixS


class JsonlSink:
    """Writes one JSON object a line, each flushed as it comes.

    Lines are ASCII (other characters escaped), so that no locale and no line splitter can
    break them. A score that is not finite is written as null: JSON has no NaN, and one bad
    window should not end a run of months.

    Args:
        target: A file, whose former content is replaced unless `append`; "-" for standard output;
            or an open text stream, which stays open.
        labels: One name per class, in the order of the scores.
        append: Keep what the file holds, and write behind it. A last line that a power cut tore
            off is ended first.
        unix_s: The time of day, in seconds since 1970 began in UTC; replaced in tests.

    Raises:
        OutputError: The file cannot be opened.
    """

    def __init__(
        self,
        target: str | Path | TextIO,
        labels: Sequence[str],
        *,
        append: bool = False,
        unix_s: Callable[[], float] = time.time,
    ) -> None:
        self._unix_s = unix_s
        self._labels = tuple(labels)
        self._target = target
        self._is_stream = not isinstance(target, (str, Path)) or str(target) == "-"
        self._moved = False
        self._name, self._stream, self._owned = _open(target, append)

    def reopen(self) -> None:
        """With the next line, write to whatever has the file's name then: logs are rotated so.

        Nothing is lost where it was not moved. Any thread may call this.
        """
        self._moved = not self._is_stream

    def write(self, prediction: Prediction) -> None:
        """Write one line.

        Raises:
            OutputError: The disk is full, or the file failed otherwise.
            BrokenPipeError: The reader went away.
        """
        self._write(prediction_line(prediction, self._labels, self._unix_s()))

    def write_event(self, event: Event) -> None:
        """Write one line; as `write`."""
        self._write(event_line(event, self._unix_s()))

    def write_outage(self, outage: Outage) -> None:
        """Write one line; as `write`."""
        self._write(outage_line(outage, self._unix_s()))

    def _write(self, line: str) -> None:
        if self._moved:
            self._moved = False
            self.close()
            self._name, self._stream, self._owned = _open(self._target, append=True)
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except BrokenPipeError:
            self._abandon()
            raise
        except OSError as exc:
            self._abandon()
            raise OutputError(f"cannot write {self._name}: {exc.strerror or exc}") from None

    def close(self) -> None:
        """Close the file; a stream that was passed in stays open."""
        if self._owned:
            self._stream.close()

    def _abandon(self) -> None:
        # The unwritten line is still buffered: closing tries it again, fails again, and is done.
        try:
            self.close()
        except OSError:
            self._owned = False


def prediction_line(prediction: Prediction, labels: Sequence[str], unix_s: float) -> str:
    """The prediction as one line of strict JSON, without the newline: a `PredictionLine`.

    Args:
        labels: One name per class.
        unix_s: When it is written, in seconds since 1970 began in UTC.
    """
    # Not through that class: there is one for every window, and checking what was just computed
    # costs as much as all else in it.
    timings = prediction.timings
    line = {
        "schema": SCHEMA,
        "type": "prediction",
        "source": prediction.source_id,
        "index": prediction.index,
        "start_s": round(prediction.start_s, 6),
        "end_s": round(prediction.end_s, 6),
        "label": prediction.label,
        "score": round(prediction.score, 6),
        "raw_label": prediction.raw_label,
        "raw_score": round(prediction.raw_score, 6),
        "top": [(label, round(score, 6)) for label, score in best(prediction, labels, TOP)],
        "gap": prediction.gap,
        "padded": prediction.padded,
        "restart": prediction.restart,
        "lag_s": round(prediction.lag_s, 6),
        "latency_from": prediction.latency_from,
        "blank": prediction.blank,
        "timings_ms": {
            "capture": round(timings.capture_ms, 3),
            "preprocess": round(timings.preprocess_ms, 3),
            "queue": round(timings.queue_ms, 3),
            "infer": round(timings.infer_ms, 3),
            "post": round(timings.post_ms, 3),
            "total": round(timings.total_ms, 3),
        },
        "unix_s": round(unix_s, 3),
    }
    return _encoded(line)


def event_line(event: Event, unix_s: float) -> str:
    """The beginning or the end of an event, as `prediction_line`: an `EventLine`."""
    line = EventLine(
        schema=SCHEMA,
        type="event",
        event="start" if event.end_s is None else "end",
        source=event.source_id,
        id=event.index,
        label=event.label,
        start_s=round(event.start_s, 6),
        end_s=None if event.end_s is None else round(event.end_s, 6),
        peak_score=round(event.peak_score, 6),
        mean_score=round(event.mean_score, 6),
        decided_s=round(event.decided_s, 6),
        closed_by=event.closed_by,
        unix_s=round(unix_s, 3),
    )
    return _encoded(line.model_dump(by_alias=True))


def outage_line(outage: Outage, unix_s: float) -> str:
    """The loss or the return of a source, as `prediction_line`: an `OutageLine`."""
    line = OutageLine(
        schema=SCHEMA,
        type="outage",
        source=outage.source_id,
        at_s=round(outage.at_s, 6),
        reason=outage.reason,
        attempts=outage.attempts,
        lasted_s=None if outage.lasted_s is None else round(outage.lasted_s, 3),
        unix_s=round(unix_s, 3),
    )
    return _encoded(line.model_dump(by_alias=True))


def prediction_schema() -> dict[str, Any]:
    """The JSON Schema of a prediction's line, as in docs/prediction.schema.json."""
    return _schema(PredictionLine)


def event_schema() -> dict[str, Any]:
    """The JSON Schema of an event's line, as in docs/event.schema.json."""
    return _schema(EventLine)


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **model.model_json_schema(by_alias=True),
    }


def _encoded(line: dict[str, Any]) -> str:
    """Strict JSON in ASCII; a number that is not finite is null."""
    try:
        text = to_json(line, inf_nan_mode="null").decode()
    except PydanticSerializationError:
        # A name that is no Unicode, such as of a file on an old disk, which only escapes can hold.
        return json.dumps(_finite(line), separators=_COMPACT)
    return text if text.isascii() else json.dumps(json.loads(text), separators=_COMPACT)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _open(target: str | Path | TextIO, append: bool) -> tuple[str, TextIO, bool]:
    """Name for messages, stream, and whether it is ours to close."""
    if not isinstance(target, (str, Path)):
        return getattr(target, "name", "the stream"), target, False
    try:
        if str(target) != "-":
            path = Path(target)
            file = io.BufferedWriter(open_lines(path) if append else open_output(path, "wb"))
            return str(target), io.TextIOWrapper(file, encoding="ascii", newline="\n"), True
        sys.stdout.flush()
        try:
            descriptor = os.dup(sys.stdout.fileno())
        except io.UnsupportedOperation:  # replaced by something that is no file
            return "standard output", sys.stdout, False
        return "standard output", os.fdopen(descriptor, "w", encoding="ascii", newline="\n"), True
    except OSError as exc:
        raise OutputError(
            f"cannot write {target}: {exc.strerror or exc}",
            "Name a file in a folder that exists and that you may write to",
        ) from None
