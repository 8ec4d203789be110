"""Video files and network streams, read with PyAV (FFmpeg)."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from typing import Any, Literal

import av

from edgevid.errors import SourceError, SourceNotFoundError
from edgevid.protocols import WantFrame, every_frame
from edgevid.sources.decoder import NoPicture, StreamDecoder
from edgevid.sources.foresight import Foresight, Unseen
from edgevid.sources.pixels import BgrConverter, upright_size
from edgevid.sources.timestamps import Timeline
from edgevid.sources.uri import is_live_scheme, local_path, redact, scheme_of
from edgevid.types import Frame, FrameTime, SourceInfo, SourceStats, UInt8Array

FALLBACK_FPS = 25.0
"""Replaces missing timestamps where the container names no believable frame rate."""

NO_PICTURE_S = 10.0
"""How long a live stream may send packets without a picture: it waits for a key frame then."""

# FFmpeg draws files of these formats as a terminal's screen, whatever text they hold.
_TEXT_FORMATS = frozenset({"tty", "bin", "adf", "idf", "xbin"})

# What FFmpeg has to say of a broken file, this module says in `SourceStats.notes`. Any level
# at all would have FFmpeg's threads wait for Python's lock, which closing a decoder holds.
av.logging.set_level(None)


class ContainerSource:
    """One video stream of a file or URL. See `open_source` for the parameters.

    A file is read one frame ahead, so that `FrameTime.next_pts_s` is exact; the frame ahead
    is decoded, not converted. A live stream is not: its `next_pts_s` is the nominal one.
    """

    def __init__(
        self,
        uri: str,
        *,
        stream: int | None = None,
        threads: int = 1,
        rtsp_transport: Literal["tcp", "udp"] = "tcp",
        open_timeout_s: float = 10.0,
        read_timeout_s: float = 10.0,
    ) -> None:
        self._source_id = redact(uri)
        self._read_timeout_s = read_timeout_s
        self._is_network = scheme_of(uri) not in ("", "file")
        timeouts = (open_timeout_s, read_timeout_s) if self._is_network else None
        self._container = self._open(uri, rtsp_transport, timeouts)
        try:
            self._start(uri, stream, threads)
        except BaseException:
            self._container.close()
            raise

    def _open(self, uri: str, rtsp_transport: str, timeouts: tuple[float, float] | None) -> Any:
        target = uri
        if not self._is_network:
            path = local_path(uri)
            target = str(path)
            if path.is_file() and path.stat().st_size == 0:
                raise SourceError(f"{self._source_id} is empty (0 bytes)", "Copy the file again")
        options = {"rtsp_transport": rtsp_transport} if scheme_of(uri).startswith("rtsp") else {}
        started_s = time.monotonic()
        try:
            # Tags need not be UTF-8; PyAV would by default refuse the file for it.
            return av.open(target, options=options, timeout=timeouts, metadata_errors="replace")
        except av.FFmpegError as exc:
            reason = _reason(exc)
            # FFmpeg's RTSP client, when timed out, complains of the reply it did not get.
            if timeouts is not None and time.monotonic() - started_s >= timeouts[0]:
                reason = f"no answer within {timeouts[0]:g} s"
            raise self._cannot_open(exc, reason) from None

    def _cannot_open(self, exc: av.FFmpegError, reason: str) -> SourceError:
        if self._is_network:
            return SourceError(
                f"{self._source_id} cannot be opened: {reason}",
                "Check the address, the password, and that the device is on and reachable",
            )
        if isinstance(exc, FileNotFoundError):
            return SourceNotFoundError(f"no such file: {self._source_id}", "Check the path")
        return SourceError(
            f"{self._source_id} cannot be read: {reason}",
            "Give a video file that FFmpeg can read, and check that it is whole",
        )

    def _start(self, uri: str, stream: int | None, threads: int) -> None:
        video = self._choose(stream)
        is_live = is_live_scheme(uri) or (self._is_network and not self._container.duration)
        context = video.codec_context
        context.thread_count = threads
        # Frame threads hold back one picture each, which a live stream must not.
        context.thread_type = "SLICE" if is_live else "AUTO"
        fps = _nominal_fps(video)
        self._period_s = 1.0 / (fps or FALLBACK_FPS)
        self._time_base = float(video.time_base)
        # AVI holds no presentation times; FFmpeg guesses them, wrongly where frames are
        # reordered, but the order of decoding is its exact clock.
        by_dts = self._container.format.name == "avi"
        self._timeline = Timeline(1.0 / self._period_s, by_dts)
        self._foresight = None
        if context.name == "h264" and not is_live and not by_dts:
            self._foresight = Foresight(
                context.extradata, self._time_base, Timeline(1.0 / self._period_s)
            )
        self._decoder = StreamDecoder(
            self._container,
            video,
            1.0 / self._period_s,
            resilient=not self._is_network,
            picture_timeout_s=NO_PICTURE_S if is_live else None,
            foresight=self._foresight,
        )
        self._pictures: Generator[Any, None, None] = self._decoder.frames()
        self._frames_read = 0
        self._sizes = 0
        self._shape: tuple[int, ...] = ()
        self._looks_ahead = not is_live
        self._convert = BgrConverter()
        self._claimed = video.frames or None
        self._ahead = self._pull()
        if self._ahead is None:
            raise SourceError(
                f"{self._source_id} holds no frame that decodes",
                "Check that the file is whole, and that the stream sends a picture",
            )
        width, height = upright_size(self._ahead[0])
        self._info = SourceInfo(
            width=width,
            height=height,
            fps=fps,
            num_frames=None if is_live else self._claimed,
            is_live=is_live,
            description=f"{context.name} {width}x{height}, stream {video.index}, via PyAV",
        )

    def _choose(self, index: int | None) -> Any:
        streams = self._container.streams
        videos = [s for s in streams.video if not _is_cover(s)]
        if self._container.format.name in _TEXT_FORMATS or not videos:
            raise SourceError(
                f"{self._source_id} holds no video", "Give a file with a video stream"
            )
        videos = [s for s in videos if s.codec_context is not None]
        if not videos:
            raise SourceError(
                f"the video in {self._source_id} is of a codec that FFmpeg does not know",
                "Convert it to H.264",
            )
        if index is None:
            best = streams.best("video")
            return best if best in videos else videos[0]
        for video in videos:
            if video.index == index:
                return video
        listed = ", ".join(
            f"{s.index} ({s.codec_context.name} {s.codec_context.width}x{s.codec_context.height})"
            for s in videos
        )
        raise SourceError(
            f"stream {index} of {self._source_id} is no video stream",
            f"Its video streams: {listed}",
        )

    @property
    def source_id(self) -> str:
        return self._source_id

    @property
    def info(self) -> SourceInfo:
        return self._info

    @property
    def stats(self) -> SourceStats:
        return SourceStats(
            frames_read=self._frames_read,
            frames_lost=self._decoder.lost,
            pts_repaired=self._timeline.repaired,
            notes=tuple(self._notes()),
        )

    def _notes(self) -> Iterator[str]:
        if self._decoder.finished and self._decoder.lost:
            if self._claimed:
                yield f"the header claims {self._claimed} frames, {self._frames_read} decoded"
            else:
                yield f"{self._frames_read} frames decoded, {self._decoder.lost} are lost"
        if self._decoder.damaged:
            yield f"damaged frames, left out: {self._decoder.damaged}"
        if self._timeline.repaired:
            yield f"timestamps missing or backward, replaced: {self._timeline.repaired}"
        if self._sizes > 1:
            yield f"the size of the pictures changed {self._sizes - 1} time(s)"
        yield from self._decoder.notes

    def read(self, want: WantFrame = every_frame) -> Frame | None:
        """The next frame that `want` accepts; None at the end.

        Raises:
            SourceError: The connection broke, nothing came within the time-out, or a picture cannot
                be converted.
        """
        while (current := self._ahead or self._pull()) is not None:
            picture, pts_s, received_ns = current
            self._ahead = None
            if self._looks_ahead:
                self._ahead = self._pull()
            if self._ahead is not None:
                next_pts_s = self._ahead[1]
            else:
                next_pts_s = pts_s + self._duration_s(picture)
            frame_time = FrameTime(self._frames_read, pts_s, next_pts_s, received_ns)
            self._frames_read += 1
            if isinstance(picture, Unseen):
                # Whoever is asked must have seen all that was foreseen.
                if self._foresight and self._foresight.trusted and want(frame_time):
                    raise AssertionError(f"frame {frame_time.index} was left out, and is wanted")
                continue
            if want(frame_time):
                data = self._converted(picture)
                if data.shape != self._shape:
                    self._sizes += 1
                    self._shape = data.shape
                return Frame(data, frame_time, self._source_id)
        return None

    def _converted(self, picture: av.VideoFrame) -> UInt8Array:
        try:
            return self._convert(picture)
        except av.FFmpegError as exc:
            # What a damaged header claims of a picture need not be possible.
            raise SourceError(
                f"{self._source_id}: a picture of {picture.width}x{picture.height} "
                f"{picture.format.name} cannot be converted: {_reason(exc)}",
                "Check the encoder's settings, and that nothing on the way damages the stream",
            ) from None

    def foresee(self, want: WantFrame) -> None:
        """Leave pictures out that `read` will not be asked for, where that is possible.

        Args:
            want: A copy of what `read` is going to be given, asked the same, earlier.
        """
        if self._foresight is not None:
            self._foresight.foresee(want)

    def _pull(self) -> tuple[av.VideoFrame | Unseen, float, int] | None:
        try:
            picture = next(self._pictures, None)
        except av.FFmpegError as exc:
            if isinstance(exc, av.error.ExitError):
                reason = f"nothing came for {self._read_timeout_s:g} s"
            else:
                reason = _reason(exc)
            raise SourceError(
                f"{self._source_id} broke off: {reason}", "Check the network and the device"
            ) from None
        except NoPicture:
            raise SourceError(
                f"{self._source_id} broke off: packets came for {NO_PICTURE_S:g} s, and no picture "
                "that can be shown: there was no key frame",
                "Have the camera send key frames more often: a GOP of 1 or 2 s",
            ) from None
        if picture is None:
            return None
        received_ns = time.monotonic_ns()
        pts, dts, time_base = picture.pts, picture.dts, self._time_base
        pts_s = self._timeline.place(
            None if pts is None else pts * time_base, None if dts is None else dts * time_base
        )
        return picture, pts_s, received_ns

    def _duration_s(self, picture: av.VideoFrame | Unseen) -> float:
        if self._looks_ahead and picture.duration:
            return float(picture.duration * self._time_base)
        return self._period_s

    def close(self) -> None:
        """Close the file or connection; `read` then gives None."""
        self._pictures.close()
        self._ahead = None
        self._container.close()


def _nominal_fps(stream: Any) -> float:
    """Frames a second; 0.0 where the container names no believable rate."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and 0 < float(rate) <= 1000:
            return float(rate)
    return 0.0


def _is_cover(stream: Any) -> bool:
    """True for the picture on a sound file, which FFmpeg lists as video."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _reason(exc: av.FFmpegError) -> str:
    return redact(str(exc.strerror or exc))
