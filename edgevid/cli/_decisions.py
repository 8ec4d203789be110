"""What `run` and `replay` share: options about decisions, and who takes what comes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from edgevid.protocols import Sink

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

events_option: Decorator = click.option(
    "--events", multiple=True, metavar="RULE",
    help='Say when labels begin and end: "onset=0.6,offset=0.4,min=0.5s,merge=0.3s", or '
    '"LABEL: onset=0.7" for one label. May be given several times; none leaves out those that '
    "the bundle was tuned to.",
)  # fmt: skip

export_option: Decorator = click.option(
    "--export", "exports", multiple=True, metavar="FILE",
    help="Write the events to a .csv, .vtt (subtitles), .elan.csv or .via.csv (annotators). "
    "May be given several times.",
)  # fmt: skip


def export_sinks(
    paths: Sequence[str], events: Sequence[str], sources: int, stack: ExitStack
) -> list[Sink]:
    """Open the files that events go to; `stack` closes them.

    Raises:
        SpecError: There are no events, or a name says no format.
        OutputError: A file cannot be written.
    """
    from edgevid.errors import SpecError
    from edgevid.sinks import EventFileSink

    if paths and not events:
        raise SpecError(
            f"--export {paths[0]} writes events, and there are none without --events",
            'Add --events "onset=0.6,offset=0.4,min=0.5s,merge=0.3s"',
        )
    sinks: list[Sink] = []
    for path in paths:
        sink = EventFileSink(path, sources)
        stack.callback(sink.close)
        sinks.append(sink)
    return sinks
