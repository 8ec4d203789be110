"""`edgevid split`: a list of clips becomes one for training and one for testing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevid.cli._messages import warning
from edgevid.cli._output import console, json_option, write_json
from edgevid.errors import SpecError

if TYPE_CHECKING:
    from edgevid.validation.split import SplitResult

_EPILOG = """\b
Examples:
  edgevid split clips.csv --out train.csv,test.csv
  edgevid split clips.csv --out train.csv,test.csv --group subject --test 0.3
  edgevid split ucf101.csv --out train.csv,test.csv --group-regex '(v_.*_g[0-9]+)_c[0-9]+'
"""


@click.command(name="split", epilog=_EPILOG)
@click.argument("list_file", metavar="LIST.csv", type=click.Path(path_type=Path))
@click.option("--out", required=True, metavar="TRAIN.csv,TEST.csv", help="The files to write.")
@click.option(
    "--test", "test_share", type=float, default=0.2, show_default=True, metavar="SHARE",
    help="Of the rows of every class, for the test; as near as whole groups allow.",
)  # fmt: skip
@click.option(
    "--group", metavar="COLUMN",
    help="Rows with the same value stay together.  [default: the rows of one video]",
)  # fmt: skip
@click.option(
    "--group-regex", metavar="PATTERN",
    help="Or: rows whose paths match alike, in the pattern's first parentheses.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
@json_option
def command(list_file: Path, out: str, json_target: str | None, **options: Any) -> None:
    """Split LIST.csv in two, so that no video (or person, or place) is on both sides.

    LIST.csv has the columns path and label, and any others, which are kept.
    """
    from edgevid.validation.split import split

    names = [Path(name.strip()) for name in out.split(",") if name.strip()]
    if len(names) != 2:
        raise SpecError(
            f"--out names {len(names)} files, not two", "Write --out train.csv,test.csv"
        )
    done = split(list_file, names[0], names[1], **options)
    if json_target is not None:
        write_json({**vars(done), "one_sided": done.one_sided}, json_target)
    if json_target != "-":
        _print(done, names[0].name, names[1].name)
    if done.one_sided and set(done.counts) != {""}:
        shown = ", ".join(done.one_sided[:5]) + (", ..." if len(done.one_sided) > 5 else "")
        warning(f"on one side only, as there are too few groups: {shown}")


def _print(done: SplitResult, train: str, test: str) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("label")
    for name in (train, test, "test share"):
        table.add_column(escape(name), justify="right")
    for label, pair in done.counts.items():
        table.add_row(escape(label) or "(none)", *_cells(pair))
    table.add_row("rows", *_cells(done.rows), style="bold")
    table.add_row("groups", *_cells(done.groups))
    console().print(table)


def _cells(pair: tuple[int, int]) -> tuple[str, str, str]:
    return str(pair[0]), str(pair[1]), f"{pair[1] / sum(pair):.1%}"
