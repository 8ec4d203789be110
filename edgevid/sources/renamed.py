"""A source under a name of the user's choice."""

from __future__ import annotations

from dataclasses import replace

from edgevid.errors import SourceError
from edgevid.protocols import ForeseeingSource, FrameSource, WantFrame, every_frame
from edgevid.types import Frame, SourceInfo, SourceStats


class RenamedSource:
    """Another source whose frames and errors carry `name`.

    Args:
        source: Closed with this one.
        name: Holds no password.
    """

    def __init__(self, source: FrameSource, name: str) -> None:
        self._source = source
        self._name = name

    @property
    def source_id(self) -> str:
        return self._name

    @property
    def info(self) -> SourceInfo:
        return self._source.info

    @property
    def stats(self) -> SourceStats:
        return self._source.stats

    def read(self, want: WantFrame = every_frame) -> Frame | None:
        """As the source's own `read`.

        Raises:
            SourceError: The source failed; the message begins with the name.
        """
        try:
            frame = self._source.read(want)
        except SourceError as exc:
            rest = exc.message.removeprefix(f"{self._source.source_id} ")
            raise SourceError(f"{self._name} {rest}", exc.hint) from None
        return None if frame is None else replace(frame, source_id=self._name)

    def foresee(self, want: WantFrame) -> None:
        """As the source's own, where it can."""
        if isinstance(self._source, ForeseeingSource):
            self._source.foresee(want)

    def close(self) -> None:
        self._source.close()
