"""`edgevid run --wait-for-source` beside a camera that is not there yet when the run begins."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.timeout(90)
OTHER = "yard=synthetic:?live=1&seconds=600&seed=1"


class MotionJpeg(BaseHTTPRequestHandler):
    """A camera that serves Motion JPEG, as many do."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        rng = np.random.default_rng(0)
        try:
            for _ in range(400):
                image = cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), (160, 120))
                body = cv2.imencode(".jpg", image)[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
                self.wfile.write(head.encode() + body + b"\r\n")
                time.sleep(0.04)
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def camera(port: int) -> Iterator[Any]:
    """Starts the camera when called."""
    started: list[ThreadingHTTPServer] = []

    def start() -> None:
        server = ThreadingHTTPServer(("127.0.0.1", port), MotionJpeg)
        server.daemon_threads = True
        started.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


class Run:
    """`edgevid run` that writes JSON lines, a log and a summary into a folder."""

    def __init__(self, folder: Path, bundle: Path, *arguments: str) -> None:
        self.folder = folder
        files = ["--jsonl", "labels.jsonl", "--summary", "run.json", "--log", "facts.jsonl"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edgevid", "run", str(bundle), *arguments, *files],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def lines(self, name: str = "labels.jsonl") -> list[dict[str, Any]]:
        path = self.folder / name
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]

    def labelled(self, source: str) -> int:
        return sum(x["type"] == "prediction" and x["source"] == source for x in self.lines())

    def wait_for(self, condition: Any) -> None:
        until_s = time.monotonic() + 40
        while not condition():
            assert self.process.poll() is None, self.process.communicate()[1]
            assert time.monotonic() < until_s
            time.sleep(0.05)


def test_a_camera_that_comes_later_joins_the_others(demo_bundle, tmp_path, camera, port):
    door = f"door=http://me:secret@127.0.0.1:{port}/"
    run = Run(tmp_path, demo_bundle, "-s", door, "-s", OTHER, "--wait-for-source")
    try:
        run.wait_for(lambda: run.labelled("yard") >= 3)
        assert run.labelled("door") == 0
        camera()
        run.wait_for(lambda: run.labelled("door") >= 3)
        run.process.send_signal(signal.SIGTERM)
        output = "".join(run.process.communicate(timeout=20))
    finally:
        run.process.kill()
    assert run.process.returncode == 0
    assert "secret" not in output + (tmp_path / "facts.jsonl").read_text()
    lost, back = (x for x in run.lines() if x["type"] == "outage")
    assert (lost["source"], lost["at_s"], lost["lasted_s"]) == ("door", 0.0, None)
    assert lost["reason"].startswith("not there yet: ")
    assert "Connection refused. Check the address" in lost["reason"]
    assert back["attempts"] >= 1
    assert back["lasted_s"] > 0
    sources = {s["source"]: s for s in json.loads((tmp_path / "run.json").read_text())["sources"]}
    assert set(sources) == {"door", "yard"}
    assert sources["door"]["outages"] == 1
    assert "160x120" in sources["door"]["description"]
    assert {f["source"] for f in run.lines("facts.jsonl") if "source" in f} == {"door", "yard"}


def test_a_camera_that_does_not_answer_holds_up_nobody(demo_bundle, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        door = f"door=rtsp://127.0.0.1:{silent.getsockname()[1]}/"
        run = Run(tmp_path, demo_bundle, "-s", door, "-s", OTHER, "--wait-for-source")
        try:
            run.wait_for(lambda: run.labelled("yard") >= 3)
            # It is not even known yet that nobody answers.
            assert all(line["source"] == "yard" for line in run.lines())
            run.process.send_signal(signal.SIGTERM)
            run.process.communicate(timeout=20)
        finally:
            run.process.kill()
    assert run.process.returncode == 0


def test_one_that_never_comes_ends_with_sigterm(demo_bundle, tmp_path, port):
    run = Run(tmp_path, demo_bundle, "-s", f"http://127.0.0.1:{port}/", "--wait-for-source")
    try:
        run.wait_for(lambda: any(x["type"] == "outage" for x in run.lines()))
        started = time.monotonic()
        run.process.send_signal(signal.SIGTERM)
        run.process.communicate(timeout=20)
    finally:
        run.process.kill()
    assert run.process.returncode == 0
    assert time.monotonic() - started < 5
    (source,) = json.loads((tmp_path / "run.json").read_text())["sources"]
    assert (source["clips"], source["outages"], source["error"]) == (0, 1, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], r"cannot be opened: Connection refused"),
        (["--wait-for-source", "--give-up-after", "1"], r"not there yet: .*; \d attempts in 1 s"),
        (["--wait-for-source", "--no-reconnect"], r"contradict each other"),
        (["--wait-for-source", "-s", "nowhere.mp4"], r"no such file: nowhere\.mp4"),
        (["-s", "door=nowhere.mp4"], r"door: no such file: nowhere\.mp4"),
        (["--wait-for-source", "-s", "yard=synthetic:?seed=2"], r"source 'yard' is given twice"),
    ],
)
def test_what_ends_the_run(demo_bundle, tmp_path, port, arguments, message):
    places = ["-s", f"http://127.0.0.1:{port}/"]
    if "twice" in message:
        places = ["-s", "yard=synthetic:?seed=1"]
    run = Run(tmp_path, demo_bundle, *arguments, *places)
    said = run.process.communicate(timeout=60)[1]
    assert run.process.returncode == 2
    assert re.search(f"error: .*{message}", said)
    assert "Traceback" not in said
