"""Traces: what is written is read, in little memory, whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgevid.errors import EdgevidError, MissingDependencyError, OutputError, SourceError, SpecError
from edgevid.traces import TraceInfo, open_trace_sink, read_trace
from edgevid.traces.trace import TIMINGS
from edgevid.types import Prediction, StageTimings

INFO = TraceInfo(("a", "b\n", "ü"), "model", True, "mean:4", ("onset=0.5", "a: onset=0.7"))
SUFFIXES = ["npz", "parquet"]


def _predictions(count: int, classes: int = 3) -> list[Prediction]:
    rng = np.random.default_rng(0)
    made = []
    for i in range(count):
        scores = rng.random(classes).astype(np.float32)
        made.append(
            Prediction(
                f"source {i % 2}", i // 2, i / 3, i / 3 + 1 / 7, scores, scores, "a", 0.5, "b", 0.5,
                gap=i % 3 == 0, padded=i % 5, restart=i % 7 == 0,
                blank=i % 4 == 0, latency_from="capture" if i % 5 else "arrival",
                timings=StageTimings(*rng.random(6)),
            )
        )  # fmt: skip
    return made


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("count", [0, 1, 9000])
def test_what_is_written_is_read_to_the_last_digit(tmp_path, suffix: str, count: int) -> None:
    path = tmp_path / f"t.{suffix}"
    predictions = _predictions(count)
    sink = open_trace_sink(path, INFO)
    for prediction in predictions:
        sink.write(prediction)
    assert not path.exists()
    sink.close()
    sink.close()
    assert os.listdir(tmp_path) == [path.name]

    trace = read_trace(path)
    assert trace.info == INFO
    assert len(trace) == count
    np.testing.assert_array_equal(
        trace.scores, np.array([p.scores for p in predictions]).reshape(-1, 3)
    )
    assert trace.scores.dtype == np.float32
    for name in ("index", "start_s", "end_s", "gap", "padded", "restart", "blank"):
        assert trace.columns[name].tolist() == [getattr(p, name) for p in predictions]
    from_capture = [p.latency_from == "capture" for p in predictions]
    assert trace.columns["from_capture"].tolist() == from_capture
    for name in TIMINGS:
        assert trace.columns[name].tolist() == [getattr(p.timings, name) for p in predictions]
    if count > 1:
        assert trace.sources == ("source 0", "source 1")
        assert trace.rows_of("source 1").tolist() == list(range(1, count, 2))


def test_a_trace_from_before_a_column_was_added(tmp_path) -> None:
    sink = open_trace_sink(tmp_path / "new.npz", INFO)
    for prediction in _predictions(5):
        sink.write(prediction)
    sink.close()
    with np.load(tmp_path / "new.npz") as file:
        older = {k: file[k] for k in file.files if k not in ("blank", "from_capture")}
    np.savez(tmp_path / "old.npz", **older)
    trace = read_trace(tmp_path / "old.npz")
    assert trace.columns["blank"].tolist() == trace.columns["from_capture"].tolist() == [False] * 5


def test_others_read_the_files(tmp_path) -> None:
    """NumPy alone, and pyarrow alone."""
    import pyarrow.parquet as pq

    for suffix in SUFFIXES:
        sink = open_trace_sink(tmp_path / f"t.{suffix}", INFO)
        for prediction in _predictions(10):
            sink.write(prediction)
        sink.close()
    with np.load(tmp_path / "t.npz") as file:
        assert file["scores"].shape == (10, 3)
        assert json.loads(str(file["info"]))["format"] == "edgevid trace"
    table = pq.read_table(tmp_path / "t.parquet")
    assert table.num_rows == 10
    assert len(table["scores"][0].as_py()) == 3


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_memory_does_not_grow_with_the_run(tmp_path, suffix: str) -> None:
    prediction = _predictions(1, classes=400)[0]
    info = TraceInfo(tuple(str(i) for i in range(400)))

    def peak(count: int) -> int:
        sink = open_trace_sink(tmp_path / f"t{count}.{suffix}", info)
        tracemalloc.start()
        for _ in range(count):
            sink.write(prediction)
        sink.close()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    short, long = peak(8192), peak(4 * 8192)
    # Four times the scores are 39 MB more; what is held is one block of 4096 windows.
    assert long < short + 4_000_000


_WRITE_FOR_EVER = """
import sys
import numpy as np
from edgevid.traces import TraceInfo, open_trace_sink
from edgevid.types import Prediction
scores = np.float32([0.5, 0.5])
sink = open_trace_sink(sys.argv[1], TraceInfo(("a", "b")))
print("open", flush=True)
while True:
    sink.write(Prediction("s", 0, 0.0, 1.0, scores, scores, "a", 0.5, "a", 0.5))
