"""The real test data, and real servers on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from source_media import make_video

from edgevid.benchmarks.rtsp_server import MISSING, RtspServer

_SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """The folder of real test data beside the repository."""
    if not _SHARED.is_dir():
        pytest.skip("the folder ../shared/data with real clips is absent")
    return _SHARED


@pytest.fixture
def rtsp_server(tmp_path: Path) -> Iterator[RtspServer]:
    """A server with /clip (30 frames of `picture` at 25 fps) and /camera (25 fps, endless)."""
    if not RtspServer.is_possible():
        pytest.skip(MISSING)
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
