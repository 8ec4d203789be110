"""Endless network cameras that misbehave by a plan: H.264 in MPEG-TS over TCP, on loopback.

    python -m edgevid.benchmarks.faulty_camera --cameras 4 --every 15

Prints the ports, then one JSON line for every fault; ends with its parent's pipe.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import cache
from typing import Any, Literal, get_args

import av

from edgevid.sources.synthetic import SyntheticSource

FPS = 25
SIZES = ("320x240", "480x270")
_SECONDS_A_MOTION = 1
_TICKS = 90_000
_EARLIEST_S = 10_000.0

Kind = Literal["corrupt", "garbage", "size", "clock", "stall", "hang-up"]


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and when.

    Attributes:
        at_s: Seconds after the first client came.
        kind: "corrupt": every third picture has damaged bytes; "garbage": bytes that are no
            packet; "size": pictures of the other size from now on; "clock": the time stamps
            jump; "stall": nothing comes; "hang-up": the connection is closed.
        value: Seconds that it lasts ("corrupt", "stall") or jumps by ("clock").
    """

    at_s: float
    kind: Kind
    value: float = 0.0


def random_plan(seed: int, every_s: float) -> Iterator[Fault]:
    """Faults for ever, about one every `every_s` seconds, each kind as often as the others."""
    chance = random.Random(seed)
    values: dict[str, Callable[[], float]] = {
        "corrupt": lambda: chance.uniform(0.2, 3.0),
        "clock": lambda: chance.choice((-3600.0, -5.0, -0.3, 0.3, 5.0, 3600.0)),
        "stall": lambda: chance.choice((0.5, 2.0, 6.0)),
    }
    at_s = 0.0
    while True:
        kinds = list(get_args(Kind))
        chance.shuffle(kinds)
        for kind in kinds:
            at_s += chance.uniform(0.5, 1.5) * every_s
            yield Fault(round(at_s, 3), kind, values.get(kind, lambda: 0.0)())


class _Clip:
    """Encoded pictures that are sent again and again: packets, and the stream they are of."""

    def __init__(self, size: str) -> None:
        file = io.BytesIO()
        source = SyntheticSource.from_uri(
            f"synthetic:?size={size}&fps={FPS}&seconds={_SECONDS_A_MOTION}"
        )
        with av.open(file, "w", format="mpegts") as out:
            stream: Any = out.add_stream("libx264", rate=FPS)
            stream.width, stream.height = (int(side) for side in size.split("x"))
            stream.pix_fmt = "yuv420p"
            stream.options = {"g": str(FPS), "bf": "0", "preset": "veryfast", "threads": "1"}
            while (frame := source.read()) is not None:
                picture = av.VideoFrame.from_ndarray(frame.data, format="bgr24")
                picture.pts, picture.time_base = frame.time.index, Fraction(1, FPS)
                out.mux(stream.encode(picture))
            out.mux(stream.encode())
        file.seek(0)
        self._container = av.open(file, format="mpegts")
        self.stream = self._container.streams.video[0]
        self.packets = [bytes(p) for p in self._container.demux(self.stream) if p.size]


@cache
def _clips() -> tuple[_Clip, ...]:
    return tuple(_Clip(size) for size in SIZES)


