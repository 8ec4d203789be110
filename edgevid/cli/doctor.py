"""`edgevid doctor`: what this machine can run, and how to mend what it lacks."""

from __future__ import annotations

import click
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgevid.cli._output import console, json_option, write_json
from edgevid.device import Check, Report, diagnose, fix_script
from edgevid.errors import EngineError, SpecError

_STYLES = {"ok": "green", "missing": "yellow", "warning": "bold yellow", "info": "dim"}


@click.command()
@click.option(
    "--fix", is_flag=True, help="Print the commands that mend it, instead; run nothing."
)  # fmt: skip
@json_option
def command(fix: bool, json_target: str | None) -> None:
    """Show what this machine has for edgevid, and how to mend what it lacks.

    Exit status 0 when files can be run on the CPU, whatever else is missing; 2 when they
    cannot.
    """
    report = diagnose()
    if fix and json_target == "-":
        raise SpecError("--fix and --json - both print", "Write the JSON to a file")
    if fix:
        click.echo(fix_script(report), nl=False)
    elif json_target != "-":
        render(report, console())
    if json_target is not None:
        write_json(report.to_json(), json_target)
    if report.blocking:
        first = report.blocking[0]
        raise EngineError(
            f"edgevid cannot run here: {first.name}: {first.value}", f"To mend: {first.mend}"
        )


def render(report: Report, out: Console) -> None:
    """Print the report as one table a section, mends below what they mend."""
    names = max(len(check.name) for check in report.checks)
    for title, checks in report.sections.items():
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=len("warning"), no_wrap=True)
        table.add_column(width=names, no_wrap=True)
        table.add_column(overflow="fold")
        for check in checks:
            state = "MISSING" if check.blocks else check.state
            style = "bold red" if check.blocks else _STYLES[check.state]
            table.add_row(Text(state, style), Text(check.name, "bold"), _cell(check))
        out.print(Text(title.capitalize(), "bold underline"))
        out.print(table)
        out.print()
    out.print(_verdict(report))


def _cell(check: Check) -> RenderableType:
    value = Text(check.value, "dim" if check.state == "info" else "")
    if not check.mend:
        return value
    mend = Table.grid(padding=(0, 1, 0, 0))
    mend.add_row(Text("mend:", "cyan"), Text(check.mend, "cyan", overflow="fold"))
    return Group(value, mend)


def _verdict(report: Report) -> Text:
    if report.blocking:
        names = ", ".join(check.name for check in report.blocking)
        return Text(f"edgevid cannot run here until these are mended: {names}.", "bold red")
    engines = ", ".join(report.usable_engines)
    gaps = sum(check.state in ("missing", "warning") for check in report.checks)
    text = Text("edgevid runs here", "bold green")
    text.append(f", with: {engines}." + (f" To mend for more: {gaps}." if gaps else ""))
    return text
