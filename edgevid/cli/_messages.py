"""What the commands say beside their results: on stderr, one line each."""

from __future__ import annotations

import click


def notice(text: str) -> None:
    """Something that was chosen or found."""
    click.echo(text, err=True)


def warning(text: str) -> None:
    """Something that the user may want to mend."""
    click.echo(f"edgevid: warning: {text}", err=True)
