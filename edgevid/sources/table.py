"""CSV files with a header row."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from edgevid.errors import SpecError

_SHOWN = 120
"""Characters of a header that a message shows."""


@dataclass(frozen=True)
class TableRow:
    """One row: its line in the file, from 1, and its cells by column, without blanks around. Cells
    that a short row lacks are not there."""

    line: int
    cells: dict[str, str]


@dataclass(frozen=True)
class Table:
    """A CSV file: the columns, and at least one row."""

    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]


def read_table(path: Path, column: str = "path") -> Table:
    """Read a CSV file in UTF-8.

    Args:
        path: Of the file.
        column: One that it must have.

    Raises:
        SpecError: It cannot be read, lacks the column, has no rows, or a row does not fit the
            header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True, skipinitialspace=True)
            columns = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            _check_columns(path, columns, column)
            rows = tuple(_row(path, reader.line_num, cells) for cells in reader)
    except OSError as exc:
        raise SpecError(f"{path} cannot be read: {exc.strerror}", "Check the path") from None
    except UnicodeDecodeError:
        raise SpecError(f"{path} is not UTF-8 text", "Save it as CSV in UTF-8") from None
    except csv.Error as exc:
        row = reader.reader.line_num
        raise SpecError(f"{path}, row {row}: {exc}", "Check its quotes") from None
    if not rows:
        raise SpecError(f"{path} lists no clip", "Add one row for each clip")
    return Table(tuple(columns), rows)


def _check_columns(path: Path, columns: list[str], needed: str) -> None:
    if needed not in columns:
        raise SpecError(
            f"{path} has no column {needed!r}; its first row says {_shown(columns)}",
            "Begin the file with a header row such as: path,label,start_s,end_s",
        )
    for name in columns:
        if name and columns.count(name) > 1:
            raise SpecError(f"{path} has two columns {name!r}", "Give them different names")


def _shown(columns: list[str]) -> str:
    text = ", ".join(columns) or "-"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _row(path: Path, line: int, cells: dict[str | None, str | list[str] | None]) -> TableRow:
    if None in cells:
        raise SpecError(
            f"{path}, row {line} has more cells than the header: {cells[None]}",
            "Put cells that hold a comma in quotes",
        )
    return TableRow(
        line,
        {str(name): text.strip() if isinstance(text, str) else "" for name, text in cells.items()},
    )
