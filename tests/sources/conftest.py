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


@pytest.fixture
def rtsp_url(tmp_path: Path) -> Iterator[str]:
    """rtsp:// URL of a real server that plays 30 frames of `picture` at 25 fps."""
    if not Path(_SYSTEM_PYTHON).exists() or _fails([_SYSTEM_PYTHON, "-c", _PROBE]):
        pytest.skip(
            "no RTSP server here; on Debian: apt install python3-gi "
            "gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good"
        )
    clip = make_video(tmp_path / "served.mp4", g="10")
    server = subprocess.Popen(
        [_SYSTEM_PYTHON, str(Path(__file__).with_name("rtsp_server.py")), str(clip)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        yield f"rtsp://127.0.0.1:{int(server.stdout.readline())}/clip"
    finally:
        server.kill()
        server.communicate(timeout=10)


def _fails(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode != 0
