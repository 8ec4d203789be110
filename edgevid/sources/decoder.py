"""Decodes one video stream and keeps account of what did not decode."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import av

from edgevid.sources.foresight import Foresight, Unseen

MAX_FRAMES_WITHOUT_KEY = 300
"""After so many damaged frames a stream has healed by intra refresh, without a key frame."""

_MOST_WAITING = 20
"""Pictures that a decoder holds back at most: 16 for their order, and one a thread."""

# Bytes from which a packet of this codec must give a picture. Of others nothing can be said:
# VP8 has hidden frames. MPEG-4's "not coded" frames are a header of a few bytes.
_PICTURE_PACKET_SIZE = {"h264": 1, "hevc": 1, "mpeg4": 21}


_Picture = TypeVar("_Picture", bound="av.VideoFrame | Unseen")


class NoPicture(Exception):
    """Packets come, and no picture comes of them."""


class StreamDecoder:
    """The pictures of one stream, in order of presentation.

    A packet that is incomplete or that the decoder refuses is skipped, and so is every
    picture from there to the next key frame: they are predicted from one that is missing,
    and a model must not see them. What is left out so is counted in `damaged`.

    Args:
        container: An open `av.container.InputContainer`.
        stream: The video stream of it.
        fps: Nominal frame rate, to tell missing seconds in frames.
        resilient: End at an error in the container, with a note, instead of raising it.
        picture_timeout_s: How long packets may come without a picture; None: for ever.
        foresight: Tells which pictures need not be decoded; None: all are.

    Attributes:
        finished: The stream was decoded to its end, so that `lost` is final.
        damaged: Packets and pictures that were left out.
        notes: What else a user should know, one sentence each.
    """

    def __init__(
        self,
        container: Any,
        stream: av.VideoStream,
        fps: float,
        resilient: bool,
        picture_timeout_s: float | None = None,
        foresight: Foresight | None = None,
    ) -> None:
        self._container = container
        self._stream = stream
        self._fps = fps
        self._resilient = resilient
        self._picture_timeout_s = picture_timeout_s
        self._foresight = foresight
        self._leaves_out = False
        self._last_picture_s = time.monotonic()
        self._awaits_key = False
        self._damaged_pts: int | None = None
        self._dropped_in_a_row = 0
        self._packets = 0
        self._pictures = 0
        self._interlaced = False
        self._end_ticks: dict[int, int] = {}
        self._missing = 0
        self.finished = False
        self.damaged = 0
        self.notes: list[str] = []

    @property
    def lost(self) -> int:
        """Frames that the file holds or claims and that were not given out."""
        return self.damaged + self._missing

    def frames(self) -> Generator[av.VideoFrame | Unseen, None, None]:
        """Decode to the end; of pictures that were left out there is only what their packets say.

        Raises:
            av.FFmpegError: The container cannot be read on, and `resilient` is False.
            NoPicture: None came within the time-out.
        """
        smallest = _PICTURE_PACKET_SIZE.get(self._stream.codec_context.name, 1)
        foresight = self._foresight
        try:
            for packet, is_needed in self._ready():
                self._packets += packet.size >= smallest and not packet.is_discard
                if foresight is not None:
                    self._leave_out(not is_needed)
                sound = self._sound(packet)
                yield from sound
                if self._picture_timeout_s is not None:
                    self._watch(self._picture_timeout_s, bool(sound))
        except av.FFmpegError as exc:
            if not self._resilient:
                raise
            self.notes.append(f"the file is damaged and could not be read on: {exc.strerror}")
        if foresight is not None:
            yield from self._only_sound(foresight.rest())
        self._missing = self._count_missing()
        self.finished = True

    def _ready(self) -> Iterator[tuple[Any, bool]]:
        """The stream's packets as they may be decoded, and whether their pictures are needed."""
        foresight = self._foresight
        if foresight is None:
            for packet in self._of_stream():
                yield packet, True
            return
        try:
            for packet in self._of_stream():
                foresight.push(packet)
                yield from foresight.ready()
        except av.FFmpegError:
            yield from foresight.flush()
            raise
        yield from foresight.flush()

    def _of_stream(self) -> Iterator[Any]:
        chosen = self._stream.index
        for packet in self._demuxed():
            index = packet.stream.index
            self._note_end(packet, index)
            if index == chosen:
                yield packet

    def _leave_out(self, leaves_out: bool) -> None:
        if leaves_out != self._leaves_out:
            self._stream.codec_context.skip_frame = "NONREF" if leaves_out else "DEFAULT"
            self._leaves_out = leaves_out

    def _demuxed(self) -> Iterator[Any]:
        """Of all streams, then one of each without data, which empties its decoder."""
        # Streams that appear on the way, as damaged bytes may claim, PyAV does not know. Where it
        # looks for them, at the very end, it has given out all there is.
        with suppress(IndexError):
            yield from self._container.demux()

    def _watch(self, timeout_s: float, shown: bool) -> None:
        # Looked at after the reader has taken the picture: what it did is no silence.
        now = time.monotonic()
        if shown:
            self._last_picture_s = now
        elif now - self._last_picture_s > timeout_s:
            raise NoPicture

    def _sound(self, packet: Any) -> Sequence[av.VideoFrame | Unseen]:
        """The pictures that a packet completes, and that may be shown."""
        try:
            if packet.is_corrupt:
                return self._damage(packet)
            pictures: list[av.VideoFrame] = packet.decode()
        except av.FFmpegError:
            return self._damage(packet)
        for picture in pictures:
            if picture.interlaced_frame:
                self._interlaced = True
        if self._foresight is None:
            return self._only_sound(pictures)
        whole: list[av.VideoFrame | Unseen] = []
        for picture in pictures:
            whole += self._foresight.shown_before(picture.pts)
            whole.append(picture)
        return self._only_sound(whole)

    def _only_sound(self, pictures: Sequence[_Picture]) -> Sequence[_Picture]:
        self._pictures += len(pictures)
        if not self._awaits_key and not any(picture.is_corrupt for picture in pictures):
            return pictures
        sound = [picture for picture in pictures if self._is_sound(picture)]
        self.damaged += len(pictures) - len(sound)
        return sound

    def _damage(self, packet: Any) -> Sequence[av.VideoFrame]:
        self.damaged += 1
        self._pictures += 1
        self._await_key(packet.pts)
        return []

    def _await_key(self, damaged_pts: int | None) -> None:
        if self._foresight is not None:
            self._foresight.end()
        self._awaits_key = True
        self._damaged_pts = damaged_pts

    def _is_sound(self, picture: av.VideoFrame | Unseen) -> bool:
        if picture.is_corrupt:
            self._await_key(picture.pts)
        elif self._heals(picture) or self._dropped_in_a_row >= MAX_FRAMES_WITHOUT_KEY:
            self._awaits_key = False
        self._dropped_in_a_row = self._dropped_in_a_row + 1 if self._awaits_key else 0
        return not self._awaits_key

    def _heals(self, picture: av.VideoFrame | Unseen) -> bool:
        """True for a key frame after the damage, not one that waited for its turn before it.

        One that is far before it waited for nothing: the clock of the stream began anew.
        """
        if not picture.key_frame or picture.pts is None or self._damaged_pts is None:
            return bool(picture.key_frame)
        before_s = float((self._damaged_pts - picture.pts) * self._stream.time_base)
        return before_s < 0 or before_s * self._fps > _MOST_WAITING

    def _note_end(self, packet: Any, index: int) -> None:
        """Remember where the packets of each stream end, in its own ticks: seconds cost more."""
        pts = packet.pts
        if pts is not None:
            end = pts + (packet.duration or 0)
            if end > self._end_ticks.get(index, 0):
                self._end_ticks[index] = end

    def _end_s(self, *streams: Any) -> float:
        """Where the last packet of any of these streams ends, in seconds."""
        ends = [(self._end_ticks.get(s.index, 0), s.time_base) for s in streams]
        return max((float(ticks * base) for ticks, base in ends if base), default=0.0)

    def _count_missing(self) -> int:
        """Frames that left no trace in the decoder: dropped silently, or cut off the file."""
        missing = self._cut_off()
        # The second field of an interlaced picture may be a packet of its own.
        if self._stream.codec_context.name in _PICTURE_PACKET_SIZE and not self._interlaced:
            missing += max(0, self._packets - self._pictures)
        return missing

    def _cut_off(self) -> int:
        """Frames that the header claims beyond the last packet of the file."""
        stream, header = self._stream, self._container.format.name
        if header == "avi":
            # Its count is of time slots, empty ones too; its duration FFmpeg may guess.
            return max(0, round(int(stream.frames) - self._end_s(stream) * self._fps))
        if header.startswith("mov") and stream.frames and stream.duration:
            # A count alone proves nothing, an edit list hides frames that the header counts:
            # the claimed time must be missing as well.
            claimed_s = float(((stream.start_time or 0) + stream.duration) * stream.time_base)
            is_short = claimed_s - self._end_s(stream) > 1.5 / self._fps
            return max(0, int(stream.frames) - self._packets) if is_short else 0
        if header.startswith(("mov", "matroska")) and self._container.duration:
            return self._cut_off_by_duration(self._container.duration / av.time_base)
        return 0

    def _cut_off_by_duration(self, claimed_s: float) -> int:
        end_s = self._end_s(*self._container.streams)
        short_s = claimed_s - end_s
        if short_s < 0.5:
            return 0
        self.notes.append(f"the file ends at {end_s:.1f} s, its header claims {claimed_s:.1f} s")
        return int(short_s * self._fps)
