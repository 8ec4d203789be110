"""`/metrics` for Prometheus and `/health` for whoever watches the process."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from edgevid.errors import OutputError, SpecError
from edgevid.telemetry.metrics import RunMetrics

StartResponse = Callable[..., Any]

LOOPBACK = "127.0.0.1"
"""Where it listens unless told otherwise: labels are nobody else's business."""


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of `:9100`, `9100` or `0.0.0.0:9100`; port 0 takes a free one.

    Raises:
        SpecError: It is no address.
    """
    try:
        parts = urlsplit("//" + (f":{text}" if text.isdecimal() else text))
        port = parts.port
    except ValueError:
        port = None
    if port is None or parts.path:
        raise SpecError(
            f"--metrics {text!r} is no address",
            "Write :9100 for this machine alone, or 0.0.0.0:9100 for the network",
        )
    return parts.hostname or LOOPBACK, port


class Server:
    """Answers over HTTP, on threads of its own.

    Args:
        metrics: What to tell.
        host, port: Where to listen.

    Raises:
        OutputError: Nobody may listen there.
    """

    def __init__(self, metrics: RunMetrics, host: str, port: int) -> None:
        from prometheus_client import make_wsgi_app

        self._metrics = metrics
        self._exposition = make_wsgi_app(metrics.registry)
        try:
            self._server = make_server(host, port, self._answer, _Threaded, _Silent)
        except (OSError, OverflowError) as exc:
            raise OutputError(
                f"--metrics cannot listen on {host}:{port}: {getattr(exc, 'strerror', exc)}",
                "Choose another port",
            ) from None
        self.address = f"http://{host}:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="edgevid-metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            body: Iterable[bytes] = self._exposition(environ, start_response)
            return body
        if path == "/health":
            health = self._metrics.health.report()
            well = health["alive"] and health["ready"]
            return _json(start_response, "200 OK" if well else "503 Service Unavailable", health)
        return _json(start_response, "404 Not Found", {"try": ["/metrics", "/health"]})


def _json(start_response: StartResponse, status: str, data: Any) -> list[bytes]:
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(data).encode() + b"\n"]


class _Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Silent(WSGIRequestHandler):
    """Says nothing on stderr for every request."""

    def log_message(self, *_: object) -> None:
        pass
