"""`edgevid run` as a process of its own, watched from outside: its lines, memory and threads."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

from edgevid.benchmarks import heap_watch
from edgevid.benchmarks.heap_watch import Heap
from edgevid.convert import cached

_READY_S = 60.0
_END_S = 30.0


@cache
def demo_bundle() -> Path:
    """The bundle of the model that ships with edgevid."""
    demo = Path(__file__).resolve().parents[1] / "edgevid" / "demo"
    return cached(demo / "model.onnx", spec=demo / "spec.toml")


@dataclass(frozen=True)
class Line:
    """One line of JSON that a run wrote; `at_s` is `time.monotonic()` when it came."""

    at_s: float
    data: dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """What a process holds at one moment.

    Attributes:
        cpu_s: The time it computed for so far.
        heap: What its allocators have given out, where that is watched.
    """

    at_s: float
    rss_mb: float
    files: int
    threads: int
    cpu_s: float
    heap: Heap | None = None


@dataclass(frozen=True)
class Ending:
    """How a run ended after SIGTERM: seconds that it took, exit status and summary."""

    seconds: float
    status: int
    summary: dict[str, Any]


class LiveRun:
    """`edgevid run BUNDLE --source ... --jsonl -`, from its start to `stop`.

    Args:
        bundle: The bundle.
        sources: URIs.
        folder: Where its summary goes.
        options: More flags.
        keep: Lines to keep; others are counted only.
        jsonl: Where the lines go; only those that go to "-" are read.
        prefix: A command to run it with.
        watch_heap: Let its samples tell what its allocators have given out.

    Attributes:
        lines: Those kept, in order.
        predictions: How many there were of each source.
        said: What it wrote to standard error.
    """

    def __init__(
        self,
        bundle: Path,
        sources: Iterable[str],
        folder: Path,
        options: Sequence[str] = (),
        keep: Callable[[dict[str, Any]], bool] = lambda _: True,
        jsonl: str = "-",
        prefix: Sequence[str] = (),
        watch_heap: bool = False,
    ) -> None:
        self._summary = folder / "summary.json"
        module = heap_watch.__name__ if watch_heap else "edgevid"
        command = [*prefix, sys.executable, "-m", module, "run", str(bundle), "--jsonl", jsonl]
        command += [word for uri in sources for word in ("--source", uri)]
        command += ["--metrics", ":0", "--summary", str(self._summary), *options]
        ours, its = socket.socketpair()
        with ours, its:
            self._channel = ours.makefile("rw") if watch_heap else None
            self._process = subprocess.Popen(
                command,
                stdin=its.fileno() if watch_heap else None,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        self._keep = keep
        self.lines: list[Line] = []
        self.predictions: dict[str, int] = {}
        self.said = ""
        self._readers = [
            threading.Thread(target=self._read_lines, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._read_said, args=(self._process.stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read_lines(self, stream: IO[str]) -> None:
        for text in stream:
            if not text.startswith("{"):
                continue
            line = Line(time.monotonic(), json.loads(text))
            if line.data["type"] == "prediction":
                name = line.data["source"]
                self.predictions[name] = self.predictions.get(name, 0) + 1
            if self._keep(line.data):
                self.lines.append(line)

    def _read_said(self, stream: IO[str]) -> None:
        for text in stream:
            self.said += text

    def wait_for(self, condition: Callable[[], bool], within_s: float = _READY_S) -> float:
        """Wait until it holds; `time.monotonic()` at which it did.

        Raises:
            RuntimeError: It never did, or the run ended.
        """
        until_s = time.monotonic() + within_s
        while not condition():
            if self._process.poll() is not None:
                raise RuntimeError(f"the run ended by itself:\n{self.said}")
            if time.monotonic() > until_s:
                raise RuntimeError(f"nothing came within {within_s:g} s:\n{self.said}")
            time.sleep(0.01)
        return time.monotonic()

    def sample(self) -> Sample:
        """What the process holds now."""
        process = Path("/proc", str(self._process.pid))
        pages = int((process / "statm").read_text().split()[1])
        # The name in parentheses may hold spaces; user and system time are fields 14 and 15.
        facts = (process / "stat").read_text().rpartition(")")[2].split()
        return Sample(
            time.monotonic(),
            pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
            len(os.listdir(process / "fd")),
            len(os.listdir(process / "task")),
            (int(facts[11]) + int(facts[12])) / os.sysconf("SC_CLK_TCK"),
            heap_watch.ask(self._channel) if self._channel else None,
        )

    def scrape(self, path: str) -> str:
        """What its metrics endpoint answers, whatever the status."""
        address = re.search(r"Metrics: (http://[^/]+)/metrics", self.said)
        if address is None:
            raise RuntimeError("the run has not said where its metrics are")
        opener = urllib.request.build_opener(_AnyStatus)
        with opener.open(address[1] + path, timeout=10) as answer:
            return str(answer.read().decode())

    def stop(self) -> Ending:
        """End it by SIGTERM; how it ended."""
        asked_s = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(_END_S)
        finally:
            took_s = time.monotonic() - asked_s
            self.kill()
        return Ending(took_s, status, json.loads(self._summary.read_text()))

    def kill(self) -> None:
        """End it at once, whatever it does."""
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join()
        if self._channel:
            self._channel.close()

    def __enter__(self) -> LiveRun:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class _AnyStatus(urllib.request.HTTPErrorProcessor):
    """Takes an answer of any status for an answer."""

    def http_response(self, request: Any, response: Any) -> Any:  # noqa: ARG002 - its shape
        return response


def given_out(sample: Sample) -> float:
    """By the C library, in kB."""
    return _heap(sample).c_kb


def python_blocks(sample: Sample) -> float:
    """Small objects of Python."""
    return _heap(sample).python_blocks


def _heap(sample: Sample) -> Heap:
    if sample.heap is None:
        raise RuntimeError("this run's heap is not watched")
    return sample.heap


def unaccounted(summary: dict[str, Any]) -> int:
    """Frames of all sources that were neither used nor skipped nor dropped."""
    return sum(
        abs(s["frames_read"] - s["frames_used"] - s["frames_skipped"] - s["frames_dropped"])
        for s in summary["sources"]
    )
