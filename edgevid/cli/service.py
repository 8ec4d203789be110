"""`edgevid service`: edgevid as a systemd service."""

from __future__ import annotations

import grp
import re
import shutil
import stat
import sys
from pathlib import Path

import click

from edgevid.cli._config import SiteConfig, read_config
from edgevid.cli._messages import notice, warning
from edgevid.cli._unit import Unit
from edgevid.errors import OutputError, SpecError

_SYSTEM_UNITS = Path("/etc/systemd/system")
_SYSTEM_CONFIG = Path("/etc/edgevid/site.toml")
_OUTPUTS = {"jsonl", "log", "summary_file", "trace", "video"}


@click.group(name="service")
def command() -> None:
    """Run edgevid as a systemd service: from boot, restarted where it fails or hangs."""


@command.command()
@click.option(
    "--config", type=click.Path(path_type=Path), metavar="F.toml",
    help="What to run (docs/live.md).  [/etc/edgevid/site.toml; with --user "
    "~/.config/edgevid/site.toml]",
)  # fmt: skip
@click.option("--name", default="edgevid", show_default=True, help="Of the unit.")
@click.option("--user", is_flag=True, help="A service of this user alone, without root.")
@click.option(
    "--program", type=click.Path(path_type=Path), help="The edgevid to run.  [this one]"
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print the unit; write nothing.")
def install(config: Path | None, name: str, user: bool, program: Path | None, dry_run: bool) -> int:
    """Write the unit and a file of environment variables, and say how to start it."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise SpecError(f"--name {name!r} is no name of a unit", "Use letters, digits, - and _")
    config = (config or _default_config(user)).expanduser().absolute()
    unit = Unit(name, _program(program), config, config.with_name(f"{name}.env"), user, _groups())
    target = (_user_units() if user else _SYSTEM_UNITS) / f"{name}.service"
    text = unit.text()
    if not config.exists() and dry_run:
        warning(f"{config} does not exist yet")
    else:
        _check(read_config(config, _run_command()), unit)
    if dry_run:
        click.echo(f"# {target}")
        click.echo(text, nl=False)
        return 0
    _write(target, text)
    if not unit.environment.exists():
        _write(unit.environment, unit.environment_text())
    notice(f"Wrote {target}; environment: {unit.environment}")
    for line in _next_steps(unit):
        notice(line)
    return 0


def _default_config(user: bool) -> Path:
    return Path("~/.config/edgevid/site.toml") if user else _SYSTEM_CONFIG


def _user_units() -> Path:
    return Path("~/.config/systemd/user").expanduser()


def _program(given: Path | None) -> tuple[str, ...]:
    """The command that is edgevid. Symbolic links stay: an update may change where they lead.

    Raises:
        SpecError: There is no such program.
    """
    if given is not None:
        found = shutil.which(str(given.expanduser().absolute()))
        if found is None:
            raise SpecError(
                f"--program {given} is no program", "Name the edgevid of an installation"
            )
        return (found,)
    called = shutil.which(sys.argv[0])
    if called is not None and Path(called).name == "edgevid":
        return (str(Path(called).absolute()),)
    return (sys.executable, "-m", "edgevid")


def _groups() -> tuple[str, ...]:
    """The groups of cameras and GPUs that this machine has; systemd refuses unknown ones."""
    known = {group.gr_name for group in grp.getgrall()}
    return tuple(group for group in ("video", "render") if group in known)


def _run_command() -> click.Command:
    from edgevid.cli.run import command as run

    return run


def _check(config: SiteConfig, unit: Unit) -> None:
    """See that the service can do what the file says; warn of what may fail.

    Raises:
        SpecError: It cannot.
    """
    path = config.path
    if not config.sources:
        raise SpecError(f"{path} names no source", "Add [[sources]] with uri or camera")
    if "model" not in config.values:
        raise SpecError(f"{path} names no model", 'Add model = "/path/to/B.edgevid"')
    model = Path(str(config.values["model"]))
    if not model.is_absolute():
        warning(f"model {model} is relative: the service looks below {unit.state}")
    if unit.user:
        return
    for place in (path, model):
        if _is_below_tmp(place):
            raise SpecError(f"{place}: the service has a /tmp of its own", "Put it elsewhere")
        if place.is_absolute() and (closed := _closed_to(unit, place)) is not None:
            warning(
                f"{place}: the service's user may not read {closed}; "
                "let others, or the group video, read it, or move it"
            )
    for key in sorted(_OUTPUTS & config.values.keys()):
        target = Path(str(config.values[key]))
        if target.is_absolute() and Path(unit.state) not in target.parents:
            warning(f"{key} {target}: the service may write below {unit.state} only")


def _is_below_tmp(path: Path) -> bool:
    return any(Path(folder) in path.parents for folder in ("/tmp", "/var/tmp"))


def _closed_to(unit: Unit, path: Path) -> Path | None:
    """The first of a file's folders, or the file, that the service's user may not read."""
    groups = {group.gr_gid for group in grp.getgrall() if group.gr_name in unit.groups}
    for place in (*reversed(path.parents), path):
        try:
            found = place.stat()
        except OSError:
            return None
        of_group, of_others = (
            (stat.S_IRGRP, stat.S_IROTH) if place == path else (stat.S_IXGRP, stat.S_IXOTH)
        )
        if not found.st_mode & (of_group if found.st_gid in groups else of_others):
            return place
    return None


def _write(path: Path, text: str) -> None:
    from edgevid.files import write_atomic

    try:
        write_atomic(path, text.encode())
    except OutputError as exc:
        raise OutputError(exc.message, "Use sudo, or --user for a service of yours alone") from None


def _next_steps(unit: Unit) -> list[str]:
    systemctl = "systemctl --user" if unit.user else "sudo systemctl"
    journal = "journalctl --user" if unit.user else "journalctl"
    steps = [
        f"Start it now and at every boot: {systemctl} daemon-reload && "
        f"{systemctl} enable --now {unit.name}",
        f"Look at it: {systemctl} status {unit.name}; {journal} -u {unit.name} -f",
    ]
    if unit.user:
        steps.append("At boot, before you log in: sudo loginctl enable-linger $USER")
    return steps
