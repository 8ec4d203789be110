"""Frames from a GStreamer pipeline that runs in a process of its own.

`gst-launch-1.0` needs no bindings for this Python, and a vendor's plugin that crashes takes only
that process along: the source is lost, and comes back as others do.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from fractions import Fraction

import cv2
import numpy as np

from edgevid.errors import SourceError
from edgevid.protocols import WantFrame, every_frame
from edgevid.sources.gdp import GdpReader, Header, NotGdp, TimedOut, new_picture
from edgevid.sources.gst_messages import explain
from edgevid.sources.gst_pipeline import LAUNCH, Pipeline
from edgevid.sources.raw_pictures import FORMATS, RawPictures
from edgevid.sources.timestamps import Timeline
from edgevid.types import Frame, FrameTime, SourceInfo, SourceStats, UInt8Array

FALLBACK_FPS = 25.0
"""Where the stream names no frame rate."""

_TURNS = {
    "rotate-90": cv2.ROTATE_90_CLOCKWISE,
    "rotate-180": cv2.ROTATE_180,
    "rotate-270": cv2.ROTATE_90_COUNTERCLOCKWISE,
}
"""GStreamer's tag `image-orientation` to OpenCV's turn."""

_PIPE_BYTES = 1 << 20
_STOP_S = 2.0
"""How long a pipeline may take to release its devices before it is killed."""


class GStreamerSource:
    """The pictures of a pipeline, each with its own presentation time.

    Frames that are refused are read from the pipe and not converted. A live pipeline that is
    read too slowly loses its oldest pictures; a file waits.

    Args:
        pipeline: See `edgevid.sources.gst_pipeline`.
        open_timeout_s: How long the first picture may take.
        read_timeout_s: How long a live pipeline may then be silent.

    Raises:
        SourceError: GStreamer is not installed, lacks an element, or gives no picture.
    """

    def __init__(
        self, pipeline: Pipeline, *, open_timeout_s: float = 10.0, read_timeout_s: float = 10.0
    ) -> None:
        self._pipeline = pipeline
        self._read_timeout_s = read_timeout_s
        self._process = _Process(pipeline)
        self._frames_read = 0
        self._sizes = 0
        self._caps: dict[str, str] = {}
        try:
            self._ahead: Header | None = self._next_header(open_timeout_s)
            if self._ahead is None:
                raise self._process.error("gives no picture")
            self._pictures = self._format()
        except BaseException:
            self._process.close()
            raise
        fps = _rate(self._caps.get("framerate", ""))
        self._period_s = 1.0 / (fps or FALLBACK_FPS)
        self._timeline = Timeline(1.0 / self._period_s)
        width, height = self._pictures.width, self._pictures.height
        if self._turn() in (cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_90_COUNTERCLOCKWISE):
            width, height = height, width
        how = "GStreamer on the Jetson's decoder" if pipeline.on_jetson else "GStreamer"
        self._info = SourceInfo(
            width=width,
            height=height,
            fps=fps,
            num_frames=None,
            is_live=pipeline.is_live,
            description=f"{width}x{height} via {how}",
            pipeline=pipeline.shown,
        )

    @property
    def source_id(self) -> str:
        return self._pipeline.place

    @property
    def info(self) -> SourceInfo:
        return self._info

    @property
    def stats(self) -> SourceStats:
        repaired = self._timeline.repaired
        notes = []
        if repaired:
            notes.append(f"timestamps missing or backward, replaced: {repaired}")
        if self._sizes > 1:
            notes.append(f"the format of the pictures changed {self._sizes - 1} time(s)")
        return SourceStats(self._frames_read, pts_repaired=repaired, notes=tuple(notes))

    def read(self, want: WantFrame = every_frame) -> Frame | None:
        """The next frame that `want` accepts; None at the end.

        Raises:
            SourceError: The pipeline failed, or nothing came within the time-out.
        """
        while (header := self._ahead or self._next_header(self._read_timeout_s)) is not None:
            self._ahead = None
            self._pictures = self._format()
            if header.num_bytes != self._pictures.num_bytes:
                raise SourceError(
                    f"{self.source_id} gives pictures of {header.num_bytes} bytes, where "
                    f"{self._pictures.format} {self._pictures.width}x{self._pictures.height} "
                    f"has {self._pictures.num_bytes}",
                    "End the pipeline with videoconvert",
                )
            data = new_picture(header.num_bytes)
            if not self._fill(data):
                self._check_end()
                break
            frame_time = self._place(header)
            if want(frame_time):
                return Frame(self._upright(self._pictures(data)), frame_time, self.source_id)
        return None

    def _turn(self) -> int | None:
        return _TURNS.get(self._process.reader.orientation)

    def _upright(self, image: UInt8Array) -> UInt8Array:
        turn = self._turn()
        return image if turn is None else np.asarray(cv2.rotate(image, turn), np.uint8)

    def _place(self, header: Header) -> FrameTime:
        pts_s = self._timeline.place(header.pts_s)
        length_s = header.duration_s or self._period_s
        frame_time = FrameTime(self._frames_read, pts_s, pts_s + length_s, header.received_ns)
        self._frames_read += 1
        return frame_time

    def _format(self) -> RawPictures:
        caps = self._process.reader.caps
        if caps is self._caps:
            return self._pictures
        self._caps = caps
        self._sizes += 1
        try:
            return RawPictures(caps)
        except ValueError as exc:
            raise SourceError(
                f"{self.source_id} gives {exc}, which cannot be read",
                f"End the pipeline with: ! videoconvert ! video/x-raw,format={FORMATS[0]}",
            ) from None

    def _next_header(self, timeout_s: float) -> Header | None:
        """The next picture's header; None at the end, and once closed."""
        if self._process.closed:
            return None
        try:
            header = self._process.reader.next_header(timeout_s)
        except TimedOut:
            raise self._process.silent(timeout_s) from None
        except NotGdp as exc:
            raise SourceError(f"{self.source_id} broke off: {exc}") from None
        if header is None:
            self._check_end()
        return header

    def _check_end(self) -> None:
        if not self._process.closed and not self._process.ended_well():
            raise self._process.error("broke off" if self._frames_read else "does not start")

    def _fill(self, data: UInt8Array) -> bool:
        try:
            return self._process.reader.read_into(data, self._read_timeout_s)
        except TimedOut:
            raise self._process.silent(self._read_timeout_s) from None

    def close(self) -> None:
        """End the pipeline; `read` then gives None."""
        self._ahead = None
        self._process.close()


