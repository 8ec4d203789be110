"""A real RTSP server on loopback: one H.264 MP4 file at /clip, an endless camera at /camera.

    /usr/bin/python3 rtsp_server.py FILE [PORT]

GStreamer's bindings are the system Python's, so this file is run by it, and needs nothing else.
Prints its port once it listens; ends with its parent's pipe.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

CAMERA = (
    "( videotestsrc is-live=true pattern=ball "
    "! video/x-raw,format=I420,width=160,height=120,framerate=25/1 "
    "! jpegenc ! rtpjpegpay name=pay0 pt=26 )"
)
MISSING = (
    "no RTSP server here; on Debian: apt install python3-gi gir1.2-gst-rtsp-server-1.0 "
    "gstreamer1.0-plugins-good"
)
_SYSTEM_PYTHON = "/usr/bin/python3"
_PROBE = """
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst
Gst.init(None)
assert all(map(Gst.ElementFactory.find, ("filesrc", "qtdemux", "rtph264pay")))
"""


class RtspServer:
    """A process that can be killed and started again on its port.

    Args:
        clip: The file at /clip.
    """

    def __init__(self, clip: Path) -> None:
        self._clip = clip
        self.port = 0
        self.start()

    @staticmethod
    def is_possible() -> bool:
        """True where this machine has GStreamer's server."""
        if not Path(_SYSTEM_PYTHON).exists():
            return False
        probe = [_SYSTEM_PYTHON, "-c", _PROBE]
        return subprocess.run(probe, capture_output=True, timeout=30, check=False).returncode == 0

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._process = subprocess.Popen(
            [_SYSTEM_PYTHON, str(Path(__file__).resolve()), str(self._clip)]
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


def serve(path: str, port: str = "0") -> None:
    """Serve until standard input ends."""
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    Gst.init(None)
    server: Any = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    clip = f'( filesrc location="{path}" ! qtdemux ! rtph264pay name=pay0 pt=96 )'
    for place, launch in (("/clip", clip), ("/camera", CAMERA)):
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(launch)
        factory.set_shared(place == "/camera")
        server.get_mount_points().add_factory(place, factory)
    if not server.attach(None):
        sys.exit("the server cannot listen")
    loop = GLib.MainLoop()

    def end_with_parent() -> None:
        sys.stdin.read()
        loop.quit()

    threading.Thread(target=end_with_parent, daemon=True).start()
    print(server.get_bound_port(), flush=True)
    loop.run()


if __name__ == "__main__":
    serve(*sys.argv[1:])