class FaultyCamera:
    """One camera: a port, a thread, one client at a time.

    Args:
        plan: Faults in order of time; those that are due while no client is there are left out.
        told: Called with each fault as it happens.
        seed: Of the damaged bytes.
    """

    def __init__(
        self,
        plan: Iterable[Fault] = (),
        told: Callable[[Fault], None] = lambda _: None,
        seed: int = 0,
    ) -> None:
        self._plan = iter(plan)
        self._next = next(self._plan, None)
        self._told = told
        self._chance = random.Random(seed)
        self._started_s: float | None = None
        self._stopped = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        _clips()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hang up and listen no more."""
        self._stopped.set()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()

    def _serve(self) -> None:
        while not self._stopped.is_set():
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if self._started_s is None:
                self._started_s = time.monotonic()
            while self._next is not None and self._next.at_s < self._now_s():
                self._next = next(self._plan, None)
            with client, suppress(OSError, av.FFmpegError):
                _Broadcast(client, self._chance, self._due, self._now_s, self._stopped).run()

    def _now_s(self) -> float:
        return time.monotonic() - (self._started_s or 0.0)

    def _due(self) -> Fault | None:
        """The next fault whose time has come."""
        fault = self._next
        if fault is None or fault.at_s > self._now_s():
            return None
        self._next = next(self._plan, None)
        self._told(fault)
        return fault


class _Broadcast:
    """What one client is sent."""

    def __init__(
        self,
        client: socket.socket,
        chance: random.Random,
        due: Callable[[], Fault | None],
        now_s: Callable[[], float],
        stopped: threading.Event,
    ) -> None:
        self._client = client
        self._file = client.makefile("wb", buffering=0)
        self._chance = chance
        self._due = due
        self._now_s = now_s
        self._stopped = stopped
        self._clip = 0
        self._position = 0
        self._shift_s = _EARLIEST_S
        self._corrupt_until_s = 0.0
        self._hung_up = False
        self._open_muxer()

    def run(self) -> None:
        """Send pictures by the clock until the client goes, or a fault hangs up."""
        sent = 0
        while not self._stopped.is_set() and not self._hung_up:
            while (fault := self._due()) is not None:
                self._suffer(fault)
            self._send()
            sent += 1
            self._stopped.wait(1 / FPS)
        self._file.close()

    def _send(self) -> None:
        packets = _clips()[self._clip].packets
        data = packets[self._position % len(packets)]
        self._position += 1
        if self._now_s() < self._corrupt_until_s and self._position % 3 == 0:
            data = self._damaged(data)
        packet = av.Packet(data)
        packet.stream = self._stream
        packet.time_base = Fraction(1, _TICKS)
        packet.pts = packet.dts = round((self._now_s() + self._shift_s) * _TICKS)
        self._muxer.mux(packet)

    def _damaged(self, data: bytes) -> bytes:
        spoilt = bytearray(data)
        for _ in range(1 + len(data) // 200):
            place = self._chance.randrange(min(6, len(data) - 1), len(data))
            spoilt[place] = self._chance.randrange(256)
        return bytes(spoilt)

    def _suffer(self, fault: Fault) -> None:
        if fault.kind == "corrupt":
            self._corrupt_until_s = self._now_s() + fault.value
        elif fault.kind == "garbage":
            self._file.write(self._chance.randbytes(1880))
        elif fault.kind == "size":
            self._clip, self._position = 1 - self._clip, 0
        elif fault.kind == "clock":
            self._shift_s = max(self._shift_s + fault.value, 0.0)
            # A muxer takes no time that goes back: the encoder in the camera began anew.
            self._open_muxer()
        elif fault.kind == "stall":
            self._stopped.wait(fault.value)
        else:
            self._hung_up = True

    def _open_muxer(self) -> None:
        self._position = 0
        options = {"flush_packets": "1"}
        self._muxer: Any = av.open(self._file, "w", format="mpegts", container_options=options)
        self._stream = self._muxer.add_stream_from_template(_clips()[self._clip].stream)


def main(argv: list[str] | None = None) -> int:
    """Serve until standard input ends; the value is the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--every", type=float, default=15.0, help="seconds from fault to fault")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)

    def tell(number: int) -> Callable[[Fault], None]:
        # In one piece: the cameras' threads share the output.
        return lambda fault: print(
            json.dumps({"camera": number, **asdict(fault)}) + "\n", end="", flush=True
        )

    cameras = [
        FaultyCamera(random_plan(args.seed + n, args.every), tell(n), args.seed + n)
        for n in range(args.cameras)
    ]
    print(json.dumps({"urls": [camera.url for camera in cameras]}), flush=True)
    sys.stdin.read()
    for camera in cameras:
        camera.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
