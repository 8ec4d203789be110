"""SIGHUP: the configuration file is read again while the streams go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from edgevid.cli._config import SiteConfig, SiteSource, read_config
from edgevid.cli._messages import notice, warning
from edgevid.errors import EdgevidError

if TYPE_CHECKING:
    from edgevid.pipeline import Opening, Stream


class Reloader:
    """Makes a running stream play the sources that the file names now.

    One that ended by an error is tried again.

    A file with a mistake changes nothing. Everything but the sources takes effect at the next
    start, and is named where it changed.

    Args:
        running: The stream.
        command: Whose configuration file it is.
        config: As it was read at the start.
        opening: Opens a source.
    """

    def __init__(
        self,
        running: Stream,
        command: click.Command,
        config: SiteConfig,
        opening: Opening,
    ) -> None:
        self._running = running
        self._command = command
        self._config = config
        self._opening = opening
        self._names = [(source, self._names_of(source)) for source in config.sources]

    def __call__(self, taken_out: Callable[[str], None]) -> None:
        """Read the file again.

        Args:
            taken_out: Told the name of each source that leaves.
        """
        try:
            fresh = read_config(self._config.path, self._command)
        except EdgevidError as exc:
            warning(f"{exc}; going on as before")
            return
        notice(f"{fresh.path} was read again")
        for key in _changed(self._config, fresh):
            warning(f"{key} changed: that takes effect at the next start")
        before = self._config.sources
        again = [source for source in before if self._has_failed(source)]
        stay = [source for source in before if source in fresh.sources and source not in again]
        for source in before:
            if source not in stay:
                for name in self._stop(source):
                    taken_out(name)
        self._add([source for source in fresh.sources if source not in stay])
        self._config = SiteConfig(fresh.path, self._config.values, fresh.sources)

    def _add(self, sources: Sequence[SiteSource]) -> None:
        for source in sources:
            try:
                # Not opened here, where a camera that does not answer would hold up all answers.
                lane = self._opening.lane(source.place, source.name)
                self._running.add_lane(lane, source.priority)
                self._names.append((source, [named.name for named in lane]))
            except EdgevidError as exc:
                warning(f"{exc}; the other sources go on")

    def _names_of(self, source: SiteSource) -> list[str]:
        return [named.name for named in self._opening.lane(source.place, source.name)]

    def _playing(self, source: SiteSource) -> list[str]:
        """The names that it has."""
        return [name for playing, names in self._names if playing == source for name in names]

    def _has_failed(self, source: SiteSource) -> bool:
        """True also of one that stood for nothing."""
        return all(map(self._running.has_failed, self._playing(source)))

    def _stop(self, source: SiteSource) -> list[str]:
        """The names that it had."""
        stopped = self._playing(source)
        for name in stopped:
            self._running.stop_source(name)
        self._names = [known for known in self._names if known[0] != source]
        return stopped


def _changed(before: SiteConfig, now: SiteConfig) -> list[str]:
    keys = sorted({*before.values, *now.values})
    return [key for key in keys if before.values.get(key) != now.values.get(key)]
