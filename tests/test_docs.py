"""What the documents say is true: their commands run, their links and options exist.

A fenced block marked `console` holds commands (`$ ...`) that are run, document by document, in a
folder where the repository's files are at hand. One marked `text` is not run (it needs a camera,
a network or an installation); its `edgevid` options must still exist.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import click
import pytest

from edgevid.cli import cli
from edgevid.spec import ClipSpec, InputSpec, OutputSpec

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])
NAMES = [d.relative_to(ROOT).as_posix() for d in DOCUMENTS]


def blocks(document: Path, *languages: str) -> list[str]:
    found = re.findall(r"^```(\w+)\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(body) for language, body in found if language in languages]


def commands(document: Path) -> list[str]:
    lines = "\n".join(blocks(document, "console")).replace("\\\n", " ").splitlines()
    return [line[2:] for line in lines if line.startswith("$ ")]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """A folder with the repository's files, the demo bundle, and the real data beside it."""
    folder = tmp_path_factory.mktemp("docs") / "edgevid"
    folder.mkdir()
    for path in ROOT.iterdir():
        if not path.name.startswith(".") and path.name not in ("out", "build", "dist"):
            (folder / path.name).symlink_to(path)
    shared = ROOT.parent / "shared"
    if shared.is_dir():
        (folder.parent / "shared").symlink_to(shared)
    demo = "edgevid/demo"
    made = ["convert", f"{demo}/model.onnx", "--spec", f"{demo}/spec.toml", "--out", "demo.edgevid"]
    run([sys.executable, "-m", "edgevid", *made], folder)
    return folder


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=110, cwd=folder,
        env=os.environ | {"XDG_CACHE_HOME": str(folder / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [n for n in NAMES if commands(ROOT / n)])
def test_commands_run(name, sandbox):
    if "../shared" in (ROOT / name).read_text() and not (sandbox.parent / "shared").exists():
        pytest.skip("the document's commands need the shared test data")
    for command in commands(ROOT / name):
        words = shlex.split(command)
        if words[:2] == ["python", "-m"]:
            words[0] = sys.executable
        elif words[0] == "edgevid":
            words[:1] = [sys.executable, "-m", "edgevid"]
            if words[3] == "convert" and "--force" not in words:
                words.append("--force")
        else:
            pytest.fail(f"{name}: no test knows how to run {command!r}")
        output = run(words, sandbox)
        assert output or "--json" in command or "convert" in command


@pytest.mark.parametrize("name", [n for n in NAMES if blocks(ROOT / n, "python")])
def test_programs_run(name, sandbox):
    for body in blocks(ROOT / name, "python"):
        assert run([sys.executable, "-c", body], sandbox)


@pytest.mark.parametrize("name", [n for n in NAMES if blocks(ROOT / n, "toml")])
def test_every_key_of_a_spec_exists(name):
    from edgevid.convert.merge import ModelTable
    from edgevid.convert.spec_file import read_spec

    tables = {"inputs": InputSpec, "outputs": OutputSpec, "models": ModelTable}
    for number, body in enumerate(blocks(ROOT / name, "toml")):
        if "model" in tomllib.loads(body):  # a configuration of `edgevid run`
            continue
        said = tomllib.loads(body) | {"labels": ["a", "b"]}
        if isinstance(said.get("states"), str):  # a file that the example does not come with
            del said["states"]
        if isinstance(said.get("states"), str):
            del said["states"]  # a file of the reader's
        assert read_spec(said, labels=None, preset=None).labels == ("a", "b")
        assert set(said.get("clip", {})) <= set(ClipSpec.model_fields), f"{name}, example {number}"
        for table, model in tables.items():
            for keys in said.get(table, []):
                assert set(keys) <= set(model.model_fields), f"{name}, example {number}"


@pytest.mark.parametrize("name", [n for n in NAMES if blocks(ROOT / n, "toml")])
def test_every_key_of_a_configuration_exists(name, tmp_path):
    from edgevid.cli._config import read_config
    from edgevid.cli.run import command

    for body in blocks(ROOT / name, "toml"):
        if "model" in (said := tomllib.loads(body)):
            path = tmp_path / "site.toml"
            path.write_text(body)
            assert len(read_config(path, command).values) == len(said) - ("sources" in said)


def options_of(command: str) -> set[str]:
    found = cli.get_command(click.Context(cli), command)
    assert found is not None, f"no command {command!r}"
    parts = [found, *found.commands.values()] if isinstance(found, click.Group) else [found]
    params = [p for part in parts for p in part.params]
    return {name for p in params for name in (*p.opts, *p.secondary_opts)} | {"--help"}


@pytest.mark.parametrize("name", NAMES)
def test_every_option_and_make_target_named_exists(name):
    text = (ROOT / name).read_text()
    commands = "|".join(cli.list_commands(click.Context(cli)))
    for line in re.findall(rf"(?:^|`|\$ )(edgevid (?:{commands})\b[^`\n]*)", text):
        words = line.split()
        for option in (w.split("=")[0] for w in words[2:] if re.fullmatch(r"--[a-z][\w-]*.*", w)):
            assert option in options_of(words[1]), f"{name}: {line}"
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for target in re.findall(r"`make ([a-z-]+)`", text):
        assert target in targets


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name):
    document = ROOT / name
    for target in re.findall(r"\]\((?!https?://|#)([^)#\s]+)", document.read_text()):
        assert (document.parent / target).exists(), f"{name}: {target}"


@pytest.mark.parametrize("name", NAMES)
def test_no_document_holds_a_placeholder_or_a_path_of_one_machine(name):
    text = (ROOT / name).read_text()
    assert not re.search(r"\b(TODO|FIXME|XXX|FIGURE|MINUTES)\b", text)
    assert not re.search(r"(?<![\w.])/(work|farm|root|home/\w+)/", text)
