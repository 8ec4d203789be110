"""What is built and shipped: the wheel, the sdist, and the wheel that an sdist gives."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "edgevid": ROOT / "edgevid",
    "convert": ROOT / "convert",
    "benchmarks": ROOT / "benchmarks",
}
DATA_SUFFIXES = {".onnx", ".mp4", ".toml", ".txt", ".json", ".csv"}

pytestmark = pytest.mark.timeout(180)


def build(kind: str, source: Path, out: Path) -> Path:
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(out)]
    done = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


def tree() -> set[str]:
    """Every file that belongs to the package, as it is called once installed."""
    files = set()
    for name, folder in PACKAGES.items():
        prefix = "edgevid" if name == "edgevid" else f"edgevid/{name}"
        for path in folder.rglob("*"):
            relative = path.relative_to(folder)
            if "__pycache__" in path.parts or path.is_dir():
                continue
            if name == "edgevid" and relative.parts[0] in ("convert", "benchmarks"):
                continue
            if path.suffix == ".py" or path.name == "py.typed" or path.suffix in DATA_SUFFIXES:
                files.add(f"{prefix}/{relative.as_posix()}")
    return files


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {n for n in archive.namelist() if ".dist-info/" not in n}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the tree: building leaves folders behind."""
    copy = tmp_path_factory.mktemp("checkout") / "edgevid"
    leave_out = shutil.ignore_patterns(".*", "out", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=leave_out)
    return copy


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory):
    return build("wheel", checkout, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(checkout, tmp_path_factory):
    return build("sdist", checkout, tmp_path_factory.mktemp("sdist"))


def test_the_wheel_holds_exactly_the_packages_and_their_data(wheel):
    assert contents(wheel) == tree()


def test_the_wheel_is_light(wheel):
    assert wheel.stat().st_size < 2_500_000
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (n for n in archive.namelist() if n.endswith("METADATA"))
        lines = archive.read(metadata).decode().splitlines()
    required = {
        line.split(":")[1].split(";")[0].strip().split(">")[0].split("<")[0]
        for line in lines
        if line.startswith("Requires-Dist") and "extra ==" not in line
    }
    assert required == {
        "av", "click", "numpy", "onnxruntime", "opencv-python", "pydantic", "rich", "tomli",
        "typing-extensions",
    }  # fmt: skip


def test_the_sdist_builds_the_same_wheel(sdist, wheel, tmp_path):
    with tarfile.open(sdist) as archive:
        names = {m.name.split("/", 1)[1] for m in archive.getmembers() if "/" in m.name}
        archive.extractall(tmp_path, filter="data")
    assert {"LICENSE", "README.md", "convert/workflow.py", "benchmarks/demo_model.py"} <= names
    kit = {f"jetson/{p.name}" for p in (ROOT / "jetson").iterdir() if p.is_file()}
    assert "jetson/install.sh" in kit <= names
    (source,) = (p for p in tmp_path.iterdir() if p.is_dir())
    assert contents(build("wheel", source, tmp_path / "out")) == contents(wheel)


def test_the_installed_wheel_works_without_the_repository(wheel, tmp_path):
    target = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    subprocess.run([*command, "--target", str(target), str(wheel)], check=True, timeout=60)
    code = (
        "import edgevid, edgevid.convert, edgevid.benchmarks, edgevid.demo, sys;"
        "assert edgevid.demo.MODEL.is_file(), edgevid.demo.MODEL;"
        "from edgevid.cli import main; sys.exit(main(['--version']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60,
        env={"PYTHONPATH": str(target), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "edgevid, version" in done.stdout