class _Process:
    """The running `gst-launch-1.0`."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.closed = False
        self._pictures, theirs = os.pipe()
        self._widen(self._pictures)
        try:
            # Not on standard output: NVIDIA's plugins print there. A session of its own: Ctrl-C
            # on the terminal is ours alone to answer. Without --no-fault a crash would not end it.
            self._child = subprocess.Popen(
                [LAUNCH, "--quiet", "--no-fault", *pipeline.words(theirs)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs,),
                env={**os.environ, **pipeline.environment},
                start_new_session=True,
            )
        except OSError as exc:
            os.close(self._pictures)
            raise SourceError(
                f"{pipeline.place} needs {LAUNCH}, which cannot be started: {exc.strerror}",
                "Run: sudo apt install gstreamer1.0-tools gstreamer1.0-plugins-good "
                "gstreamer1.0-plugins-bad gstreamer1.0-libav",
            ) from None
        finally:
            os.close(theirs)
        assert self._child.stdout is not None
        self._said = self._child.stdout
        self.reader = GdpReader(self._pictures, self._said.fileno())

    @staticmethod
    def _widen(fd: int) -> None:
        """Room for more of a picture; where the system allows less, it works all the same."""
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def ended_well(self) -> bool:
        """True where the pipeline came to its end by itself."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._child.wait(_STOP_S) == 0
        return False

    def error(self, what: str) -> SourceError:
        """Why the pipeline ended, in GStreamer's own words."""
        self.reader.drain_messages()
        text = self.reader.said.decode("utf-8", "replace")
        return explain(self._pipeline, what, text, self._child.poll())

    def silent(self, timeout_s: float) -> SourceError:
        """Nothing came for so long."""
        self.reader.drain_messages()
        return SourceError(
            f"{self._pipeline.place} broke off: nothing came for {timeout_s:g} s",
            "Check the network and the device",
        )

    def close(self) -> None:
        """Ask the pipeline to end, so that it releases its devices; kill it where it does not."""
        if self.closed:
            return
        self.closed = True
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGINT)
            try:
                self._child.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self._said.close()
        os.close(self._pictures)


def _rate(text: str) -> float:
    """`30000/1001` to frames a second; 0.0 where the stream names no believable rate."""
    try:
        rate = float(Fraction(text))
    except (ValueError, ZeroDivisionError):
        return 0.0
    return rate if 0 < rate <= 1000 else 0.0
