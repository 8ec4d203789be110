"""Signals to a real `edgevid run`, which plays for ever."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from edgevid.cli import main

DEMO = Path(__file__).parents[2] / "edgevid" / "demo"

pytestmark = pytest.mark.timeout(90)


class Running:
    """`edgevid run --config site.toml` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines = folder / "labels.jsonl"
        self._told = folder / "stderr.txt"
        with self._told.open("w") as told:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edgevid", "run", "--config", "site.toml"],
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=told,
                text=True,
            )

    def told(self) -> str:
        """What it wrote to stderr so far."""
        return self._told.read_text()

    def predictions(self, source: str) -> int:
        return len(self.times(source))

    def times(self, source: str) -> list[float]:
        """When its predictions were written."""
        if not self.lines.exists():
            return []
        lines = self.lines.read_text().rpartition("\n")[0].splitlines()
        found = [json.loads(line) for line in lines]
        return [one["unix_s"] for one in found if one["source"] == source]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        until_s = time.monotonic() + 30
        while not condition():
            assert self.process.poll() is None, self.told()
            assert time.monotonic() < until_s
            time.sleep(0.05)


@pytest.fixture
def running(demo_bundle: Path, tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "demo.edgevid").symlink_to(demo_bundle)
    write_site(tmp_path, [source(1), source(2)])
    started = Running(tmp_path)
    yield started
    started.process.kill()
    started.process.communicate(timeout=10)


def failures(running: Running) -> list[str]:
    """What was told of sources that ended by an error."""
    return [ln for ln in running.told().splitlines() if ln.endswith("; the other sources go on")]


def source(seed: int) -> str:
    return f"synthetic:?live=1&seconds=600&seed={seed}"


def write_site(folder: Path, sources: list[str], more: str = "") -> None:
    text = 'model = "demo.edgevid"\njsonl = "labels.jsonl"\nsummary = "run.json"\n' + more
    text += "".join(f'[[sources]]\nuri = "{s}"\n' for s in sources)
    (folder / "site.toml").write_text(text)


def test_sighup_changes_the_sources_and_the_others_go_on(running: Running) -> None:
    running.wait_for(lambda: all(running.predictions(source(i)) >= 3 for i in (1, 2)))
    write_site(running.folder, [source(2), source(3)], 'smooth = "mean:3"\n')
    before = running.predictions(source(2))
    running.process.send_signal(signal.SIGHUP)
    running.wait_for(lambda: running.predictions(source(3)) >= 3)
    first = running.predictions(source(1))
    running.wait_for(lambda: running.predictions(source(3)) >= 8)
    assert running.predictions(source(1)) <= first + 1
    assert running.predictions(source(2)) >= before + 3

    write_site(running.folder, [source(2)], "smoth = 1\n")
    running.process.send_signal(signal.SIGHUP)
    third = running.predictions(source(3))
    running.wait_for(lambda: running.predictions(source(3)) >= third + 3)

    running.process.send_signal(signal.SIGTERM)
    running.process.communicate(timeout=10)
    said = running.told()
    assert running.process.returncode == 0
    assert "smooth changed: that takes effect at the next start" in said
    assert "unknown key 'smoth'" in said
    summary = json.loads((running.folder / "run.json").read_text())
    assert [s["source"] for s in summary["sources"]] == [source(i) for i in (1, 2, 3)]
    for entry in summary["sources"]:
        assert entry["clips"] == running.predictions(entry["source"])


