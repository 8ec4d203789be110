"""Which videos the user means: paths, folders, patterns, and CSV files that list clips.

A CSV file has a header row. Its columns are `path` (relative to the file), and as wanted
`label`, `start_s` and `end_s` (the part of the video that the label is about; empty: its
beginning, its end). Other columns are left alone.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field, model_validator

from edgevid.errors import SourceError, SourceNotFoundError, SpecError
from edgevid.sources import expand
from edgevid.sources.table import TableRow, read_table
from edgevid.sources.uri import Kind, is_live_scheme, kind_of
from edgevid.spec import Strict, parse


@dataclass(frozen=True)
class ListedClip:
    """A video, or a part of one, that windows may be drawn from.

    Attributes:
        uri: What `open_source` takes.
        label: What it shows; None where nothing says.
        start_s, end_s: The part meant, in seconds from the video's start; the frame at
            `end_s` no longer belongs to it.
        row: Line of the CSV file that lists it, from 1; 0 where none does.
    """

    uri: str
    label: str | None = None
    start_s: float = 0.0
    end_s: float = math.inf
    row: int = field(default=0, compare=False)

    @property
    def video(self) -> str:
        """The same for every clip of one video, by whatever path it is named."""
        return os.path.realpath(self.uri) if os.path.exists(self.uri) else self.uri


class _Row(Strict):
    path: str = Field(min_length=1)
    label: str | None = None
    start_s: float = Field(0.0, ge=0)
    end_s: float | None = None

    @model_validator(mode="after")
    def _consistent(self) -> _Row:
        if self.end_s is not None and self.end_s <= self.start_s:
            raise ValueError(f"end_s {self.end_s:g} must lie after start_s {self.start_s:g}")
        return self


def list_clips(paths: Sequence[str]) -> list[ListedClip]:
    """Every clip that `paths` stand for, in their order, none twice.

    Args:
        paths: Videos, folders or glob patterns of videos (see `edgevid.sources.expand`),
            folders of images (the frames of one video), and CSV files.

    Raises:
        SourceError: A folder or pattern holds nothing, or a path does not exist.
        SpecError: A CSV file cannot be right; names the row and the column.
    """
    listed: dict[tuple[str, float, float], ListedClip] = {}
    for path in paths:
        clips = read_csv(Path(path)) if path.lower().endswith(".csv") else _expanded(path)
        for clip in clips:
            listed.setdefault((clip.video, clip.start_s, clip.end_s), clip)
    return list(listed.values())


def _expanded(path: str) -> Iterable[ListedClip]:
    for uri in expand(path):
        _check(uri)
        yield ListedClip(uri)


def _check(uri: str) -> None:
    """Raise where `uri` does not exist or is nothing that can be read twice."""
    if kind_of(uri) in (Kind.CAMERA, Kind.GSTREAMER) or is_live_scheme(uri):
        raise SourceError(f"{uri!r} is live: its frames cannot be read again", "Give video files")


def read_csv(path: Path, root: Path | None = None, must_exist: bool = True) -> list[ListedClip]:
    """The clips that a CSV file lists.

    Args:
        path: Of the file.
        root: The folder that its paths are relative to; None: the file's own.
        must_exist: False: a video that is missing is found out when it is opened.

    Raises:
        SpecError: It cannot be read, has no column `path` or no rows, or a row is wrong.
    """
    folder = path.parent if root is None else root
    clips = [_clip(path, folder, row) for row in read_table(path).rows]
    for clip in clips:
        try:
            _check(clip.uri)
        except SourceError as exc:
            if must_exist or not isinstance(exc, SourceNotFoundError):
                where = f"{path}, row {clip.row}, column 'path'"
                raise SpecError(f"{where}: {exc.message}", exc.hint) from None
    return clips


def _clip(path: Path, folder: Path, listed: TableRow) -> ListedClip:
    said = {name: text for name, text in listed.cells.items() if text and name in _Row.model_fields}
    row: _Row = parse(_Row, said, f"{path}, row {listed.line}")
    end_s = math.inf if row.end_s is None else row.end_s
    return ListedClip(located(row.path, folder), row.label, row.start_s, end_s, listed.line)


def located(path: str, folder: Path) -> str:
    """What `open_source` takes for a path that is relative to a folder."""
    is_path = "://" not in path and not path.startswith("synthetic:")
    return str(folder / path) if is_path else path
