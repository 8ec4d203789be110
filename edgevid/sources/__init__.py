"""Where frames come from: files, images, cameras, network streams, test patterns."""

from __future__ import annotations

import os
from typing import Literal

from edgevid.errors import SourceError
from edgevid.protocols import FrameSource
from edgevid.sources.uri import Kind, expand, kind_of, may_return, redact, scheme_of

Decoder = Literal["auto", "pyav", "gstreamer"]

__all__ = ["Decoder", "expand", "may_return", "open_source"]


def open_source(
    uri: str | int | os.PathLike[str],
    *,
    stream: int | None = None,
    threads: int = 1,
    image_fps: float | None = None,
    rtsp_transport: Literal["tcp", "udp"] = "tcp",
    open_timeout_s: float = 10.0,
    read_timeout_s: float = 10.0,
    decoder: Decoder = "auto",
) -> FrameSource:
    """Open one source of frames; the first frame is decoded before this returns.

    Args:
        uri: One of
            - a video file, as a path or file:// URL;
            - a folder or glob of images, or one image: the frames of one video, in natural
              order of their names (`frame2` before `frame10`);
            - a V4L2 camera: its number (0 or "0"), /dev/videoN or a link of udev, with
              options such as `0?format=MJPG&size=1280x720`: see `edgevid.sources.v4l2`;
            - rtsp://, http:// and other URLs that FFmpeg reads;
            - `gst:` and a URL, a file or a GStreamer pipeline; `csi:0`, a Jetson's own camera:
              see `edgevid.sources.gst_pipeline`;
            - `synthetic:...`, see `edgevid.sources.synthetic`.
        stream: Index in the container of the video stream to read; None: FFmpeg's choice
            (the largest picture). Files and URLs only.
        threads: Decoder threads, for files and URLs; 0: one a core. More than one makes a
            file faster to read and costs about 15 % more work in all, so the default leaves
            the cores to the model.
        image_fps: Frame rate of a folder of images; None: 25, FFmpeg's own default.
        rtsp_transport: "tcp" loses nothing; "udp" where the device knows nothing else.
        open_timeout_s: How long a network source may take to answer.
        read_timeout_s: How long it may then be silent.
        decoder: What reads files and RTSP: "pyav", "gstreamer", or "auto": RTSP with
            GStreamer where a Jetson's decoder is installed, the rest with PyAV.

    Raises:
        SourceNotFoundError: The file, folder, glob or camera does not exist.
        SourceError: It holds no video, cannot be read, or `stream` is none of its videos.
    """
    name = str(uri) if isinstance(uri, int) else os.fspath(uri)
    try:
        kind = kind_of(name)
    except OSError as exc:
        raise SourceError(f"{name} cannot be read: {exc.strerror}") from None
    if stream is not None and kind not in (Kind.FILE, Kind.NETWORK):
        raise SourceError(
            f"{redact(name)} has no streams to choose from", "Leave the stream index out"
        )
    if kind is Kind.GSTREAMER or _by_gstreamer(name, kind, decoder):
        from edgevid.sources.gst_pipeline import pipeline_for
        from edgevid.sources.gstreamer import GStreamerSource

        return GStreamerSource(
            pipeline_for(name, transport=rtsp_transport, connect_s=open_timeout_s),
            open_timeout_s=open_timeout_s,
            read_timeout_s=read_timeout_s,
        )
    if kind in (Kind.FILE, Kind.NETWORK):
        from edgevid.sources.container import ContainerSource

        return ContainerSource(
            name,
            stream=stream,
            threads=threads,
            rtsp_transport=rtsp_transport,
            open_timeout_s=open_timeout_s,
            read_timeout_s=read_timeout_s,
        )
    if kind is Kind.SYNTHETIC:
        from edgevid.sources.synthetic import SyntheticSource

        return SyntheticSource.from_uri(name)
    if kind is Kind.IMAGES:
        from edgevid.sources.images import ImageSource

        return ImageSource(name, fps=image_fps)
    from edgevid.sources.camera import open_camera

    return open_camera(name, read_timeout_s)


def _by_gstreamer(name: str, kind: Kind, decoder: Decoder) -> bool:
    """True for a file or URL that GStreamer shall decode."""
    if decoder == "gstreamer":
        return kind is Kind.FILE or (kind is Kind.NETWORK and scheme_of(name).startswith("rtsp"))
    if decoder == "pyav" or not scheme_of(name).startswith("rtsp"):
        return False
    from edgevid.sources.gst_pipeline import has_jetson_decoder

    return has_jetson_decoder()
