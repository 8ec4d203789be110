"""JSON lines: content, format, and files that fail."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.errors import OutputError
from edgevid.protocols import Sink
from edgevid.sinks.jsonl import JsonlSink, PredictionLine, prediction_line, prediction_schema
from edgevid.types import Prediction

DOCS = Path(__file__).parents[2] / "docs"


def test_a_line_says_it_all(predict, labels, tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    sink: Sink = JsonlSink(path, labels, unix_s=lambda: 1795708800.2504)
    sink.write(
        replace(predict(3, "clockwise", score=0.75), gap=True, padded=2, restart=True, lag_s=0.4)
    )
    sink.close()
    assert path.read_bytes().endswith(b"}\n")
    assert json.loads(path.read_text()) == {
        "schema": 1,
        "type": "prediction",
        "source": "cam0",
        "index": 3,
        "start_s": 1.5,
        "end_s": 3.466667,
        "label": "clockwise",
        "score": 0.75,
        "raw_label": "grow",
        "raw_score": 0.75,
        "top": [["clockwise", 0.75], ["left", 0.05], ["right", 0.05], ["up", 0.05], ["down", 0.05]],
        "gap": True,
        "padded": 2,
        "restart": True,
        "lag_s": 0.4,
        "latency_from": "arrival",
        "blank": False,
        "timings_ms": {
            "capture": 1.235,
            "preprocess": 0.5,
            "queue": 2.0,
            "infer": 8.25,
            "post": 0.1,
            "total": 12.085,
        },
        "unix_s": 1795708800.25,
    }


def test_top_has_as_many_as_there_are_classes(predict) -> None:
    two = replace(predict(), smoothed=np.float32([0.25, 0.75]))
    assert json.loads(prediction_line(two, ["a", "b"], 0.0))["top"] == [["b", 0.75], ["a", 0.25]]


def test_labels_that_do_not_fit_are_refused(predict) -> None:
    with pytest.raises(ValueError, match="6 scores, but 2 labels"):
        prediction_line(predict(), ["a", "b"], 0.0)


@given(
    names=st.lists(st.text(), min_size=6, max_size=6),
    source=st.text(),
    scores=st.lists(st.floats(0, 1, width=32), min_size=6, max_size=6),
)
def test_any_text_and_score_comes_back(names: list[str], source: str, scores: list[float]) -> None:
    smoothed = np.asarray(scores, np.float32)
    winner = int(smoothed.argmax())
    prediction = Prediction(
        source, 0, 0.0, 1.0, smoothed, smoothed, names[winner], scores[winner], names[0], scores[0]
    )
    line = prediction_line(prediction, names, 0.0)
    assert line.isascii()
    assert len(line.splitlines()) == 1
    read = PredictionLine.model_validate_json(line, strict=True)
    assert (read.source, read.label, read.raw_label) == (source, names[winner], names[0])
    assert [score for _, score in read.top] == pytest.approx(sorted(scores)[::-1][:5], abs=5e-7)
    assert read.top[0][0] == names[winner]


def test_a_lone_surrogate_is_written_all_the_same(predict, labels) -> None:
    # What Python makes of a file name that is not UTF-8.
    line = prediction_line(predict(source="clip-\udcff.mp4"), labels, 0.0)
    assert json.loads(line)["source"] == "clip-\udcff.mp4"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_no_nan_in_json(predict, labels, bad: float) -> None:
    prediction = predict()
    smoothed = prediction.smoothed.copy()
    smoothed[0] = bad
    line = prediction_line(
        replace(prediction, smoothed=smoothed, score=bad, raw_score=bad), labels, 0.0
    )

    def refuse(constant: str) -> None:
        raise AssertionError(f"not JSON: {constant}")

    read = json.loads(line, parse_constant=refuse)
    assert read["score"] is None
    assert read["raw_score"] is None
    assert dict(read["top"]).get("left") is None


def test_real_lines_fit_the_published_schema(predict, labels) -> None:
    schema = json.loads((DOCS / "prediction.schema.json").read_text())
    assert schema == prediction_schema(), (
        "docs/prediction.schema.json is out of date; write json.dumps(prediction_schema(), "
        "indent=2) into it"
    )
    line = json.loads(prediction_line(predict(), labels, 0.0))
    assert set(schema["required"]) == set(schema["properties"]) == set(line)


def test_every_field_is_documented() -> None:
    text = (DOCS / "jsonl.md").read_text()
    schema = prediction_schema()
    names = [*schema["properties"], *schema["$defs"]["TimingsMs"]["properties"]]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_sources_interleave(predict, labels) -> None:
    stream = io.StringIO()
    sink = JsonlSink(stream, labels)
    for i in range(3):
        for source in ("cam0", "cam1"):
            sink.write(predict(i, source=source))
    sink.close()
    seen = [(p["source"], p["index"]) for p in map(json.loads, stream.getvalue().splitlines())]
    assert seen == [(s, i) for i in range(3) for s in ("cam0", "cam1")]


def test_a_reader_sees_each_line_at_once(predict, labels) -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "w") as writer, os.fdopen(read_end) as reader:
        sink = JsonlSink(writer, labels)
        for i in range(2):
            sink.write(predict(i))
            assert json.loads(reader.readline())["index"] == i
        sink.close()
        assert not writer.closed


def test_dash_is_standard_output(predict, labels, capfd) -> None:
    print("before")
    sink = JsonlSink("-", labels)
    sink.write(predict(7))
    sink.close()
    print("after")
    before, line, after = capfd.readouterr().out.splitlines()
    assert (before, json.loads(line)["index"], after) == ("before", 7, "after")


def test_dash_where_standard_output_is_no_file(predict, labels, capsys) -> None:
    sink = JsonlSink("-", labels)
    sink.write(predict(7))
    sink.close()
    assert json.loads(capsys.readouterr().out)["index"] == 7


@pytest.mark.parametrize("name", ["missing/out.jsonl", ".", "file.txt/out.jsonl"])
def test_a_file_that_cannot_be_opened(tmp_path, labels, name: str) -> None:
    (tmp_path / "file.txt").write_text("kept")
    with pytest.raises(OutputError, match="cannot write") as caught:
        JsonlSink(tmp_path / name, labels)
    assert str(tmp_path) in str(caught.value)
    assert caught.value.hint
    assert (tmp_path / "file.txt").read_text() == "kept"


def test_former_content_is_replaced(predict, labels, tmp_path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old\n" * 1000)
    sink = JsonlSink(str(path), labels)
    sink.write(predict(1))
    sink.close()
    assert [json.loads(line)["index"] for line in path.read_text().splitlines()] == [1]


@pytest.mark.parametrize(
    ("former", "kept"),
    [(None, ""), ("", ""), ("old\n", "old\n"), ("old\nto", "old\nto\n"), ("t", "t\n")],
)
def test_former_content_may_be_kept(predict, labels, tmp_path, former, kept) -> None:
    path = tmp_path / "out.jsonl"
    if former is not None:
        path.write_text(former)
    for i in range(2):
        sink = JsonlSink(path, labels, append=True)
        sink.write(predict(i))
        sink.close()
    text = path.read_text()
    assert text.startswith(kept)
    indexes = [json.loads(line)["index"] for line in text[len(kept) :].splitlines()]
    assert indexes == [0, 1]


@pytest.mark.parametrize("append", [True, False])
def test_a_file_that_is_moved_away_is_made_anew(predict, labels, tmp_path, append) -> None:
    path, older = tmp_path / "out.jsonl", tmp_path / "out.jsonl.1"
    sink = JsonlSink(path, labels, append=append)
    sink.write(predict(0))
    path.rename(older)
    sink.write(predict(1))
    sink.reopen()
    sink.write(predict(2))
    sink.reopen()
    sink.write(predict(3))
    sink.close()
    files = [[json.loads(line)["index"] for line in f.open()] for f in (older, path)]
    assert files == [[0, 1], [2, 3]]


def test_a_folder_that_is_gone_is_one_clear_error(predict, labels, tmp_path) -> None:
    (tmp_path / "logs").mkdir()
    sink = JsonlSink(tmp_path / "logs" / "out.jsonl", labels, append=True)
    (tmp_path / "logs").rename(tmp_path / "older")
    sink.reopen()
    with pytest.raises(OutputError, match=r"cannot write .*out\.jsonl: No such file"):
        sink.write(predict())
    sink.close()


def test_standard_output_stays(predict, labels, capfd) -> None:
    sink = JsonlSink("-", labels, append=True)
    sink.reopen()
    sink.write(predict(4))
    sink.close()
    assert json.loads(capfd.readouterr().out)["index"] == 4


def test_a_full_disk_is_one_clear_error(predict, labels) -> None:
    sink = JsonlSink("/dev/full", labels)
    with pytest.raises(OutputError, match="cannot write /dev/full: No space left on device"):
        sink.write(predict())
    sink.close()


_SCRIPT = """
import sys
import numpy as np
from edgevid.errors import OutputError
from edgevid.sinks.jsonl import JsonlSink
from edgevid.types import Prediction
scores = np.float32([0.5, 0.5])
sink = JsonlSink("-", ("a", "b"))
try:
    for i in range(int(sys.argv[1])):
        sink.write(Prediction("s", i, 0.0, 1.0, scores, scores, "a", 0.5, "a", 0.5))
except OutputError as exc:
    print(exc, file=sys.stderr)
    sys.exit(2)
except BrokenPipeError:
    sys.exit(3)
finally:
    sink.close()
"""


def test_standard_output_on_a_full_disk_keeps_the_exit_status() -> None:
    """Python's own flush at exit would fail once more, and turn the status into 120."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, "2"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert done.stderr == "cannot write standard output: No space left on device\n"


def test_a_reader_that_goes_away_is_told_apart_from_a_failure() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, "100000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["index"] == 0
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 3