"""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_kill_leaves_the_former_trace(tmp_path, suffix: str) -> None:
    path = tmp_path / f"t.{suffix}"
    open_trace_sink(path, INFO).close()
    with subprocess.Popen(
        [sys.executable, "-c", _WRITE_FOR_EVER, str(path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
    assert len(read_trace(path)) == 0


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, suffix: str) -> None:
    sink = open_trace_sink(tmp_path / f"t.{suffix}", INFO)
    for prediction in _predictions(4000):
        sink.write(prediction)

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sink, "_write_rows", full)
    with pytest.raises(OutputError, match="No space left on device"):
        sink.close()
    sink.close()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "error"),
    [("t.csv", SpecError), ("t", SpecError), ("gone/t.npz", OutputError), ("d.npz", OutputError)],
)
def test_names_that_cannot_be_written(tmp_path, name: str, error: type[EdgevidError]) -> None:
    (tmp_path / "d.npz").mkdir()
    with pytest.raises(error):
        open_trace_sink(tmp_path / name, INFO)
    assert os.listdir(tmp_path) == ["d.npz"]


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch) -> None:
    (tmp_path / "t.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"edgevid\[trace\]"):
        open_trace_sink(tmp_path / "new.parquet", INFO)
    with pytest.raises(MissingDependencyError, match=r"edgevid\[trace\]"):
        read_trace(tmp_path / "t.parquet")


def _changed(tmp_path: Path, **changes) -> Path:
    path = tmp_path / "t.npz"
    sink = open_trace_sink(path, INFO)
    for prediction in _predictions(6):
        sink.write(prediction)
    sink.close()
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    for name, value in changes.items():
        if value is None:
            del arrays[name]
        else:
            arrays[name] = value
    np.savez(path, **arrays)
    return path


def test_files_that_are_no_traces_are_one_line(tmp_path) -> None:
    info = json.loads(INFO.to_json(["s"]))
    bad = {
        "no scores": {"scores": None},
        "other classes": {"scores": np.zeros((6, 2), np.float32)},
        "too few rows": {"gap": np.zeros(3, bool)},
        "NaN": {"scores": np.full((6, 3), np.nan, np.float32)},
        "no head": {"info": None},
        "no JSON": {"info": np.array("{")},
        "newer": {"info": np.array(json.dumps(info | {"version": 2}))},
        "unnamed source": {"info": np.array(json.dumps(info))},
    }
    for what, changes in bad.items():
        with pytest.raises(SourceError) as caught:
            read_trace(_changed(tmp_path, **changes))
        assert "t.npz" in str(caught.value), what
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06 no archive", b"text"])
def test_other_files_are_no_traces(tmp_path, content: bytes) -> None:
    for suffix in SUFFIXES:
        path = tmp_path / f"t.{suffix}"
        path.write_bytes(content)
        with pytest.raises(SourceError, match="is no trace"):
            read_trace(path)
    with pytest.raises(SourceError, match="no such trace"):
        read_trace(tmp_path / "gone.npz")


def test_a_trace_cut_short_is_none(tmp_path) -> None:
    path = _changed(tmp_path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(SourceError, match="is no trace"):
        read_trace(path)
    assert not zipfile.is_zipfile(path)
