"""sd_notify with a real datagram socket: what a stand-in for systemd hears, and when not."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgevid.errors import OutputError
from edgevid.pipeline import CaptureJob, NamedSource, SourceProgress, SourceStarted, Stream
from edgevid.sources.synthetic import SyntheticSource
from edgevid.spec import ClipSpec, InputSpec
from edgevid.telemetry import Health, Notifier
from edgevid.telemetry.health import Flow
from edgevid.types import Outage, SourceInfo, TensorInfo

DEMO = Path(__file__).parents[2] / "edgevid" / "demo"

pytestmark = pytest.mark.timeout(60)


class Systemd:
    """Hears datagrams as systemd does."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address[0] == "@" else address)
        self.lines: list[str] = []

    def hear(self, wait_s: float = 0.0) -> list[str]:
        """Lines of what came, after waiting for the first at most this long."""
        fresh = []
        self.socket.settimeout(wait_s or 1e-3)
        try:
            while True:
                fresh += self.socket.recv(4096).decode().splitlines()
                self.socket.settimeout(1e-3)
        except TimeoutError:
            pass
        self.lines += fresh
        return fresh

    def wait_for(self, line: str, seconds: float = 30.0) -> None:
        until_s = time.monotonic() + seconds
        while line not in self.lines:
            assert time.monotonic() < until_s, self.lines
            self.hear(0.2)


@pytest.fixture(params=["path", "abstract"])
def systemd(request, tmp_path) -> Iterator[Systemd]:
    name = f"@edgevid-{os.getpid()}-{tmp_path.name}"
    made = Systemd(str(tmp_path / "notify") if request.param == "path" else name)
    yield made
    made.socket.close()


def test_what_is_heard_is_what_was_said(systemd):
    notifier = Notifier(systemd.address)
    notifier.ready()
    notifier.stopping()
    notifier.stopping()
    assert systemd.hear(1.0) == [
        "READY=1", "STATUS=Waiting for the first source",
        "STOPPING=1", "STATUS=Finishing the outputs",
    ]  # fmt: skip
    notifier.close()


def test_without_systemd_there_is_no_notifier():
    assert Notifier.from_environment({}) is None
    assert Notifier.from_environment({"NOTIFY_SOCKET": ""}) is None


@pytest.mark.parametrize("address", ["vsock:2:1234", "relative", "@", "/"])
def test_an_address_of_another_kind_is_refused(address):
    with pytest.raises(OutputError, match="NOTIFY_SOCKET"):
        Notifier.from_environment({"NOTIFY_SOCKET": address})


