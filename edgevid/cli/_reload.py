"""SIGHUP: the configuration file is read again while the streams go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from edgevid.cli._config import SiteConfig, SiteSource, read_config
from edgevid.cli._messages import notice, warning
from edgevid.errors import EdgevidError

if TYPE_CHECKING:
    from edgevid.pipeline import Opening, Stream


class Reloader:
    """Makes a running stream play the sources that the file names now.

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

    def __call__(self) -> None:
        try:
            fresh = read_config(self._config.path, self._command)
        except EdgevidError as exc:
            warning(f"{exc}; going on as before")
            return
        notice(f"{fresh.path} was read again")
        for key in _changed(self._config, fresh):
            warning(f"{key} changed: that takes effect at the next start")
        self._change_sources(self._config.sources, fresh.sources)
        self._config = SiteConfig(fresh.path, self._config.values, fresh.sources)

    def _change_sources(self, before: Sequence[SiteSource], now: Sequence[SiteSource]) -> None:
        for source in before:
            if source not in now:
                self._stop(source)
        for source in now:
            if source in before:
                continue
            try:
                lane = self._opening.open_lane(source.place, source.name)
                self._running.add_lane(lane, source.priority)
                self._names.append((source, [named.name for named in lane]))
            except EdgevidError as exc:
                warning(f"{exc}; the other sources go on")

    def _names_of(self, source: SiteSource) -> list[str]:
        return [named.name for named in self._opening.lane(source.place, source.name)]

    def _stop(self, source: SiteSource) -> None:
        for playing, names in self._names:
            if playing == source:
                for name in names:
                    self._running.stop_source(name)
        self._names = [known for known in self._names if known[0] != source]


def _changed(before: SiteConfig, now: SiteConfig) -> list[str]:
    keys = sorted({*before.values, *now.values})
    return [key for key in keys if before.values.get(key) != now.values.get(key)]
