"""`edgevid service install`: units that systemd itself accepts and rates."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import edgevid.cli.service as service
from edgevid.cli import main
from edgevid.cli._unit import Unit, quote
from edgevid.errors import SpecError

MODEL = Path(__file__).parents[2] / "edgevid" / "demo" / "model.onnx"
SITE = 'model = "{model}"\n[[sources]]\ncamera = 0\n'

EXPOSURE = 25
"""Tenths of systemd's scale from 0 (safe) to 10; most services of a distribution are above 90."""


def systemd_analyze(*arguments: str, timeout_s: float = 30.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments],
        capture_output=True, text=True, check=False, timeout=timeout_s,
    )  # fmt: skip


def program_at(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def etc(tmp_path, monkeypatch) -> Path:
    """A folder that stands for /etc, and for where it is forbidden to look: /tmp."""
    monkeypatch.setattr(service, "_SYSTEM_UNITS", tmp_path / "systemd")
    monkeypatch.setattr(service, "_SYSTEM_CONFIG", tmp_path / "edgevid" / "site.toml")
    monkeypatch.setattr(service, "_is_below_tmp", lambda _: False)
    (tmp_path / "edgevid").mkdir()
    return tmp_path


def write_site(etc: Path, text: str = SITE) -> Path:
    path = etc / "edgevid" / "site.toml"
    path.write_text(text.replace("{model}", str(MODEL)))
    return path


def test_a_dry_run_prints_the_unit_and_writes_nothing(etc, capsys):
    write_site(etc)
    assert main(["service", "install", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"# {etc}/systemd/edgevid.service\n")
    assert f"ExecStart=:{sys.executable} -m edgevid run --config {etc}/edgevid/site.toml\n" in out
    assert "WatchdogSec=60\n" in out
    assert "No such" not in err
    assert not (etc / "systemd").exists()


def test_an_installed_unit_is_accepted_by_systemd_and_little_exposed(etc, capsys):
    write_site(etc)
    program = program_at(etc / "venv" / "bin" / "edgevid")
    assert main(["service", "install", "--program", str(program)]) == 0
    said = capsys.readouterr().err
    assert "sudo systemctl daemon-reload && sudo systemctl enable --now edgevid" in said
    unit = etc / "systemd" / "edgevid.service"
    checked = systemd_analyze("verify", str(unit))
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    rated = systemd_analyze("security", "--offline=true", f"--threshold={EXPOSURE}", str(unit))
    assert rated.returncode == 0, rated.stdout[-200:]
    assert "CUDA_MODULE_LOADING=LAZY" in (etc / "edgevid" / "edgevid.env").read_text()


def test_the_threshold_is_one_that_an_unprotected_unit_misses(tmp_path):
    unit = tmp_path / "bare.service"
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    rated = systemd_analyze("security", "--offline=true", f"--threshold={EXPOSURE}", str(unit))
    assert rated.returncode == 1


def test_a_second_install_keeps_the_file_of_variables(etc):
    write_site(etc)
    (etc / "edgevid" / "edgevid.env").write_text("GST_DEBUG=4\n")
    for _ in range(2):
        assert main(["service", "install"]) == 0
    assert (etc / "edgevid" / "edgevid.env").read_text() == "GST_DEBUG=4\n"


def test_a_users_service_lies_in_the_home_and_has_what_a_user_may_ask_for(etc, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(etc / "home"))
    config = write_site(etc)
    program = program_at(etc / "bin" / "edgevid")
    arguments = ["service", "install", "--user", "--config", str(config), "--name", "door"]
    assert main([*arguments, "--program", str(program)]) == 0
    unit = etc / "home" / ".config" / "systemd" / "user" / "door.service"
    text = unit.read_text()
    assert "DynamicUser" not in text
    assert "PartOf" not in text
    assert "WantedBy=default.target" in text
    assert "loginctl enable-linger" in capsys.readouterr().err
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(etc))
    checked = systemd_analyze("verify", "--user", str(unit))
    assert checked.returncode == 0, checked.stderr


STRANGE = [
    "with space",
    "per%cent %h",
    "dol$lar ${HOME}",
    "semi;colon ; x",
    "ünïcode 相机",
    "-dash",
]


@pytest.mark.parametrize("name", STRANGE)
def test_systemd_finds_a_program_in_a_folder_of_any_name(name, tmp_path):
    # Where the quoting were wrong, `verify` would say that the command does not exist.
    folder = tmp_path / name
    unit = Unit(
        "edgevid", (str(program_at(folder / "edgevid")),), folder / "site.toml", folder / "e.env"
    )
    path = tmp_path / "edgevid.service"
    path.write_text(unit.text())
    checked = systemd_analyze("verify", str(path))
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_the_check_of_quoting_can_fail(tmp_path):
    program = program_at(tmp_path / "with space" / "edgevid")
    unit = Unit("edgevid", (str(program),), tmp_path / "site.toml", tmp_path / "e.env")
    path = tmp_path / "edgevid.service"
    path.write_text(unit.text().replace(quote(str(program)), str(program)))
    assert systemd_analyze("verify", str(path)).returncode != 0


@pytest.mark.parametrize("name", ['quo"te', "apo'strophe", "back\\slash"])
def test_what_systemd_would_refuse_to_start_is_refused(name, etc, capsys):
    write_site(etc)
    program = program_at(etc / name / "edgevid")
    assert main(["service", "install", "--program", str(program)]) == 2
    assert "systemd starts no program whose path has quotes" in capsys.readouterr().err
    assert not (etc / "systemd").exists()


def test_words_that_need_it_are_quoted():
    assert quote("/etc/site.toml") == "/etc/site.toml"
    assert quote('a "b" c\\d%') == '"a \\"b\\" c\\\\d%%"'
    assert quote("") == '""'


@pytest.mark.parametrize("text", ["line\nbreak", "tab\tulator", "bell\a"])
def test_a_path_that_no_unit_can_hold_is_refused(text):
    with pytest.raises(SpecError, match="cannot be said in a systemd unit"):
        quote(text)


@pytest.mark.parametrize(
    ("site", "said"),
    [
        ('model = "{model}"\n', "names no source"),
        ("[[sources]]\ncamera = 0\n", "names no model"),
        ("smoth = 1\n", "unknown key 'smoth'"),
        ("model = ", "is not a TOML file"),
        (None, "no such configuration file"),
    ],
)
def test_a_configuration_that_cannot_run_is_refused_and_nothing_is_written(etc, capsys, site, said):
    if site is not None:
        write_site(etc, site)
    assert main(["service", "install"]) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert out == ""
    assert not (etc / "systemd").exists()
    assert not (etc / "edgevid" / "edgevid.env").exists()


@pytest.mark.parametrize("name", ["", "a b", "../edgevid", "-x", "a/b", "x@"])
def test_a_name_that_is_none_is_refused(etc, capsys, name):
    write_site(etc)
    assert main(["service", "install", f"--name={name}"]) == 2
    assert "is no name of a unit" in capsys.readouterr().err


def test_a_program_that_is_none_is_refused(etc, capsys):
    write_site(etc)
    assert main(["service", "install", "--program", str(etc / "nothing")]) == 2
    assert "is no program" in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["/tmp", "/var/tmp"])
