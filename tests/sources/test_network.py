from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pytest
from source_media import make_video, read_indices, read_times

from edgevid.errors import SourceError
from edgevid.sources import open_source

LOGIN = "Basic " + base64.b64encode(b"user:secret").decode()


class ClipHandler(BaseHTTPRequestHandler):
    """Serves one file: /clip.mp4, /private.mp4 with a password, /stalls.mp4 only half."""

    def __init__(self, *args: object, body: bytes, stopped: threading.Event) -> None:
        self._body = body
        self._stopped = stopped
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if self.path == "/private.mp4" and self.headers.get("Authorization") != LOGIN:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="clips"')
            self.end_headers()
            return
        if self.path not in ("/clip.mp4", "/private.mp4", "/stalls.mp4"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self._body)))
        self.end_headers()
        if self.path == "/stalls.mp4":
            self.wfile.write(self._body[: len(self._body) // 2])
            self.wfile.flush()
            self._stopped.wait(30)
            return
        self.wfile.write(self._body)

    def log_message(self, *_: object) -> None:
        pass


Address = Callable[[str], str]


@pytest.fixture
def clip_server(tmp_path: Path) -> Iterator[Address]:
    """Gives the URL of a path on a real HTTP server, with `login@` before the host."""
    body = make_video(tmp_path / "a.mp4", movflags="faststart", bf="0").read_bytes()
    stopped = threading.Event()
    handler = partial(ClipHandler, body=body, stopped=stopped)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.server_address[1]
        yield lambda path: "http://{}127.0.0.1:{}/{}".format(
            path.rpartition("@")[0] + "@" if "@" in path else "", port, path.rpartition("@")[2]
        )
        stopped.set()
        server.shutdown()
        thread.join()


def test_http_plays_like_the_file(clip_server: Address) -> None:
    source = open_source(clip_server("clip.mp4"))
    assert not source.info.is_live
    assert source.info.num_frames == 30
    assert read_indices(source) == list(range(30))
    source.close()


def test_http_password_is_used_and_never_shown(clip_server: Address) -> None:
    source = open_source(clip_server("user:secret@private.mp4"))
    assert read_indices(source) == list(range(30))
    assert source.source_id.startswith("http://***@127.0.0.1:")
    with pytest.raises(SourceError, match="401") as caught:
        open_source(clip_server("user:wrong@private.mp4"))
    assert "wrong" not in str(caught.value)


def test_http_not_found(clip_server: Address) -> None:
    with pytest.raises(SourceError, match=r"nothing\.mp4 cannot be opened: .*404"):
        open_source(clip_server("nothing.mp4"))


def test_http_that_stalls_breaks_off(clip_server: Address) -> None:
    source = open_source(clip_server("stalls.mp4"), read_timeout_s=0.5)
    with pytest.raises(SourceError, match=r"stalls\.mp4 broke off: nothing came for 0\.5 s"):
        read_indices(source)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_nobody_listens(scheme: str, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"{scheme}://me:secret@127.0.0.1:{unused.getsockname()[1]}/1"
        with pytest.raises(SourceError, match="cannot be opened: Connection refused") as caught:
            open_source(url)
    assert "secret" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_somebody_listens_but_never_answers(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/1"
        with pytest.raises(SourceError, match=r"cannot be opened: no answer within 0\.3 s"):
            open_source(url, open_timeout_s=0.3)


def test_rtsp(rtsp_url: str) -> None:
    source = open_source(rtsp_url.replace("://", "://me:secret@"))
    assert source.info.is_live
    assert source.info.num_frames is None
    assert (source.info.width, source.info.height) == (160, 120)
    assert "secret" not in source.source_id
    times = read_times(source)
    assert [t.pts_s for t in times] == pytest.approx([i / 25 for i in range(30)], abs=2e-3)
    assert [t.next_pts_s - t.pts_s for t in times] == pytest.approx([1 / 25] * 30)
    assert all(earlier.received_ns <= later.received_ns for earlier, later in pairwise(times))
    source.close()


def test_rtsp_pictures(rtsp_url: str) -> None:
    assert read_indices(open_source(rtsp_url)) == list(range(30))


def test_rtsp_over_udp(rtsp_url: str) -> None:
    source = open_source(rtsp_url, rtsp_transport="udp")
    frame = source.read()
    assert frame is not None
    assert frame.data.shape == (120, 160, 3)
    source.close()


def test_rtsp_unknown_path(rtsp_url: str) -> None:
    with pytest.raises(SourceError, match=r"cannot be opened: .*404"):
        open_source(rtsp_url + "-not")
