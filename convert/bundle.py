"""Write a bundle whole or not at all.

Everything goes into a hidden folder beside the target, which takes its name in one step at
the end. Whatever ends the work early, Ctrl-C too, removes that folder.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edgevid.errors import OutputError
from edgevid.files import sha256_file
from edgevid.manifest import MANIFEST_NAME, Artifact, ArtifactKind, Stage

if TYPE_CHECKING:
    from onnx import ModelProto


def check_out(out: Path, force: bool) -> None:
    """Refuse early what could not be written in the end.

    Raises:
        OutputError: `out` exists and may not be replaced, or its folder is missing or closed.
    """
    if out.exists() or out.is_symlink():
        if not (out / MANIFEST_NAME).is_file():
            raise OutputError(f"{out} exists and is not a bundle", "Choose another name with --out")
        if not force:
            raise OutputError(
                f"{out} exists", "Replace it with --force, or choose another name with --out"
            )
    if not out.parent.is_dir():
        raise OutputError(f"cannot write {out}: no folder {out.parent}", "Make it first")
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise OutputError(
            f"cannot write {out}: no permission for {out.parent}",
            "Choose another folder with --out",
        )


class Staging:
    """A bundle in the making.

    Attributes:
        folder: Where its files lie until it is whole.
        artifacts: What was added, with hashes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.artifacts: list[Artifact] = []

    def add(
        self,
        path: str,
        data: bytes,
        kind: ArtifactKind,
        key: str | None = None,
        stage: Stage | None = None,
    ) -> Path:
        """Write one file and list it as an artifact."""
        target = self.write(path, data)
        self.artifacts.append(
            Artifact(path=path, sha256=sha256_file(target), kind=kind, key=key, stage=stage)
        )
        return target

    def add_model(
        self, path: str, model: ModelProto, kind: ArtifactKind, stage: Stage | None = None
    ) -> Path:
        """Write one graph and list it as an artifact."""
        return self.add(path, model.SerializeToString(deterministic=True), kind, stage=stage)

    def write(self, path: str, data: bytes) -> Path:
        """Write one file down to the disk."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return target


@contextmanager
def staged(out: Path, force: bool) -> Iterator[Staging]:
    """A folder to fill; it becomes `out` when the block ends without an error.

    Raises:
        OutputError: `out` may not be replaced, or cannot be written (permission, full disk).
    """
    check_out(out, force)
    folder: Path | None = None
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        # mkdtemp makes folders private; a bundle is as readable as what it stands beside.
        folder.chmod(0o755)
        yield Staging(folder)
        _sync_folder(folder)
        _put_in_place(folder, out, force)
    except OSError as exc:
        raise OutputError(
            f"cannot write {out}: {exc.strerror or exc}",
            "Free some space, or choose another place with --out",
        ) from None
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(folder: Path, out: Path, force: bool) -> None:
    check_out(out, force)
    if not out.exists():
        os.rename(folder, out)
    else:
        # A folder cannot replace a full one, so the old bundle steps aside first.
        old = Path(tempfile.mkdtemp(prefix=f".{out.name}-old-", dir=out.parent))
        try:
            os.rename(out, old / out.name)
            try:
                os.rename(folder, out)
            except BaseException:
                os.rename(old / out.name, out)
                raise
        finally:
            shutil.rmtree(old, ignore_errors=True)
    _sync_folder(out.parent)


def _sync_folder(folder: Path) -> None:
    """Make names in a folder survive a power cut, not only the files' contents."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