def test_a_model_below_tmp_is_refused_for_the_system(folder, etc, monkeypatch, capsys):
    monkeypatch.undo()
    site = write_site(etc, SITE.replace("{model}", f"{folder}/gesture.edgevid"))
    monkeypatch.setattr(service, "_SYSTEM_UNITS", etc / "systemd")
    assert main(["service", "install", "--config", str(site)]) == 2
    assert "the service has a /tmp of its own. Put it elsewhere" in capsys.readouterr().err
    assert not (etc / "systemd").exists()


def test_what_the_service_may_not_read_or_write_is_said(etc, capsys):
    site = write_site(etc, f'jsonl = "/srv/labels.jsonl"\nlog = "edgevid.log"\n{SITE}')
    site.parent.chmod(0o700)
    assert main(["service", "install", "--dry-run"]) == 0
    err = capsys.readouterr().err
    assert f"{site}: the service's user may not read" in err
    assert "jsonl /srv/labels.jsonl: the service may write below /var/lib/edgevid only" in err
    assert "edgevid.log" not in err


def test_what_the_group_video_may_read_the_service_may_read(tmp_path, monkeypatch):
    class Group:
        gr_name, gr_gid = "video", os.getgid()

    monkeypatch.setattr(service.grp, "getgrall", lambda: [Group])
    unit = Unit("edgevid", ("/bin/true",), tmp_path / "site.toml", tmp_path / "e.env")
    path = tmp_path / "site.toml"
    path.write_text("")
    for folder in path.parents:
        if not folder.stat().st_mode & stat.S_IXOTH:
            folder.chmod(0o755)
    path.chmod(0o640)
    assert service._closed_to(unit, path) is None
    path.chmod(0o600)
    assert service._closed_to(unit, path) == path


def test_a_relative_model_is_said_to_lie_in_the_state_folder(etc, capsys):
    write_site(etc, SITE.replace("{model}", "gesture.edgevid"))
    assert main(["service", "install", "--dry-run"]) == 0
    assert "model gesture.edgevid is relative: the service looks below /var/lib/edgevid" in (
        capsys.readouterr().err
    )


def test_where_root_is_needed_that_is_said(etc, monkeypatch, capsys):
    write_site(etc)
    (etc / "file").write_text("")
    monkeypatch.setattr(service, "_SYSTEM_UNITS", etc / "file" / "units")
    assert main(["service", "install"]) == 2
    assert "Use sudo, or --user" in capsys.readouterr().err


def test_this_program_is_found_through_its_links(etc, monkeypatch, capsys):
    # An update of the installation moves the link; the unit must follow it.
    write_site(etc)
    program_at(etc / "venv-1" / "bin" / "edgevid")
    (etc / "venv").symlink_to("venv-1")
    monkeypatch.setattr(sys, "argv", [str(etc / "venv" / "bin" / "edgevid"), "service"])
    assert main(["service", "install", "--dry-run"]) == 0
    assert f"ExecStart=:{etc}/venv/bin/edgevid run" in capsys.readouterr().out
