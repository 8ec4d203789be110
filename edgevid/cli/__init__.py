"""The command line: one file a command, loaded only when it is called.

Results go to stdout, everything else to stderr. A user's mistake is one line and exit
status 2; a fault of edgevid is a traceback and exit status 1; Ctrl-C is exit status 130.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn

import click

from edgevid._version import __version__
from edgevid.errors import EdgevidError

_COMMANDS = {
    "convert": "Turn a model into a checked bundle, and a TensorRT engine where asked.",
    "run": "Run a bundle on cameras, files and streams; print labels over time.",
    "bench": "Measure how fast, how late and how hot a bundle runs.",
    "eval": "Evaluate a bundle on labelled videos.",
    "split": "Split a list of clips into training and test, group by group.",
    "tune": "Find the smoother and the events that suit a bundle.",
    "replay": "Decide once more on the scores that a run kept.",
    "inspect": "Show what a bundle holds, and check it.",
    "service": "Run as a systemd service, from boot on.",
    "doctor": "Show what this machine can run, and how to mend what it lacks.",
}

EXIT_MISTAKE = 2
EXIT_INTERRUPTED = 130


class _LazyGroup(click.Group):
    """Lists every command without importing it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's shape
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"edgevid.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edgevid")
def cli() -> None:
    """Trained video-recognition models on Jetson-class devices."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the value is the exit status."""
    try:
        result = cli.main(args=argv, prog_name="edgevid", standalone_mode=False)
    except click.exceptions.Abort:
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except click.ClickException as exc:
        exc.show(file=sys.stderr)
        return exc.exit_code
    except EdgevidError as exc:
        print(f"edgevid: error: {exc}", file=sys.stderr)
        return EXIT_MISTAKE
    except BrokenPipeError:
        # The reader of our output went away (`| head`): that is its right, not an error.
        sys.stderr.close()
        return 0
    return result if isinstance(result, int) else 0


def entry() -> NoReturn:
    """`main` as a process: ends it with its exit status, whatever still hangs.

    A thread that waits in a driver or a library for a source cannot be ended, and crashes where
    Python takes itself apart around it. The process then ends at once: all has been written.
    """
    status = main()
    if any(t.daemon and t.name.startswith("edgevid-") for t in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # closed, or its reader went away
                stream.flush()
        os._exit(status)
    sys.exit(status)
