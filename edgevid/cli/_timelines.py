"""Labels over time as text for a terminal, and as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING

from edgevid.errors import SpecError

if TYPE_CHECKING:
    from edgevid.pages.timelines import Stretch

    Rows = Mapping[str, Sequence[Stretch]]

_LETTERS = ascii_lowercase + ascii_uppercase
_NONE, _MORE = "·", "#"
_SUFFIXES = (".svg", ".png", ".html")


def text_lines(rows: Rows, end_s: float, width: int) -> list[str]:
    """One line for each row, a letter for each label, and a line that says which.

    Args:
        rows: Name to stretches.
        end_s: Of the time that is shown, in seconds.
        width: Characters in a line.
    """
    left = max(len(name.strip()) for name in rows) + 2
    cells = max(width - left - 2, 10)
    names = dict.fromkeys(s.label for row in rows.values() for s in row if s.label is not None)
    letters: dict[str | None, str] = dict(zip(names, _LETTERS, strict=False))
    lines = [
        f"  {name.strip():{left}}{_cells(row, end_s, cells, letters)}" for name, row in rows.items()
    ]
    ruler = f"{end_s:.1f} s".rjust(cells - 1)
    key = "  ".join(f"{letter} {name}" for name, letter in letters.items())
    if len(names) > len(letters):
        key += f"  {_MORE} others"
    return [*lines, f"  {'':{left}}0{ruler}", f"  {key}"]


def _cells(
    row: Sequence[Stretch], end_s: float, cells: int, letters: Mapping[str | None, str]
) -> str:
    """What is shown in the middle of each cell."""
    text = ""
    for i in range(cells):
        middle = (i + 0.5) * end_s / cells
        at = next((s for s in row if s.start <= middle < s.end), None)
        label = None if at is None else at.label
        text += _NONE if label is None else letters.get(label, _MORE)
    return text


def check_plot(path: str, sources: int) -> None:
    """Raise SpecError where the file's name says no format, or one that does not fit."""
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        raise SpecError(f"--plot {path}: no format has this ending", "Write .svg, .png or .html")
    if suffix != ".html" and sources > 1:
        raise SpecError(
            f"--plot {path}: a {suffix} file shows one video, and there are {sources}",
            "Write a .html file",
        )


def write_plot(path: str, videos: Mapping[str, Rows], ends_s: Mapping[str, float]) -> None:
    """Draw the time lines of one video, or for HTML of all.

    Raises:
        OutputError: The file cannot be written.
    """
    from edgevid.files import write_atomic
    from edgevid.pages.files import png_file, svg_file
    from edgevid.pages.parts import figure, page
    from edgevid.pages.timelines import time_lines

    charts = {
        name: time_lines(f"Labels over time of {name}", rows, ends_s[name])
        for name, rows in videos.items()
    }
    suffix = Path(path).suffix.lower()
    if suffix == ".html":
        figures = (figure(name, chart, caption="", wide=True) for name, chart in charts.items())
        data = page("Labels over time", *figures).encode()
    else:
        [chart] = charts.values()
        data = png_file(chart) if suffix == ".png" else svg_file(chart).encode()
    write_atomic(Path(path), data)
