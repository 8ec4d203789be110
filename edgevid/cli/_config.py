"""`edgevid run --config site.toml`: what the flags say, in a file, and more about each source.

    model = "gesture.edgevid"
    smooth = "mean:8"
    give-up-after = 60

    [[sources]]
    name = "door"
    uri = "rtsp://camera-1/stream"
    priority = 2

Every long flag is a key of the same name, with `-` or `_`. Flags on the command line win.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pydantic import Field, model_validator

from edgevid.errors import SpecError
from edgevid.spec import Strict, parse

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_KEY = "edgevid.config"


class SiteSource(Strict):
    """One entry of `sources`."""

    uri: str | None = Field(None, min_length=1, description="As for --source.")
    camera: int | str | None = Field(None, description="As for --camera.")
    name: str | None = Field(
        None,
        pattern=r"^[^\x00-\x1f\x7f]{1,64}$",
        description="What predictions, metrics and the log call it.",
    )
    priority: int = Field(
        1, ge=1, le=100, description="Share of an engine that is too slow for all."
    )

    @model_validator(mode="after")
    def _one_place(self) -> SiteSource:
        if (self.uri is None) == (self.camera is None):
            raise ValueError("a source needs either uri or camera")
        return self

    @property
    def place(self) -> str | int:
        """What `edgevid.stream` takes."""
        place = self.uri if self.camera is None else self.camera
        assert place is not None
        return int(place) if isinstance(place, str) and place.isdecimal() else place


@dataclass(frozen=True)
class SiteConfig:
    """A configuration file that was read and checked.

    Attributes:
        path: Of the file.
        values: Parameter of the command to what the file says of it.
        sources: In the order of the file.
    """

    path: Path
    values: Mapping[str, Any]
    sources: tuple[SiteSource, ...]


def read_config(path: Path, command: click.Command) -> SiteConfig:
    """Read a configuration file of a command.

    Raises:
        SpecError: It cannot be read, has an unknown key, or a source that is none.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpecError(f"no such configuration file: {path}", "Check the path") from None
    except (OSError, ValueError) as exc:
        raise SpecError(f"{path} is not a TOML file: {exc}", "See docs/live.md") from None
    said = data.pop("sources", [])
    if not isinstance(said, list):
        raise SpecError(f"{path}: sources: must be a list (got {said!r})", "See docs/live.md")
    sources = []
    for number, entry in enumerate(said):
        table = {"uri": entry} if isinstance(entry, str) else entry
        sources.append(parse(SiteSource, table, f"{path}: sources.{number}"))
    names = _names(command)
    values = {}
    for key, value in data.items():
        name = key.replace("_", "-")
        if name not in names:
            raise SpecError(
                f"{path}: unknown key {key!r}", f"Known keys: {', '.join(sorted(names))}, sources"
            )
        values[names[name]] = value
    return SiteConfig(path, values, tuple(sources))


def _names(command: click.Command) -> dict[str, str]:
    """What the file may say: long flags without their dashes, and arguments by their name."""
    names = {}
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            names[str(parameter.name)] = str(parameter.name)
        for flag in parameter.opts:
            if flag.startswith("--") and parameter.name not in ("config", "sources", "cameras"):
                names[flag.removeprefix("--")] = str(parameter.name)
    return names


def load_config(ctx: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
    """The callback of `--config`: its values become the defaults of the other parameters."""
    if path is not None:
        config = read_config(path, ctx.command)
        ctx.default_map = {**(ctx.default_map or {}), **config.values}
        ctx.meta[_KEY] = config
    return path


def current_config() -> SiteConfig | None:
    """The file that the running command was given."""
    config: SiteConfig | None = click.get_current_context().meta.get(_KEY)
    return config
