"""A bundle is written whole, or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgevid.convert.bundle import check_out, staged
from edgevid.errors import OutputError
from edgevid.manifest import MANIFEST_NAME


def _bundle(path: Path, content: bytes = b"old") -> Path:
    path.mkdir()
    (path / MANIFEST_NAME).write_bytes(content)
    return path


def _interrupted(out: Path, force: bool, error: type[BaseException]) -> None:
    with staged(out, force) as staging:
        staging.write(MANIFEST_NAME, b"new")
        raise error


def test_files_appear_together_under_the_final_name(tmp_path: Path) -> None:
    out = tmp_path / "m.edgevid"
    with staged(out, force=False) as staging:
        staging.add("engines/a.plan", b"plan", "plan", "a")
        staging.write(MANIFEST_NAME, b"{}")
        assert not out.exists()
    assert (out / "engines/a.plan").read_bytes() == b"plan"
    assert [p.name for p in tmp_path.iterdir()] == ["m.edgevid"]
    assert out.stat().st_mode & 0o777 == 0o755
    assert staging.artifacts[0].key == "a"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_whatever_ends_the_block_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error):
        _interrupted(tmp_path / "m.edgevid", False, error)
    assert list(tmp_path.iterdir()) == []


def test_an_old_bundle_is_replaced_only_by_force(tmp_path: Path) -> None:
    out = _bundle(tmp_path / "m.edgevid")
    with pytest.raises(OutputError, match=r"m\.edgevid exists.*--force"):
        check_out(out, force=False)
    with staged(out, force=True) as staging:
        staging.write(MANIFEST_NAME, b"new")
    assert (out / MANIFEST_NAME).read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["m.edgevid"]


def test_an_old_bundle_survives_a_failure(tmp_path: Path) -> None:
    out = _bundle(tmp_path / "m.edgevid")
    with pytest.raises(KeyboardInterrupt):
        _interrupted(out, True, KeyboardInterrupt)
    assert (out / MANIFEST_NAME).read_bytes() == b"old"


@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_bundle_is_never_replaced(tmp_path: Path, force: bool) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "cat.jpg").write_bytes(b"cat")
    file = tmp_path / "notes.txt"
    file.write_bytes(b"notes")
    for out in (folder, file):
        with pytest.raises(OutputError, match="exists and is not a bundle"):
            check_out(out, force)
    assert (folder / "cat.jpg").exists()


def test_a_folder_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "m.edgevid"
    writing = staged(out, force=False)
    writing.__enter__().write(MANIFEST_NAME, b"mine")
    _bundle(out, b"theirs")
    with pytest.raises(OutputError, match="exists"):
        writing.__exit__(None, None, None)
    assert (out / MANIFEST_NAME).read_bytes() == b"theirs"


def test_a_missing_folder_and_one_that_refuses(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no folder"):
        check_out(tmp_path / "none" / "m.edgevid", force=False)
    # /proc takes no new folders, not even root's.
    with (
        pytest.raises(OutputError, match=r"cannot write /proc/m\.edgevid"),
        staged(Path("/proc/m.edgevid"), force=False),
    ):
        pytest.fail("the block must not be entered")


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """A limit on file size stands in for the end of the disk: write fails half-way."""
    script = """
import resource, sys
from pathlib import Path
from edgevid.convert.bundle import staged
from edgevid.errors import OutputError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with staged(Path(sys.argv[1]), force=False) as staging:
        staging.write("small", b"x" * 50_000)
        staging.write("model.onnx", b"x" * 200_000)
except OutputError as exc:
    print(exc)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "m.edgevid")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "cannot write" in done.stdout
    assert "File too large" in done.stdout
    assert list(tmp_path.iterdir()) == []
