"""What a trace holds, whatever its file format."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevid.errors import SourceError
from edgevid.types import Array, Prediction

FORMAT = "edgevid trace"
VERSION = 1

LATER = ("blank", "from_capture")
"""Columns that older traces lack: False then."""

TIMINGS = ("capture_ms", "preprocess_ms", "queue_ms", "infer_ms", "post_ms", "total_ms")


@dataclass(frozen=True)
class TraceInfo:
    """What is the same for every window of a run.

    Attributes:
        labels: One name per class, in the order of the scores.
        model: Name of the model.
        multi_label: The scores are sigmoids: several labels may be true at once.
        smooth: The smoother of the run.
        events: Its rules of events.
    """

    labels: tuple[str, ...]
    model: str = ""
    multi_label: bool = False
    smooth: str = "none"
    events: tuple[str, ...] = ()

    def to_json(self, sources: list[str]) -> str:
        """For the file, with the names that the column `source` counts in."""
        head = {"format": FORMAT, "version": VERSION, "sources": sources}
        return json.dumps({**head, **asdict(self)})


@dataclass(frozen=True)
class Trace:
    """Every answered window of a run, in the order in which they were decided.

    Attributes:
        info: What is the same for all.
        sources: Names of the sources.
        columns: One array for each column, n rows: `source` int32 (number in `sources`),
            `index` int64, `start_s`, `end_s` float64, `scores` `(n, C)` float32, `gap` and
            `restart` bool, `padded` int32, the timings in ms, float64, and `blank` and
            `from_capture` bool.
    """

    info: TraceInfo
    sources: tuple[str, ...]
    columns: dict[str, Array]

    def __len__(self) -> int:
        return len(self.columns["end_s"])

    @property
    def scores(self) -> npt.NDArray[np.float32]:
        """`(n, C)` float32, as the model gave them."""
        return self.columns["scores"]

    def rows_of(self, source: str) -> npt.NDArray[np.int64]:
        """Numbers of the rows of one source, in order."""
        return np.flatnonzero(self.columns["source"] == self.sources.index(source))


def row_type(classes: int) -> np.dtype[Any]:
    """One window as a record of fixed size."""
    return np.dtype(
        [
            ("source", np.int32), ("index", np.int64), ("start_s", np.float64),
            ("end_s", np.float64), ("gap", np.bool_), ("restart", np.bool_),
            ("padded", np.int32), *((name, np.float64) for name in TIMINGS),
            ("scores", np.float32, (classes,)), *((name, np.bool_) for name in LATER),
        ]
    )  # fmt: skip


def row_of(prediction: Prediction, source: int) -> tuple[Any, ...]:
    """A prediction as such a record; the smoothed scores are not part of it."""
    timings = prediction.timings
    return (
        source, prediction.index, prediction.start_s, prediction.end_s, prediction.gap,
        prediction.restart, prediction.padded, *(getattr(timings, name) for name in TIMINGS),
        prediction.scores, prediction.blank, prediction.latency_from == "capture",
    )  # fmt: skip


def checked(name: str, head: str, columns: dict[str, Array]) -> Trace:
    """The trace of a file's head (JSON) and columns.

    Raises:
        SourceError: They are of no trace, of another version, or do not fit each other.
    """
    hint = "Write it again: edgevid run BUNDLE --trace FILE"
    try:
        said = json.loads(head)
        known = isinstance(said, dict) and said.get("format") == FORMAT
        if known and said.get("version") != VERSION:
            raise SourceError(
                f"{name} has version {said.get('version')!r} of the format; this edgevid reads "
                f"{VERSION}",
                "Install the edgevid that wrote it, or write it again",
            )
        info = TraceInfo(
            labels=tuple(said["labels"]),
            model=said["model"],
            multi_label=bool(said["multi_label"]),
            smooth=said["smooth"],
            events=tuple(said["events"]),
        )
        sources = tuple(said["sources"])
        expected = row_type(len(info.labels))
        count = len(columns["end_s"])
        kept: dict[str, Array] = {}
        for column in expected.names or ():
            field = expected.fields[column][0]  # type: ignore[index]
            if column in LATER and column not in columns:
                columns = {**columns, column: np.zeros(count, np.bool_)}
            values = np.asarray(columns[column]).astype(field.base, copy=False)
            if values.shape != (count, *field.shape):
                raise ValueError(f"column {column} is {values.shape}")
            kept[column] = values
        if count and not 0 <= kept["source"].min() <= kept["source"].max() < len(sources):
            raise ValueError("a source has no name")
        if not all(np.isfinite(kept[c]).all() for c in ("scores", "start_s", "end_s")):
            raise ValueError("a value is NaN or infinite")
    except (KeyError, TypeError, ValueError) as exc:
        raise SourceError(f"{name} is no trace of edgevid: {exc}", hint) from None
    return Trace(info, sources, kept)
