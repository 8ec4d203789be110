"""From what a user names to the sources of a lane."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Union

from edgevid.errors import SourceError
from edgevid.pipeline.capture import NamedSource
from edgevid.protocols import FrameSource
from edgevid.sources import Decoder, expand, may_return, open_source
from edgevid.sources.reconnecting import RetryPolicy
from edgevid.sources.renamed import RenamedSource
from edgevid.sources.uri import shown_name
from edgevid.sources.v4l2 import CameraFinder, is_camera, parse_camera

_MAX_DECODERS = 8

Source = Union[str, int, "os.PathLike[str]", FrameSource]


@dataclass(frozen=True)
class Opening:
    """How the sources of a run are opened.

    Attributes:
        video_stream: Index of the video stream in files that hold several.
        retry: How a live source that was lost, or is not there yet, is tried again.
        decode_threads: Of a file. Of what is live each picture is wanted at once, and several
            threads hold some back.
        decoder: What reads files and RTSP, see `open_source`.
    """

    video_stream: int | None = None
    retry: RetryPolicy | None = None
    decode_threads: int = 1
    decoder: Decoder = "auto"

    def lane(self, source: Source, name: str | None = None) -> list[NamedSource]:
        """The sources that `source` stands for, none of them opened yet.

        Args:
            source: See `edgevid.stream`.
            name: What predictions call it; of several videos each is called name/file.

        Raises:
            SourceError: It stands for nothing.
        """
        if isinstance(source, FrameSource):
            called = name or source.source_id
            opened = source if name is None else RenamedSource(source, name)
            reopen = partial(open_source, source.source_id, stream=self.video_stream)
            return [NamedSource(called, reopen, opened, can_return=False)]
        if isinstance(source, os.PathLike):
            source = os.fspath(source)
        uris = [str(uri) for uri in ([source] if isinstance(source, int) else expand(source))]
        names = [name] * len(uris)
        if name is not None and len(uris) > 1:
            names = [f"{name}/{Path(uri).name}" for uri in uris]
        return [self._named(uri, called) for uri, called in zip(uris, names, strict=True)]

    def open_all(self, lanes: Sequence[Sequence[NamedSource]]) -> None:
        """Open the source of each lane that has a single one, so that its error is raised here.

        All at once: eight cameras need no longer than the slowest of them. One that is waited for
        is left to its own thread, and holds nothing up.

        Raises:
            SourceError: The first that cannot be opened.
        """
        first = [lane[0] for lane in lanes if len(lane) == 1 and lane[0].opened is None]
        at_once([one.prepare for one in first if not one.is_waited_for(self.retry)])

    def _named(self, uri: str, name: str | None) -> NamedSource:
        returns = may_return(uri)
        opening = partial(
            open_source,
            stream=self.video_stream,
            decoder=self.decoder,
            threads=1 if returns else self.decode_threads,
        )
        if self.retry is not None:
            opening = partial(opening, read_timeout_s=self.retry.stall_after_s)
        find = _camera(uri) if is_camera(uri) and not os.path.isfile(uri) else lambda: uri
        reopen = partial(_open, find, opening, name, shown_name(uri))
        return NamedSource(name or shown_name(uri), reopen, can_return=returns)


def _camera(uri: str) -> Callable[[], str]:
    """Where the camera is now, with what is asked of it."""
    finder = CameraFinder(parse_camera(uri)[0])
    options = uri.partition("?")[2]
    return lambda: str(finder.find()) + (f"?{options}" if options else "")


def _open(
    find: Callable[[], str],
    opening: Callable[[str], FrameSource],
    name: str | None,
    shown: str,
) -> FrameSource:
    try:
        source = opening(find())
    except SourceError as exc:
        if name is None:
            raise
        raise type(exc)(f"{name}: {exc.message}", exc.hint) from None
    called = name or shown
    return source if source.source_id == called else RenamedSource(source, called)


def decode_threads(lanes: int) -> int:
    """Threads that decode the file of each of so many lanes.

    One would be the whole run's limit wherever decoding costs more than the model: with more the
    kernel shares the cores between both as they need them. Four for each core, as FFmpeg's frame
    threads wait for each other, and the thread that feeds them also crops and resizes meanwhile.
    """
    return max(1, min(4 * len(os.sched_getaffinity(0)) // lanes, _MAX_DECODERS))


def at_once(calls: Sequence[Callable[[], None]]) -> None:
    """Make the calls, each on a thread of its own; raise the error of the first that has one."""
    errors: dict[int, BaseException] = {}

    def make(number: int, call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as exc:
            errors[number] = exc

    # A daemon each: one that hangs does not hold up Ctrl-C.
    threads = [threading.Thread(target=make, args=each, daemon=True) for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[min(errors)]
