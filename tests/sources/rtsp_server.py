"""A real RTSP server on loopback: one H.264 MP4 file at /clip, an endless camera at /camera.

    rtsp_server.py FILE [PORT]

Run by the system's Python, which has GStreamer's bindings. Prints its port once it listens;
ends with its parent's pipe.
"""

import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

CAMERA = (
    "( videotestsrc is-live=true pattern=ball "
    "! video/x-raw,format=I420,width=160,height=120,framerate=25/1 "
    "! jpegenc ! rtpjpegpay name=pay0 pt=26 )"
)


def main(path: str, port: str = "0") -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
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


main(*sys.argv[1:])
