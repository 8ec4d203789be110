"""Which pictures of a file need not be decoded, known before they are.

    packets, as they are decoded    I0 P4 B2 b1 b3 P8 B6 b5 b7
    pictures, as they are shown     I0 b1 B2 b3 P4 b5 B6 b7 P8
    asked for, every 4th            I0          P4          P8
    left out                           b1    b3    b5    b7

H.264 says of a picture whether others are predicted from it (`nal_ref_idc`, ITU-T H.264 7.4.1). One
of which nothing is, and which nobody will ask for, FFmpeg leaves out where `skip_frame` is NONREF;
all others are the same to the bit. A copy of the sampler says beforehand who will be asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, ClassVar

from edgevid.protocols import WantFrame
from edgevid.sources.h264 import is_reference, prefix_size
from edgevid.sources.timestamps import Timeline
from edgevid.types import FrameTime

_CONFIRMED = 32
"""Pictures that must have come as foreseen before the first is left out."""

_MOST_EARLY = 64
"""Pictures that are decoded at most before it is known what will be asked for."""


@dataclass(slots=True)
class Unseen:
    """A picture that was left out, with what its packet says of it, in ticks."""

    pts: int
    dts: int
    duration: int
    is_corrupt: ClassVar[bool] = False
    key_frame: ClassVar[bool] = False


@dataclass(slots=True)
class _Packet:
    """`needed` is None until the time of the picture after its own is known."""

    packet: Any
    pts: int
    time_s: float = 0.0
    needed: bool | None = None

    def unseen(self) -> Unseen:
        """Its picture, left out."""
        return Unseen(self.pts, self.packet.dts, self.packet.duration or 0)


class Foresight:
    """Holds packets back until it is known whether their pictures are needed.

    Whatever does not come as foreseen ends it: a stamp that is missing or out of order, a picture
    that is damaged. From then on every picture is decoded.

    Args:
        extradata: Of the stream's codec.
        time_base: Seconds of a tick.
        timeline: As the one that places the pictures, and apart from it.

    Attributes:
        trusted: Everything came as foreseen so far. Else the sampler has not seen what its copy
            saw, and must not be asked about pictures that were left out.
    """

    def __init__(self, extradata: bytes | None, time_base: float, timeline: Timeline) -> None:
        self._prefix = prefix_size(extradata)
        self._time_base = time_base
        self._timeline = timeline
        self._foresee: WantFrame | None = None
        self._early: list[FrameTime] = []
        self._waiting: deque[_Packet] = deque()
        self._unplaced: list[tuple[int, int, _Packet]] = []
        self._last: _Packet | None = None
        self._last_dts: int | None = None
        self._decided = 0
        self._to_come: deque[_Packet] = deque()
        self._confirmed = 0
        self.trusted = True

    def foresee(self, want: WantFrame) -> None:
        """Begin to leave out.

        Args:
            want: Answers as what `read` will be given, and is asked about every frame, in order.
        """
        self._foresee = want
        for frame_time in self._early:
            want(frame_time)
        self._early.clear()

    def end(self) -> None:
        """Decode everything from now on."""
        self.trusted = False
        self._unplaced.clear()
        self._last = None
        for one in self._waiting:
            one.needed = True

    def push(self, packet: Any) -> None:
        """Take a packet, in the order of decoding; the one without data at the end too."""
        pts, dts = packet.pts, packet.dts
        if not packet.size:
            self._place_all()
        if not packet.size or packet.is_discard or not self._fits(pts, dts):
            # No picture of it is known.
            self._waiting.append(_Packet(packet, 0, needed=True))
            return
        one = _Packet(packet, pts)
        self._waiting.append(one)
        heappush(self._unplaced, (pts, dts, one))
        # No later packet has a picture before its own stamp of decoding.
        while self._unplaced and self._unplaced[0][0] <= dts:
            self._place(heappop(self._unplaced)[2])

    def ready(self) -> Iterator[tuple[Any, bool]]:
        """The packets that may be decoded now, and whether their pictures are needed."""
        waiting = self._waiting
        while waiting and waiting[0].needed is not None:
            one = waiting.popleft()
            yield one.packet, bool(one.needed)

    def flush(self) -> Iterator[tuple[Any, bool]]:
        """As `ready`, where no more packets will come."""
        self._place_all()
        yield from self.ready()

    def _place_all(self) -> None:
        while self._unplaced:
            self._place(heappop(self._unplaced)[2])
        if self._last is not None:
            # How long it lasts is known to its picture alone.
            self._last.needed = True
            self._to_come.append(self._last)
            self._last = None

    def shown_before(self, pts: int | None) -> Sequence[Unseen]:
        """The pictures that were left out before the one with this stamp, which was decoded."""
        to_come = self._to_come
        left_out = []
        while to_come and pts is not None and to_come[0].pts < pts:
            one = to_come.popleft()
            if one.needed:
                self.end()
            else:
                left_out.append(one.unseen())
        if to_come and to_come[0].pts == pts:
            to_come.popleft()
            self._confirmed += 1
        else:
            to_come.clear()
            self.end()
        return left_out

    def rest(self) -> Sequence[Unseen]:
        """Those that were left out after the last picture."""
        left_out = [one.unseen() for one in self._to_come if not one.needed]
        if self._to_come:
            # The last of all was needed.
            self.end()
        self._to_come.clear()
        return left_out

    def _fits(self, pts: int | None, dts: int | None) -> bool:
        before = self._last_dts
        if pts is None or dts is None or pts < dts or (before is not None and dts <= before):
            self.end()
        self._last_dts = dts
        return self.trusted

    def _place(self, one: _Packet) -> None:
        """Put the next one in the order of presentation; what comes before it can be decided."""
        one.time_s = self._timeline.place(one.pts * self._time_base)
        if self._timeline.repaired:
            self.end()
        if self._last is not None:
            self._decide(self._last, one.time_s)
        self._last = one

    def _decide(self, one: _Packet, next_s: float) -> None:
        frame_time = FrameTime(self._decided, one.time_s, next_s)
        self._decided += 1
        self._to_come.append(one)
        one.needed = True
        if self._foresee is not None:
            wanted = self._foresee(frame_time)
            if self.trusted and not wanted and self._confirmed >= _CONFIRMED:
                one.needed = is_reference(bytes(one.packet), self._prefix)
        elif len(self._early) < _MOST_EARLY:
            self._early.append(frame_time)
        else:
            self._early.clear()
            self.end()
