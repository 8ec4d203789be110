"""Where the facts of a machine come from: its files, Python packages and commands.

Every reader takes the root folder as a parameter, so a recorded tree stands for a board.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

State = Literal["ok", "missing", "warning", "info"]

ROOT = Path("/")


@dataclass(frozen=True)
class Check:
    """One fact about the machine.

    Attributes:
        name: What was looked at.
        state: `ok`; `missing`: absent, and something needs it; `warning`: there, but wrong or
            unreadable; `info`: a fact without judgement.
        value: What was found, for people.
        mend: How to close the gap, one sentence; empty where there is none.
        required: The default path (files through PyAV, ONNX Runtime on the CPU) needs it.
        commands: What of the mend a shell can do, in order; none where it is work for hands.
    """

    name: str
    state: State
    value: str
    mend: str = ""
    required: bool = False
    commands: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # Names and contents of system files go to a terminal: one line, nothing unprintable.
        printable = "".join(c if c.isprintable() else " " for c in self.value)
        object.__setattr__(self, "value", " ".join(printable.split()))

    @property
    def blocks(self) -> bool:
        """True where the default path cannot work."""
        return self.required and self.state in ("missing", "warning")


def read_text(path: Path) -> str | None:
    """Text of a system file, surrounding space removed; None where there is no such file.

    Bytes that are no UTF-8 are replaced: no reader fails on an odd character.

    Raises:
        OSError: The file is there but cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8", errors="replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_number(path: Path) -> int:
    """The whole number that a system file holds.

    Raises:
        OSError: There is no such file, it cannot be read, or it holds something else.
    """
    try:
        return int(path.read_bytes())
    except ValueError:
        raise OSError(f"{path} holds no number") from None


def installed_version(distribution: str) -> str | None:
    """Version of an installed Python distribution, not imported; None where there is none."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


@lru_cache(maxsize=16)
def run_command(command: tuple[str, ...]) -> str | None:
    """What a command prints; None where it is not installed, fails or takes over 10 s."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def may_open(path: Path) -> bool:
    """True where this user may read and write the device file."""
    return os.access(path, os.R_OK | os.W_OK)


@dataclass(frozen=True)
class Machine:
    """A machine to examine; the default is the one this process runs on.

    Attributes:
        root: Folder that holds its `proc`, `sys`, `etc`, `usr` and `var`.
        arch: As `platform.machine()` gives it.
        python: Version of the interpreter.
        in_venv: The interpreter is that of a virtual environment.
        prefix: Folder of the environment that Python packages are installed in.
        version: Distribution name to installed version.
        load: Imports a module by name.
        run: Runs a command and gives its output.
        may_open: Tells whether a device file may be read and written.
    """

    root: Path = ROOT
    arch: str = field(default_factory=platform.machine)
    python: tuple[int, int, int] = sys.version_info[:3]
    in_venv: bool = sys.prefix != sys.base_prefix
    prefix: Path = Path(sys.prefix)
    version: Callable[[str], str | None] = installed_version
    load: Callable[[str], Any] = importlib.import_module
    run: Callable[[tuple[str, ...]], str | None] = run_command
    may_open: Callable[[Path], bool] = may_open
