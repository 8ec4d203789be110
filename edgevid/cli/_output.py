"""What the commands share for writing their results."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from edgevid.files import write_atomic

json_option = click.option(
    "--json",
    "json_target",
    metavar="FILE|-",
    help="Write the result as JSON to FILE; '-' prints it instead of the text.",
)


def console() -> Console:
    """A console on stdout: colours on a terminal only, words wrapped and never cut off."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A label that the terminal's encoding lacks is shown as "?", not as a traceback.
        sys.stdout.reconfigure(errors="replace")
    return Console(file=sys.stdout, highlight=False, soft_wrap=False)


def write_json(data: Any, target: str) -> None:
    """Print `data` as JSON ("-"), or write it to a file, whole or not at all.

    Raises:
        OutputError: The file cannot be written.
    """
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    if target == "-":
        click.echo(text, nl=False)
    else:
        write_atomic(Path(target), text.encode())
