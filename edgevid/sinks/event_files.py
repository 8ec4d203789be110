"""Events as files for players, annotators and spreadsheets (`--export`).

| ends with | is |
|---|---|
| `.vtt` | WebVTT (W3C 2019): a player shows each label while it is seen |
| `.elan.csv` | a table for ELAN's import of CSV files, one tier for each label |
| `.via.csv` | what VIA 3 (VGG Image Annotator) exports: temporal segments with a label |
| `.csv` | a table: path, label, start_s, end_s, peak_score, mean_score |
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from edgevid.errors import OutputError, SpecError
from edgevid.files import write_atomic
from edgevid.types import Event, Prediction

_SHORTEST_S = 0.001
"""A cue must end after it begins."""


def _csv(events: Sequence[Event]) -> str:
    rows = [
        (e.source_id, e.label, _time(e.start_s), _time(e.end_s), _score(e.peak_score),
         _score(e.mean_score))
        for e in events
    ]  # fmt: skip
    return _table(("path", "label", "start_s", "end_s", "peak_score", "mean_score"), rows)


def _elan(events: Sequence[Event]) -> str:
    """Annotations of one tier may not overlap; those of one label never do."""
    head = (
        "Tier", "Begin Time - ss.msec", "End Time - ss.msec", "Duration - ss.msec",
        "Annotation", "File",
    )  # fmt: skip
    rows = [
        (e.label, _time(e.start_s), _time(e.end_s), _time(_length_s(e)), e.label, e.source_id)
        for e in events
    ]
    return _table(head, rows)


def _via(events: Sequence[Event]) -> str:
    """As `project_export_csv` of VIA 3 writes it: comments, then quoted cells of JSON."""
    attribute = {
        "1": {
            "aname": "label", "anchor_id": "FILE1_Z2_XY0", "type": 1,
            "desc": "what is seen", "options": {}, "default_option_id": "",
        }
    }  # fmt: skip
    text = io.StringIO()
    text.write("# Exported by edgevid for VIA 3 (https://www.robots.ox.ac.uk/~vgg/software/via)\n")
    text.write(f"# ATTRIBUTE = {json.dumps(attribute)}\n")
    text.write(
        "# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,"
        "metadata\n"
    )
    table = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    for number, event in enumerate(events):
        file = json.dumps([os.path.basename(event.source_id)])
        times = json.dumps([round(event.start_s, 3), round(event.start_s + _length_s(event), 3)])
        table.writerow([f"1_{number:08d}", file, 0, times, "[]", json.dumps({"1": event.label})])
    return text.getvalue()


def _vtt(events: Sequence[Event]) -> str:
    cues = [
        f"{_clock(e.start_s)} --> {_clock(e.start_s + _length_s(e))}\n{_cue_text(e.label)}\n"
        for e in events
    ]
    return "\n".join(["WEBVTT\n", *cues])


_Writer = Callable[[Sequence[Event]], str]

# The longer endings first: each is tried in turn.
_FORMATS: dict[str, _Writer] = {".elan.csv": _elan, ".via.csv": _via, ".csv": _csv, ".vtt": _vtt}
_ONE_SOURCE = (".vtt",)


class EventFileSink:
    """Collects the events of a run, and writes them in order of time when it is closed.

    The file is written whole or not at all. All events stay in memory, some hundred bytes
    each: for a run of months take `--jsonl`.

    Args:
        path: Its ending chooses the format.
        sources: How many sources there are, where that is known.

    Raises:
        SpecError: The ending is unknown, or the format holds one source and there are more.
        OutputError: The file cannot be written there.
    """

    def __init__(self, path: str | Path, sources: int = 1) -> None:
        self._path = Path(path)
        ending = next((e for e in _FORMATS if self._path.name.lower().endswith(e)), None)
        if ending is None:
            raise SpecError(
                f"--export {path}: no format has this ending",
                f"Name a file that ends with {', '.join(_FORMATS)}",
            )
        if ending in _ONE_SOURCE and sources > 1:
            raise SpecError(
                f"--export {path}: a {ending} file is about one video, and there are {sources}",
                "Run one source at a time, or export a .csv file",
            )
        _check_writable(self._path)
        self._write = _FORMATS[ending]
        self._events: list[Event] = []

    def write(self, prediction: Prediction) -> None:
        """Predictions are not written."""

    def write_event(self, event: Event) -> None:
        """Remember an event that has ended."""
        if event.end_s is not None:
            self._events.append(event)

    def close(self) -> None:
        """Write the file.

        Raises:
            OutputError: The disk is full, or the file cannot be written otherwise.
        """
        order = sorted(self._events, key=lambda e: (e.source_id, e.start_s, e.index))
        write_atomic(self._path, self._write(order).encode("utf-8", "backslashreplace"))


def _check_writable(path: Path) -> None:
    """Raise now what would else be raised when a long run ends."""
    if path.is_dir():
        raise OutputError(f"cannot write {path}: it is a folder", "Name a file")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise OutputError(
            f"cannot write {path}: its folder does not exist, or may not be written to",
            "Name a file in a folder that exists and that you may write to",
        )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(head)
    table.writerows(rows)
    return text.getvalue()


def _length_s(event: Event) -> float:
    assert event.end_s is not None
    return max(event.end_s - event.start_s, _SHORTEST_S)


def _time(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _score(value: float) -> str:
    return f"{value:.6f}"


def _clock(time_s: float) -> str:
    """hh:mm:ss.ttt, as WebVTT writes times."""
    ms = round(max(time_s, 0.0) * 1000)
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"


def _cue_text(label: str) -> str:
    escaped = label.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return " ".join(escaped.split()) or "(no name)"
