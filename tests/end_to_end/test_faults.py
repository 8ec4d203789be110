"""A real `edgevid run` on cameras that misbehave, and with outputs that do."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edgevid.benchmarks.faulty_camera import Fault, FaultyCamera
from edgevid.benchmarks.live_runs import Ending, LiveRun, unaccounted

pytestmark = pytest.mark.timeout(110)

LIVE = "synthetic:?live=1&seconds=600"
ENDS_WITHIN_S = 5.0
"""It is to be 2 s; the interpreter's own end is in it, and a busy machine takes its time."""


@contextmanager
def camera(*faults: Fault) -> Iterator[tuple[FaultyCamera, threading.Event]]:
    """One that suffers these, and what is set with the last of them."""
    over = threading.Event()
    playing = FaultyCamera(faults, lambda fault: over.set() if fault == faults[-1] else None)
    try:
        yield playing, over
    finally:
        playing.close()


def metrics(run: LiveRun) -> dict[tuple[str, ...], float]:
    """(name, label values in the order of their names) to value."""
    return {
        (sample.name, *(v for _, v in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(run.scrape("/metrics"))
        for sample in family.samples
    }


def ended_well(ending: Ending) -> None:
    assert ending.status == 0
    assert ending.seconds < ENDS_WITHIN_S
    assert unaccounted(ending.summary) == 0


def listening(port: int) -> set[str]:
    """The addresses at which somebody listens on a port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    found = {
        row[1].split(":")[0] for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")
    }
    return {socket.inet_ntoa(bytes.fromhex(address)[::-1]) for address in found}


def test_cameras_that_misbehave_are_read_on_and_what_was_lost_is_said(demo_bundle, tmp_path):
    torn = [Fault(1, "corrupt", 0.6), Fault(2, "size"), Fault(3, "stall", 2.0), Fault(6, "size")]
    lost = [
        Fault(1, "clock", 3600.0), Fault(2, "clock", -3600.0), Fault(3, "clock", -0.3),
        Fault(4, "garbage"), Fault(5, "hang-up"),
    ]  # fmt: skip
    options = ["--smooth", "mean:4", "--stall-after", "1", "--log", str(tmp_path / "facts.jsonl")]
    with camera(*torn) as (a, a_over), camera(*lost) as (b, b_over):
        urls = [c.url.replace("://", "://me:hunter2@") for c in (a, b)]
        names = [url.replace("me:hunter2", "***") for url in urls]
        with LiveRun(demo_bundle, urls, tmp_path, options) as run:
            run.wait_for(lambda: a_over.is_set() and b_over.is_set())
            at_the_end = dict(run.predictions)
            run.wait_for(lambda: all(run.predictions[n] >= at_the_end[n] + 5 for n in names))
            told = metrics(run)
            health = run.scrape("/health")
            port = int(re.search(r"127\.0\.0\.1:(\d+)/metrics", run.said)[1])
            assert listening(port) == {"127.0.0.1"}
            ending = run.stop()
    ended_well(ending)
    for name in names:
        (entry,) = [s for s in ending.summary["sources"] if s["source"] == name]
        outages = [line.data for line in run.lines if line.data["type"] == "outage"]
        mine = [o["lasted_s"] for o in outages if o["source"] == name]
        assert entry["outages"] == told["edgevid_outages_total", name] == len(mine) / 2 >= 1
        assert all(lasted is None for lasted in mine[::2])
        assert all(lasted is not None for lasted in mine[1::2])
        assert entry["clips"] == run.predictions[name]
        assert told["edgevid_frames_total", "lost", name] == entry["frames_lost"]
    assert ending.summary["sources"][0]["frames_lost"] > 0
    assert any(line.data.get("restart") for line in run.lines)
    everything = [run.said, health, json.dumps([line.data for line in run.lines])]
    everything += [str(told), *(f.read_text() for f in tmp_path.iterdir())]
    assert not [text for text in everything if "hunter2" in text]


def test_a_camera_that_says_nothing_does_not_hold_up_the_end(demo_bundle, tmp_path):
    with camera(Fault(1, "stall", 30.0)) as (silent, over):
        options = ["--stall-after", "20"]
        with LiveRun(demo_bundle, [silent.url, LIVE], tmp_path, options) as run:
            run.wait_for(lambda: over.is_set() and len(run.predictions) == 2)
            ending = run.stop()
    ended_well(ending)
    frames = {s["source"]: s["frames_read"] for s in ending.summary["sources"]}
    assert min(frames.values()) > 0


@contextmanager
def full_pipe(path: Path) -> Iterator[None]:
    """A named pipe whose reader reads nothing, and whose buffer is full."""
    os.mkfifo(path)
    end = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        with suppress(BlockingIOError):
            while True:
                os.write(end, bytes(65536))
        yield
    finally:
        os.close(end)


def test_outputs_that_hang_or_are_full_hold_up_nobody_and_are_told(demo_bundle, tmp_path):
    """A video on a full disk, lines into a pipe that nobody reads, a log on a full device."""
    full_disk = ("prlimit", "--fsize=60000")
    options = ["--video", str(tmp_path / "seen.mp4"), "--log", "/dev/full"]
    with full_pipe(tmp_path / "pipe"), LiveRun(
        demo_bundle, [LIVE], tmp_path, options, jsonl=str(tmp_path / "pipe"), prefix=full_disk
    ) as run:  # fmt: skip
        run.wait_for(lambda: "/metrics" in run.said)
        run.wait_for(lambda: metrics(run).get(("edgevid_undelivered_total", "VideoSink"), 0) > 3)
        before = metrics(run)
        run.wait_for(lambda: answered(metrics(run)) >= answered(before) + 3)
        told = metrics(run)
        ending = run.stop()
    ended_well(ending)
    assert told["edgevid_undelivered_total", "FactLog"] >= 2
    undelivered = ending.summary["undelivered"]
    assert set(undelivered) == {"VideoSink", "JsonlSink", "FactLog"}
    assert undelivered["JsonlSink"] == ending.summary["clips"]
    for sink, count in undelivered.items():
        assert f"{count} results did not reach {sink}" in run.said
    assert run.said.count("seen.mp4: File too large") == 1
    assert not list(tmp_path.glob("*.mp4"))


def answered(told: dict[tuple[str, ...], float]) -> float:
    return sum(count for key, count in told.items() if key[0] == "edgevid_predictions_total")


def test_a_pipe_that_nobody_reads_yet_does_not_hold_up_the_start(demo_bundle, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with LiveRun(demo_bundle, [LIVE], tmp_path, jsonl=str(pipe)) as run:
        run.wait_for(lambda: "/metrics" in run.said)
        run.wait_for(lambda: answered(metrics(run)) >= 2)
        with pipe.open() as reader:
            lines = [json.loads(reader.readline()) for _ in range(4)]
        assert [line["index"] for line in lines] == [0, 1, 2, 3]
        ended_well(run.stop())