@pytest.mark.parametrize("limit", ["soon", "-5", "0", "1.5"])
def test_a_limit_that_is_no_number_is_refused(limit, tmp_path):
    environment = {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": limit}
    with pytest.raises(OutputError, match="WATCHDOG_USEC"):
        Notifier.from_environment(environment)


def test_nobody_listening_is_said(tmp_path):
    with pytest.raises(OutputError, match="systemd cannot be told: No such file"):
        Notifier(str(tmp_path / "nobody")).ready()


def progress(name: str, read: int, used: int, waiting: int = 0) -> SourceProgress:
    return SourceProgress(name, read, used, 0, 0, 0, 0, 0, waiting)


class Standing:
    """A stream whose counts the test sets."""

    def __init__(self) -> None:
        self.counts: list[SourceProgress] = []

    def progress(self) -> list[SourceProgress]:
        return self.counts


def started(name: str) -> SourceStarted:
    return SourceStarted(name, SourceInfo(8, 6, 25.0, None, True, "a camera"), 1, ())


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
class TestWatchdog:
    """A limit of 8 s: a ping is due every 2 s, and only while things move."""

    @pytest.fixture(autouse=True)
    def _parts(self, systemd):
        self.now = 0.0
        self.systemd = systemd
        self.stream = Standing()
        self.health = Health(clock=lambda: self.now)
        self.notifier = Notifier(systemd.address, 8.0, clock=lambda: self.now)

    def begin(self, *names: str) -> None:
        for name in names:
            self.health.note(started(name))
            self.notifier.note(started(name))

    def pinged_after(self, seconds: float, *counts: SourceProgress) -> bool:
        self.now += seconds
        self.stream.counts = list(counts)
        self.notifier.seen(self.stream, self.health)
        return "WATCHDOG=1" in self.systemd.hear()

    def test_pings_come_four_times_within_the_limit_and_no_more(self):
        self.begin("door")
        pings = [self.pinged_after(0.5, progress("door", i, i)) for i in range(1, 21)]
        assert sum(pings) == 5

    def test_before_the_first_source_the_loop_is_enough(self):
        assert self.pinged_after(2)
        assert self.pinged_after(2)

    def test_a_camera_without_frames_stops_them_and_new_ones_bring_them_back(self):
        self.begin("door")
        assert self.pinged_after(2, progress("door", 10, 5))
        for _ in range(10):
            assert not self.pinged_after(2, progress("door", 10, 5))
        assert self.pinged_after(2, progress("door", 11, 5))

    def test_an_engine_that_hangs_stops_them_though_frames_come(self):
        self.begin("door")
        assert self.pinged_after(2, progress("door", 10, 5, 2))
        assert self.pinged_after(2, progress("door", 20, 10, 2))
        # It holds what it took; the queue fills, and then the oldest are dropped.
        assert not self.pinged_after(2, progress("door", 30, 14, 6))
        assert not self.pinged_after(2, progress("door", 90, 16, 8))
        assert not self.pinged_after(2, progress("door", 150, 15, 8))
        assert self.pinged_after(2, progress("door", 160, 17, 0))

    def test_one_of_two_that_hangs_is_enough(self):
        self.begin("door", "yard")
        assert self.pinged_after(2, progress("door", 1, 1), progress("yard", 1, 1))
        assert not self.pinged_after(2, progress("door", 2, 2), progress("yard", 1, 1))
        # What moved in between counts: both need not move in the same two seconds.
        assert self.pinged_after(2, progress("door", 2, 2), progress("yard", 2, 1))

    def test_a_lost_camera_is_named_and_holds_nothing_up(self):
        self.begin("door", "yard")
        self.health.note(Outage("yard", 1.0, "gone"))
        for i in range(1, 4):
            assert self.pinged_after(2, progress("door", i, i), progress("yard", 7, 3))
        assert self.systemd.lines[-2] == "STATUS=Running on 1 of 2 sources; lost: yard"

    def test_a_source_that_begins_again_is_not_held_to_its_old_counts(self):
        self.begin("door")
        assert self.pinged_after(2, progress("door", 500, 500, 1))
        self.begin("door")
        assert self.pinged_after(2, progress("door", 3, 3, 1))

    def test_a_name_with_a_line_break_cannot_speak_to_systemd(self):
        self.begin("a\nWATCHDOG=1")
        self.health.note(Outage("a\nWATCHDOG=1", 1.0, "gone"))
        self.pinged_after(2)
        assert self.systemd.lines[0] == "STATUS=Running on 0 of 1 sources; lost: a WATCHDOG=1"

    def test_after_the_end_began_there_are_none(self):
        self.begin("door")
        self.notifier.stopping()
        assert not self.pinged_after(2, progress("door", 1, 1))


def test_flow_ignores_a_count_that_is_read_while_it_changes():
    flow = Flow()
    assert flow.moved([progress("a", 1, 8, 4)], ["a"])
    assert flow.moved([progress("a", 2, 9, 4)], ["a"])  # a sample counted, not yet queued
    for read in range(3, 50):
        assert not flow.moved([progress("a", read, 8 + read % 2, 4)], ["a"])


class HangingEngine:
    name = "hangs"
    inputs = (TensorInfo("clip", (None, 4, 6, 8, 3), "uint8"),)
    outputs = (TensorInfo("scores", (None, 2), "float32"),)

    def __init__(self) -> None:
        self.calls = 0
        self.release = threading.Event()

    def infer(self, feeds):
        self.calls += 1
        if self.calls > 10:
            self.release.wait(30)
        return {"scores": np.tile(np.float32([0.25, 0.75]), (len(feeds["clip"]), 1))}

    def close(self):
        pass


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_a_real_stream_is_silent_once_its_engine_hangs(systemd):
    engine = HangingEngine()
    clip = ClipSpec(num_frames=4, fps=30.0)
    job = CaptureJob(clip, (InputSpec(name="clip", layout="NTHWC", size=(6, 8)),))
    uri = "synthetic:?seconds=20&live=1&fps=60"
    lane = [NamedSource(uri, lambda: SyntheticSource.from_uri(uri))]
    stream = Stream(engine, ("a", "b"), [lane], job)
    health, notifier = Health(), Notifier(systemd.address, 0.8)
    heard_at: list[float] = []
    hung_s = float("inf")

    def meanwhile() -> None:
        nonlocal hung_s
        notifier.seen(stream, health)
        if "WATCHDOG=1" in systemd.hear():
            heard_at.append(time.monotonic())
        if engine.calls > 10:
            hung_s = min(hung_s, time.monotonic())
            if time.monotonic() > hung_s + 2.0:
                engine.release.set()
                stream.stop()

    try:
        for result in stream.results(meanwhile):
            health.note(result)
            notifier.note(result)
            if engine.release.is_set():
                break
    finally:
        engine.release.set()
        stream.close()
        notifier.close()
    assert len([at for at in heard_at if at < hung_s]) >= 1
    # One more may come for what the engine took last, and while its queue is not yet full.
    silent = [at for at in heard_at if hung_s + 1.0 < at < hung_s + 2.0]
    assert silent == []


@pytest.mark.parametrize("systemd", ["abstract"], indirect=True)
def test_a_real_run_is_ready_pings_and_stops(systemd, demo_bundle, tmp_path):
    process = subprocess.Popen(
        [
            sys.executable, "-m", "edgevid", "run", str(demo_bundle), "--quiet",
            "--source", "synthetic:?live=1&seconds=600",
        ],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "1000000"},
    )  # fmt: skip
    try:
        systemd.wait_for("READY=1")
        systemd.wait_for("WATCHDOG=1")
        systemd.wait_for("STATUS=Running on 1 of 1 sources")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
        assert process.returncode == 0, said
        systemd.wait_for("STOPPING=1", 1.0)
    finally:
        process.kill()
    assert systemd.lines.index("READY=1") < systemd.lines.index("WATCHDOG=1")
    assert systemd.lines.count("READY=1") == systemd.lines.count("STOPPING=1") == 1


def test_a_run_goes_on_where_systemd_cannot_be_told(demo_bundle, tmp_path):
    for address, said in (
        (str(tmp_path / "nobody"), "systemd cannot be told: No such file or directory"),
        ("vsock:2:1", "NOTIFY_SOCKET 'vsock:2:1' is no address of systemd's"),
    ):
        done = subprocess.run(
            [
                sys.executable, "-m", "edgevid", "run", str(demo_bundle), "--quiet",
                "--source", str(DEMO / "demo.mp4"), "--max-clips", "2",
            ],
            env={**os.environ, "NOTIFY_SOCKET": address},
            capture_output=True, text=True, check=False, timeout=40,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("edgevid: warning:") == 1
        assert said in done.stderr
