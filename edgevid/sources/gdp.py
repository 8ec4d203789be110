"""Reads what GStreamer's `gdppay` writes: raw pictures with their caps and times, over a pipe.

The GStreamer Data Protocol 1.0 (gst-plugins-bad, gst/gdp/dataprotocol.c) is packets of a header
of 62 bytes, big-endian, and a payload:

     0  version, major and minor     10  timestamp, ns      42  flags
     2  flags, padding               18  duration, ns       44  decoding timestamp, unused here
     4  type: 1 buffer, 2 caps,      26  offset             58  CRC of the header
        64 and more an event
     6  length of the payload        34  offset of its end  60  CRC of the payload
"""

from __future__ import annotations

import os
import re
import select
import struct
import time
from dataclasses import dataclass

import numpy as np

from edgevid.types import UInt8Array

_HEADER = struct.Struct(">BBBBHIQQ36x")
_BUFFER, _CAPS, _EVENTS = 1, 2, 64
_NO_TIME = 2**64 - 1
_MOST_BYTES = 1 << 28
"""No picture is larger; a header that says so is none."""

_MOST_SAID = 1 << 14
"""Bytes of messages that are kept."""

_ORIENTATION = re.compile(rb"image-orientation[^a-z]*string[^a-z]*([a-z]+(?:-[a-z]+)?-\d+)")
_FIELD = re.compile(r"([\w-]+)=(?:\([\w ]+\))?(\"[^\"]*\"|[^,;\s]+)")


class NotGdp(ValueError):
    """What came is not the GStreamer Data Protocol."""


class TimedOut(Exception):
    """Nothing, or not enough, came in time."""


@dataclass(frozen=True)
class Header:
    """What precedes a picture.

    Attributes:
        pts_s, duration_s: In seconds, on GStreamer's clock of the stream; None: unknown.
        num_bytes: Of the picture that follows.
        received_ns: `time.monotonic_ns()` at which it came.
    """

    pts_s: float | None
    duration_s: float | None
    num_bytes: int
    received_ns: int


class GdpReader:
    """Pictures from a pipe: `next_header`, then `read_into` once, for each.

    Args:
        fd: The end to read from; stays the caller's to close.
        messages: Another descriptor, emptied meanwhile so that its writer never waits.

    Attributes:
        caps: Fields of the format that was announced last, without their types, such as
            {"format": "I420", "width": "640"}.
        orientation: How the pictures are to be turned, such as "rotate-90" (clockwise), as the
            file's metadata say; empty: not at all.
        said: The last that came on `messages`.
    """

    def __init__(self, fd: int, messages: int) -> None:
        self._fd = fd
        self._messages = messages
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._poll.register(messages, select.POLLIN)
        self._header = bytearray(_HEADER.size)
        self._more_messages = True
        self.caps: dict[str, str] = {}
        self.orientation = ""
        self.said = b""

    def next_header(self, timeout_s: float) -> Header | None:
        """The next picture's header; None at the end.

        Raises:
            TimedOut: It did not come within `timeout_s`.
            NotGdp: Something else came.
        """
        until_s = time.monotonic() + timeout_s
        while self._fill(memoryview(self._header), until_s):
            major, _, _, _, kind, size, pts, duration = _HEADER.unpack(self._header)
            if major != 1 or size > _MOST_BYTES:
                raise NotGdp(f"a header that begins with {bytes(self._header[:10]).hex()}")
            if kind == _BUFFER:
                return Header(_seconds(pts), _seconds(duration), size, time.monotonic_ns())
            payload = bytearray(size)
            if not self._fill(memoryview(payload), until_s):
                return None
            if kind == _CAPS:
                self.caps = parse_caps(payload.decode("utf-8", "replace"))
            elif kind > _EVENTS and (match := _ORIENTATION.search(payload)):
                self.orientation = match[1].decode()
        return None

    def read_into(self, picture: UInt8Array, timeout_s: float) -> bool:
        """Fill `picture` `(num_bytes,)`; False where the stream ends in the middle of it.

        Raises:
            TimedOut: It did not come whole within `timeout_s`.
        """
        return self._fill(picture.data, time.monotonic() + timeout_s)

    def drain_messages(self) -> None:
        """Read what still waits on `messages`."""
        poll = select.poll()
        poll.register(self._messages, select.POLLIN)
        while self._more_messages and poll.poll(0):
            self._take_message()

    def _fill(self, view: memoryview, until_s: float) -> bool:
        done = 0
        while done < len(view):
            if not self._wait(until_s):
                continue
            count = os.readv(self._fd, [view[done:]])
            if not count:
                return False
            done += count
        return True

    def _wait(self, until_s: float) -> bool:
        """True once there is something to read."""
        left_s = until_s - time.monotonic()
        ready = [fd for fd, _ in self._poll.poll(max(left_s, 0) * 1e3)]
        if self._messages in ready:
            self._take_message()
        if self._fd not in ready and left_s <= 0:
            raise TimedOut
        return self._fd in ready

    def _take_message(self) -> None:
        said = os.read(self._messages, 1 << 16)
        if not said:
            self._more_messages = False
            self._poll.unregister(self._messages)
        self.said = (self.said + said)[-_MOST_SAID:]


def parse_caps(text: str) -> dict[str, str]:
    """`video/x-raw, width=(int)640, ...` to {"media": "video/x-raw", "width": "640", ...}."""
    media, _, fields = text.rstrip("\0; ").partition(",")
    found = {name: value.strip('"') for name, value in _FIELD.findall(fields)}
    return {"media": media, **found}


def _seconds(ns: int) -> float | None:
    return None if ns == _NO_TIME else ns / 1e9


def new_picture(num_bytes: int) -> UInt8Array:
    """Memory for one picture."""
    return np.empty(num_bytes, np.uint8)
