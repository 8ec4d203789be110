"""Files that are written whole or not at all, by one process at a time."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Literal

from edgevid.errors import OutputError

_TEMPORARY = ".tmp-"
_LOCK_NAME = ".lock"
_LOCK_WAIT_S = 60.0
_FLAGS = {"wb": os.O_CREAT | os.O_TRUNC, "ab": os.O_CREAT | os.O_APPEND}


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def open_output(path: Path, mode: Literal["wb", "ab"]) -> FileIO:
    """Open a file to write to as it comes, unbuffered.

    A named pipe that nobody reads yet is opened too, where plain `open` would wait: it takes
    what its buffer holds, and writing waits then.

    Raises:
        OSError: It cannot be opened.
    """
    try:
        # Waits for no reader of a named pipe, and means nothing for a file.
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | _FLAGS[mode], 0o666)
    except OSError as exc:
        if exc.errno != errno.ENXIO or not stat.S_ISFIFO(os.stat(path).st_mode):
            raise
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    os.set_blocking(descriptor, True)
    return FileIO(descriptor, mode)


def open_lines(path: Path) -> FileIO:
    """Open a file of lines to append to, unbuffered; a last line that was cut off is ended first.

    Raises:
        OSError: It cannot be opened.
    """
    file = open_output(path, "ab")
    try:
        size = os.fstat(file.fileno()).st_size
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode) and size:
            with path.open("rb") as before:
                before.seek(size - 1)
                if before.read(1) != b"\n":
                    file.write(b"\n")
    except BaseException:
        file.close()
        raise
    return file


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: temporary name in the same folder, then rename.

    Raises:
        OutputError: It cannot be written (permission, full disk).
    """
    write_all({path: data})


def write_all(files: Mapping[Path, bytes]) -> None:
    """Write several files, each whole, and none before all are known to fit.

    Raises:
        OutputError: One cannot be written; the others are left as they were.
    """
    ready: dict[Path, Path] = {}
    target = Path()
    try:
        for target, data in files.items():
            ready[target] = _temporary_beside(target, data)
        for target in files:
            os.replace(ready[target], target)
            del ready[target]
    except OSError as exc:
        raise OutputError(f"cannot write {target}: {exc.strerror or exc}") from None
    finally:
        for temporary in ready.values():
            temporary.unlink(missing_ok=True)


def check_target(path: Path) -> None:
    """Find out before long work that a file cannot be written after it; makes its folder.

    Raises:
        OutputError: It cannot.
    """
    try:
        _temporary_beside(path, b"").unlink(missing_ok=True)
    except OSError as exc:
        raise OutputError(f"cannot write {path}: {exc.strerror or exc}") from None


def _temporary_beside(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=_TEMPORARY, delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            # NamedTemporaryFile makes files private; a bundle is as readable as its folder.
            os.chmod(temporary, 0o644)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    return temporary


@contextmanager
def locked(folder: Path, wait_s: float = _LOCK_WAIT_S) -> Iterator[None]:
    """Keep other writers out of a folder, in this process and in others.

    The lock is the kernel's (flock on the file `.lock`, which stays): it ends with its
    holder, however that ends, so a lock that is left over never blocks.

    Args:
        folder: Made where it is missing.
        wait_s: How long to wait for another writer, in seconds.

    Raises:
        OutputError: The folder cannot be written, or another writer does not come to an end.
    """
    until = time.monotonic() + wait_s
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / _LOCK_NAME).open("ab")
    except OSError as exc:
        raise OutputError(f"cannot write to {folder}: {exc.strerror or exc}") from None
    with file:
        while not _try_lock(file.fileno(), folder):
            if time.monotonic() >= until:
                raise OutputError(
                    f"another process has been writing to {folder} for {wait_s:g} s",
                    f"End it: it holds {folder / _LOCK_NAME} open",
                )
            time.sleep(0.02)
        try:
            yield
        finally:
            # Said, not left to the closing: a child forked meanwhile shares the open file.
            fcntl.flock(file, fcntl.LOCK_UN)


def _try_lock(handle: int, folder: Path) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as exc:
        raise OutputError(f"cannot lock {folder}: {exc.strerror or exc}") from None
    return True


def remove_leftovers(folder: Path) -> None:
    """Remove what writers that were killed left in a folder; the caller holds its lock.

    Raises:
        OutputError: It cannot be removed.
    """
    for path in folder.glob(_TEMPORARY + "?" * 8):
        try:
            path.unlink(missing_ok=True)
        except OSError as exc:
            raise OutputError(f"cannot remove {path}: {exc.strerror or exc}") from None
