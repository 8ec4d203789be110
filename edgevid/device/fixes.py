"""The commands that close the gaps of a report, as a shell script for people to read and run."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from edgevid.device.machine import Check, Machine
from edgevid.device.report import Report

_GAPS = ("missing", "warning")


def fix_script(report: Report, machine: Machine | None = None) -> str:
    """Shell commands, each below the gap that it closes; the system's packages come first.

    What is a choice and no gap (full speed, another engine) is commented out; what no command
    can do is a comment. Nothing is run.
    """
    machine = machine or Machine()
    gaps = [check for check in report.checks if check.state in _GAPS and check.mend]
    choices = [check for check in report.checks if check.state not in _GAPS and check.commands]
    lines = [f"# {_named(report)}"]
    if not gaps:
        lines.append("# Nothing is missing.")
    gaps.sort(key=lambda check: not _needs_root(check))
    shown: set[str] = set()
    if any(_needs_root(check) for check in gaps):
        lines += ["", "sudo apt update"]
    for check in gaps:
        lines += ["", f"# {check.name}: {check.value}"]
        fresh = list(_fresh(check, machine, shown))
        if check.commands and not fresh:
            lines.append("# closed by a command above")
        lines += [] if check.commands else [f"# by hand: {' '.join(check.mend.split())}"]
        lines += fresh
    if gaps:
        lines += ["", "# Then look again: edgevid doctor"]
    if choices:
        lines += ["", "# If you want it:"]
    for check in choices:
        for command in _fresh(check, machine, shown):
            lines.append(f"#{command}    # {check.name}: {check.value}")
    return "\n".join(lines) + "\n"


def _named(report: Report) -> str:
    values = {check.name: check.value for check in report.checks}
    known = (values.get(name, "") for name in ("board", "JetPack", "system"))
    return "; ".join(value for value in known if value)


def _needs_root(check: Check) -> bool:
    return any(command.startswith("sudo apt ") for command in check.commands)


def _fresh(check: Check, machine: Machine, shown: set[str]) -> Iterable[str]:
    """The commands of a check that no other brought; pip is that of this environment."""
    for command in check.commands:
        if command in shown:
            continue
        shown.add(command)
        if command.startswith("pip "):
            python = shlex.quote(str(machine.prefix / "bin" / "python"))
            command = f"{python} -m {command}"
        yield command
