"""The real test data, and real servers on loopback."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from source_media import make_video

_SHARED = Path(__file__).parents[3] / "shared" / "data"
_SYSTEM_PYTHON = "/usr/bin/python3"
_PROBE = """
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst
Gst.init(None)
assert all(map(Gst.ElementFactory.find, ("filesrc", "qtdemux", "rtph264pay")))
"""


@pytest.fixture
def shared_data() -> Path:
    """The folder of real test data beside the repository."""
    if not _SHARED.is_dir():
        pytest.skip("the folder ../shared/data with real clips is absent")
    return _SHARED


class RtspServer:
    """A real RTSP server on loopback that can be killed and started again on its port."""

    def __init__(self, clip: Path) -> None:
        self._clip = clip
        self.port = 0
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [_SYSTEM_PYTHON, str(Path(__file__).with_name("rtsp_server.py")), str(self._clip)]
            + ([str(self.port)] if self.port else []),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=10)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def url(self, path: str) -> str:
        return f"rtsp://127.0.0.1:{self.port}/{path}"


@pytest.fixture
def rtsp_server(tmp_path: Path) -> Iterator[RtspServer]:
    """A server with /clip (30 frames of `picture` at 25 fps) and /camera (25 fps, endless)."""
    if not Path(_SYSTEM_PYTHON).exists() or _fails([_SYSTEM_PYTHON, "-c", _PROBE]):
        pytest.skip(
            "no RTSP server here; on Debian: apt install python3-gi "
            "gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good"
        )
    clip = make_video(tmp_path / "served.mp4", g="10")
    server = RtspServer(clip)
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def rtsp_url(rtsp_server: RtspServer) -> str:
    """rtsp:// URL that plays 30 frames of `picture` at 25 fps."""
    return rtsp_server.url("clip")


def _fails(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode != 0
