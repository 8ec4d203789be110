"""Events for players, annotators and spreadsheets."""

from __future__ import annotations

import ast
import csv
import io
import json
import os
from pathlib import Path

import pytest

from edgevid.errors import OutputError, SpecError
from edgevid.sinks import EventFileSink, JsonlSink
from edgevid.sinks.jsonl import EventLine, event_line, event_schema
from edgevid.types import Event

DOCS = Path(__file__).parents[2] / "docs"


def _event(label: str, start_s: float, end_s: float | None, index: int = 0, **more) -> Event:
    values = {"source_id": "films/a.mp4", "peak_score": 0.9, "mean_score": 0.75, "decided_s": 9.0}
    closed_by = None if end_s is None else "offset"
    return Event(**values | {"label": label, "start_s": start_s, "end_s": end_s, "index": index,
                 "closed_by": closed_by} | more)  # fmt: skip


EVENTS = [
    _event("wave", 1.5, None),
    _event("nod", 2.0, 2.5, 1),
    _event("wave", 1.5, 3661.25, 0),
    _event("a, <b> & c", 4.0, 4.0, 2),
]


def _written(tmp_path: Path, name: str) -> str:
    sink = EventFileSink(tmp_path / name)
    for event in EVENTS:
        sink.write_event(event)
    assert not (tmp_path / name).exists()
    sink.close()
    assert os.listdir(tmp_path) == [name]
    return (tmp_path / name).read_text()


def test_csv(tmp_path) -> None:
    rows = list(csv.DictReader(io.StringIO(_written(tmp_path, "e.csv"))))
    assert [(r["path"], r["label"], r["start_s"], r["end_s"]) for r in rows] == [
        ("films/a.mp4", "wave", "1.500", "3661.250"),
        ("films/a.mp4", "nod", "2.000", "2.500"),
        ("films/a.mp4", "a, <b> & c", "4.000", "4.000"),
    ]
    assert (rows[0]["peak_score"], rows[0]["mean_score"]) == ("0.900000", "0.750000")


def test_webvtt(tmp_path) -> None:
    assert _written(tmp_path, "e.vtt") == (
        "WEBVTT\n\n"
        "00:00:01.500 --> 01:01:01.250\nwave\n\n"
        "00:00:02.000 --> 00:00:02.500\nnod\n\n"
        "00:00:04.000 --> 00:00:04.001\na, &lt;b&gt; &amp; c\n"
    )


def test_a_player_reads_the_webvtt(tmp_path) -> None:
    """FFmpeg's own demuxer finds every cue with its times and text."""
    import av

    _written(tmp_path, "e.vtt")
    with av.open(str(tmp_path / "e.vtt"), format="webvtt") as file:
        packets = [p for p in file.demux(subtitles=0) if p.size]
    cues = [(float(p.pts * p.time_base), float(p.duration * p.time_base)) for p in packets]
    assert cues == [(1.5, 3659.75), (2.0, 0.5), (4.0, 0.001)]
    assert bytes(packets[1]) == b"nod"


def test_elan(tmp_path) -> None:
    rows = list(csv.DictReader(io.StringIO(_written(tmp_path, "e.elan.csv"))))
    assert rows[1] == {
        "Tier": "nod",
        "Begin Time - ss.msec": "2.000",
        "End Time - ss.msec": "2.500",
        "Duration - ss.msec": "0.500",
        "Annotation": "nod",
        "File": "films/a.mp4",
    }


def test_via(tmp_path) -> None:
    lines = _written(tmp_path, "e.via.csv").splitlines()
    assert lines[2] == (
        "# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,"
        "spatial_coordinates,metadata"
    )
    cells = next(csv.reader([lines[4]]))
    assert ast.literal_eval(cells[1]) == ["a.mp4"]
    assert json.loads(cells[3]) == [2.0, 2.5]
    assert json.loads(cells[5]) == {"1": "nod"}


@pytest.mark.parametrize("name", ["e.txt", "e", "vtt"])
def test_an_unknown_ending_is_refused(tmp_path, name: str) -> None:
    with pytest.raises(SpecError, match=r"no format has this ending.*\.vtt"):
        EventFileSink(tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_subtitles_are_about_one_video(tmp_path) -> None:
    with pytest.raises(SpecError, match="about one video, and there are 2"):
        EventFileSink(tmp_path / "e.vtt", sources=2)
    EventFileSink(tmp_path / "e.csv", sources=2)


def test_a_place_that_cannot_be_written_is_known_at_once(tmp_path) -> None:
    for path in (tmp_path / "gone" / "e.csv", tmp_path / "folder.csv"):
        (tmp_path / "folder.csv").mkdir(exist_ok=True)
        with pytest.raises(OutputError, match="cannot write"):
            EventFileSink(path)


def test_a_full_disk_leaves_the_former_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "e.csv"
    path.write_text("former")
    sink = EventFileSink(path)
    sink.write_event(EVENTS[1])

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"cannot write .*e\.csv: No space left on device"):
        sink.close()
    assert path.read_text() == "former"
    assert os.listdir(tmp_path) == ["e.csv"]


def test_json_lines() -> None:
    stream = io.StringIO()
    sink = JsonlSink(stream, ["wave"])
    for event in EVENTS[:2]:
        sink.write_event(event)
    begins, ends = (EventLine.model_validate_json(r) for r in stream.getvalue().splitlines())
    assert (begins.event, begins.end_s, begins.closed_by) == ("start", None, None)
    assert (ends.event, ends.end_s, ends.closed_by, ends.id) == ("end", 2.5, "offset", 1)


def test_event_lines_fit_the_published_schema() -> None:
    schema = json.loads((DOCS / "event.schema.json").read_text())
    assert schema == event_schema(), (
        "docs/event.schema.json is out of date; write json.dumps(event_schema(), indent=2) into it"
    )
    line = json.loads(event_line(EVENTS[1], 0.0))
    assert set(schema["required"]) == set(schema["properties"]) == set(line)
    text = (DOCS / "jsonl.md").read_text()
    assert [name for name in schema["properties"] if f"`{name}`" not in text] == []