def test_a_new_camera_that_does_not_answer_holds_up_nobody(running: Running) -> None:
    running.wait_for(lambda: running.predictions(source(2)) >= 3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://user:secret@127.0.0.1:{silent.getsockname()[1]}/door"
        write_site(running.folder, [source(2), url])
        running.process.send_signal(signal.SIGHUP)
        silent.settimeout(20)
        connection, _ = silent.accept()
        with connection:
            asked = len(running.times(source(2)))
            time.sleep(5)
            running.wait_for(lambda: running.predictions(source(2)) >= asked + 10)
        running.wait_for(lambda: len(failures(running)) == 1)
    # Nothing changed but that it failed: it is tried again.
    running.process.send_signal(signal.SIGHUP)
    running.wait_for(lambda: len(failures(running)) == 2)
    running.process.send_signal(signal.SIGTERM)
    running.process.communicate(timeout=10)
    assert running.process.returncode == 0
    said = running.told()
    assert "rtsp://***@127.0.0.1" in said
    assert "Connection refused" in failures(running)[1]
    assert "secret" not in said
    times = running.times(source(2))
    assert max(b - a for a, b in pairwise(times)) < 2.5


def test_rotated_files_lose_no_line_and_a_torn_one_is_ended(
    demo_bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "demo.edgevid").symlink_to(demo_bundle)
    write_site(tmp_path, [source(1)], 'append = true\nlog = "facts.log"\n')
    (tmp_path / "labels.jsonl").write_text('{"source": "before"}\n{"source": "cut o')
    running = Running(tmp_path)
    try:
        moved = {tmp_path / name: tmp_path / f"{name}.1" for name in ("labels.jsonl", "facts.log")}
        running.wait_for(lambda: running.lines.read_text().count("\n") >= 5)
        for file, older in moved.items():
            file.rename(older)
        time.sleep(0.3)
        running.process.send_signal(signal.SIGHUP)
        running.wait_for(lambda: running.predictions(source(1)) >= 3)
        running.process.send_signal(signal.SIGTERM)
        running.process.communicate(timeout=10)
    finally:
        running.process.kill()
    assert running.process.returncode == 0
    files = (tmp_path / "labels.jsonl.1", running.lines)
    lines = [line for file in files for line in file.read_text().splitlines(keepends=True)]
    assert lines[:2] == ['{"source": "before"}\n', '{"source": "cut o\n']
    indexes = [json.loads(line)["index"] for line in lines[2:]]
    clips = json.loads((tmp_path / "run.json").read_text())["clips"]
    assert indexes == list(range(clips))
    assert "run started" in (tmp_path / "facts.log.1").read_text()
    facts = (tmp_path / "facts.log").read_text().splitlines()
    assert json.loads(facts[-1])["fact"] == "run ended"


def test_to_append_needs_a_file(demo_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(demo_bundle), "--source", source(1), "--append"]) == 2
    assert "--append needs a file to append to. Add --jsonl FILE" in capsys.readouterr().err


def test_sigterm_ends_within_two_seconds_with_everything_written(running: Running) -> None:
    running.wait_for(lambda: running.predictions(source(1)) >= 2)
    asked = time.monotonic()
    running.process.send_signal(signal.SIGTERM)
    said, _ = running.process.communicate(timeout=10)
    # The interpreter's own end is in it; a busy machine may take its time.
    assert time.monotonic() - asked < 5
    assert running.process.returncode == 0
    assert source(1) in said
    summary = json.loads((running.folder / "run.json").read_text())
    assert summary["clips"] == sum(running.predictions(source(i)) for i in (1, 2))
    assert summary["frames_read"] == (
        summary["frames_used"] + summary["frames_skipped"] + summary["frames_dropped"]
    )


def test_without_a_file_sighup_ends_the_run_as_a_closed_terminal_should(
    demo_bundle: Path, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "edgevid",
            "run",
            str(demo_bundle),
            "--source",
            source(1),
            "--jsonl",
            "labels.jsonl",
            "--quiet",
        ],
        cwd=tmp_path,
    )
    try:
        lines = tmp_path / "labels.jsonl"
        until_s = time.monotonic() + 30
        while not (lines.exists() and lines.read_text()):
            assert time.monotonic() < until_s
            time.sleep(0.05)
        process.send_signal(signal.SIGHUP)
        assert process.wait(10) == -signal.SIGHUP
    finally:
        process.kill()
