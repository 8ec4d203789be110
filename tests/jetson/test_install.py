"""`jetson/install.sh` on the file trees of boards: what it would do, does, refuses and undoes."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pip
import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "jetson" / "install.sh"
TREES = ROOT / "tests" / "data" / "roots"

pytestmark = pytest.mark.timeout(180)


def install(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(SCRIPT), "--root", str(root), *arguments],
        capture_output=True, text=True, check=False, timeout=150,
        env={**os.environ, "EDGEVID_PYTHON": sys.executable, **environment},
    )  # fmt: skip


def dry_run(root: Path, *arguments: str) -> str:
    done = install(root, "--dry-run", *arguments, EDGEVID_PYTHON="python3")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.replace(str(root), "").replace(str(ROOT), "REPO")


@pytest.fixture
def board(tmp_path) -> Callable[..., Path]:
    """A copy of a recorded tree, to change and to install into."""

    def make(tree: str) -> Path:
        root = tmp_path / "board"
        shutil.copytree(TREES / tree, root, symlinks=True)
        return root

    return make


@pytest.mark.parametrize(
    ("tree", "facts", "constraints"),
    [
        (
            "orin-nx-jetpack-6.1",
            ["JetPack 6.1 (L4T 36.4.0)", "Python 3.10", "TensorRT 10.3.0 of JetPack",
             "OpenCV of the system, built for NumPy below 2"],
            "cuda-python<13 numpy<2 tensorrt==10.3.0",
        ),
        (
            "orin-nano-jetpack-6.2",
            ["JetPack 6.2 (L4T 36.4.3)", "Python 3.10", "TensorRT 10.3.0 of JetPack",
             "OpenCV of the system, built for NumPy below 2"],
            "cuda-python<13 numpy<2 tensorrt==10.3.0",
        ),
        (
            "thor-jetpack-7.0",
            ["JetPack 7.0 (L4T 38.2.0)", "Python 3.12", "TensorRT 10.13.2.6 of JetPack",
             "OpenCV will come from PyPI: the system has none for Python"],
            "cuda-python<14 tensorrt==10.13.2.6",
        ),
        (
            "thor-jetpack-7.2",
            ["JetPack 7.2 (L4T 39.2.0)", "Python 3.12", "TensorRT 10.16.1.11 of JetPack",
             "OpenCV of the system, built for NumPy below 2"],
            "cuda-python<14 numpy<2 tensorrt==10.16.1.11",
        ),
    ],
)  # fmt: skip
def test_a_dry_run_shows_every_step_in_order(tree, facts, constraints):
    before = sorted(TREES.joinpath(tree).rglob("*"))
    lines = dry_run(TREES / tree).splitlines()
    assert lines[:4] == facts
    assert any("sudo apt install gstreamer1.0-tools" in line for line in lines) == (
        tree == "thor-jetpack-7.0"
    )
    new = r"/opt/edgevid/venv-\d{8}-\d{6}-\d+"
    pip = rf"\+ {new}/bin/python -m pip install --disable-pip-version-check --no-input"
    patterns = [
        rf"\+ python3 -m venv --system-site-packages {new}",
        rf"constraints: {re.escape(constraints)} ",
        rf"{pip} --no-deps {new}/source",
        rf"{pip} --constraint {new}/constraints.txt --requirement {new}/requirements.txt",
        r"check that the environment has no .*tensorrt of its own in place of JetPack's",
        rf"\+ {new}/bin/edgevid doctor",
        rf"\+ {new}/bin/python REPO/jetson/smoke_test.py --engine tensorrt",
        r"\+ ln -s venv-\S+ /opt/edgevid/venv.new",
        r"\+ mv -T /opt/edgevid/venv.new /opt/edgevid/venv",
        r"Nothing was changed \(--dry-run\).",
    ]
    steps = [line for line in lines[4:] if not line.startswith(("(", "Without GStreamer"))]
    for line, pattern in zip(steps, patterns, strict=True):
        assert re.fullmatch(pattern, line), (line, pattern)
    assert sorted(TREES.joinpath(tree).rglob("*")) == before


def test_without_tensorrt_it_must_be_asked_for():
    bare = TREES / "agx-orin-jetpack-6.1"
    done = install(bare, "--dry-run")
    assert done.returncode == 2
    assert "TensorRT's Python module is not installed: sudo apt install nvidia-jetpack" in (
        done.stderr
    )
    shown = dry_run(bare, "--without-tensorrt")
    assert "--system-site-packages" not in shown
    assert "constraints: cuda-python<13 \n" in shown
    assert "smoke_test.py --engine onnxruntime" in shown


Change = Callable[[Path], object]


def release(text: str) -> Change:
    return lambda root: (root / "etc/nv_tegra_release").write_text(text)


def l4t(major: int, revision: str) -> Change:
    return release(f"# R{major} (release), REVISION: {revision}, GCID: 1, BOARD: generic\n")


def without(*paths: str) -> Change:
    def remove(root: Path) -> None:
        for path in paths:
            target = root / path
            shutil.rmtree(target) if target.is_dir() else target.unlink()

    return remove


def python_is(target: str) -> Change:
    def change(root: Path) -> None:
        (root / "usr/bin/python3").unlink()
        (root / "usr/bin/python3").symlink_to(target)

    return change


REFUSED: list[tuple[Change, str]] = [
    (without("etc/nv_tegra_release", "var/lib/dpkg/status"), "this is no Jetson"),
    (l4t(36, "3.0"), "L4T 36.3.0 is JetPack 6.0, whose TensorRT is too old"),
    (l4t(35, "4.1"), "L4T 35.4.1 is older than JetPack 6; flash JetPack 6.1 or newer"),
    (l4t(41, "1.0"), "L4T 41.1.0 is not known to this script"),
    (release("garbage"), "/etc/nv_tegra_release names no release: garbage"),
    (release(""), "/etc/nv_tegra_release names no release"),
    (without("usr/bin/python3"), "/usr/bin/python3 is missing: sudo apt install python3"),
    (python_is("python3.8"), "Python 3.8; edgevid needs 3.10 or newer"),
    (python_is("pypy"), "leads to pypy, which is no Python 3"),
    (without("usr/lib/python3.10/ensurepip"), "sudo apt install python3.10-venv"),
    (without("usr/lib/python3.10/dist-packages/tensorrt-10.3.0.dist-info"), "say its version"),
    (
        without("usr/lib/aarch64-linux-gnu/nvidia/libnvdla_compiler.so"),
        "sudo apt install nvidia-l4t-dla-compiler",
    ),
    (lambda root: (root / "opt/edgevid/venv").mkdir(parents=True), "not a link that this script"),
    (lambda root: (root / "opt").write_text(""), "opt is no folder"),
]


@pytest.mark.parametrize(("change", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_a_board_that_will_not_do_is_refused_with_the_reason(board, change, said):
    root = board("orin-nano-jetpack-6.2")
    change(root)
    before = sorted(root.rglob("*"))
    done = install(root)
    assert done.returncode == 2
    assert done.stderr.startswith("install.sh: error: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert sorted(root.rglob("*")) == before


def test_a_pc_is_refused():
    done = install(TREES / "pc-without-gpu")
    assert done.returncode == 2
    assert "this is no Jetson" in done.stderr
    assert "on a PC: pip install edgevid" in done.stderr


def test_the_package_of_l4t_stands_in_for_a_missing_release_file(board):
    root = board("orin-nano-jetpack-6.2")
    (root / "etc/nv_tegra_release").unlink()
    assert dry_run(root).startswith("JetPack 6.2 (L4T 36.4.3)\n")


def test_a_package_that_was_removed_does_not_count(board):
    root = board("orin-nano-jetpack-6.2")
    status = root / "var/lib/dpkg/status"
    removed = "Package: nvidia-jetpack\nStatus: deinstall ok config-files"
    text = status.read_text()
    status.write_text(
        text.replace("Package: nvidia-jetpack\nStatus: install ok installed", removed)
    )
    assert status.read_text() != text
    assert dry_run(root).startswith("JetPack 6.2 (L4T 36.4.3)\n")
    (root / "etc/nv_tegra_release").write_text("# R36 (release), REVISION: 4.0\n")
    assert dry_run(root).startswith("JetPack 6.1 (L4T 36.4.0)\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fast"], "unknown option --fast"),
        (["--prefix"], "--prefix needs a value"),
        (["--package", "no/such.whl"], "no such file or folder: no/such.whl"),
        (["--package", "/"], "/ is not edgevid's folder"),
        (["--root", "/no/such/folder"], "no such folder: /no/such/folder"),
    ],
)
def test_wrong_arguments(arguments, said):
    done = install(TREES / "orin-nano-jetpack-6.2", *arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_full_disk_is_seen_before(tmp_path):
    # A `df` that says what a full disk's would.
    (tmp_path / "df").write_text("#!/bin/sh\necho header\necho disk 100 90 10240 90% /\n")
    (tmp_path / "df").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = install(TREES / "orin-nano-jetpack-6.2", "--dry-run", PATH=path)
    assert done.returncode == 2
    assert "10 MiB free; 1024 are needed" in done.stderr


# From here on environments are made and pip installs into them, from a folder of small wheels.


def wheel(folder: Path, name: str, version: str, needs: Sequence[str] = (), **files: str) -> None:
    """A wheel of that name; `files` are texts by path, with `__` for `/`."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    needed = "".join(f"Requires-Dist: {need}\n" for need in needs)
    extras = "".join(f"Provides-Extra: {e}\n" for e in ("convert", "cuda", "metrics", "tensorrt"))
    contents = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + extras + needed,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        **files,
    }  # fmt: skip
    record = []
    with zipfile.ZipFile(folder / f"{info.removesuffix('.dist-info')}-py3-none-any.whl", "w") as z:
        for path, text in contents.items():
            z.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
            record.append(f"{path},sha256={digest.decode()},{len(text)}")
        z.writestr(f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,"]))


STAND_IN = """
import json, os, sys
from pathlib import Path

def main():
    command = sys.argv[1]
    if os.environ.get("FAILS") == command:
        sys.exit(f"{command} fails, as asked")
    if command == "run":
        from edgevid import demo
        labels = [s["label"] for s in json.loads(demo.TRUTH.read_text())["segments"]]
        timeline = [{"label": label} for label in labels]
        said = {"engine": "stand-in", "clips": 1, "sources": [{"timeline": timeline}]}
        Path(sys.argv[sys.argv.index("--summary") + 1]).write_text(json.dumps(said))

if __name__ == "__main__":
    main()
"""
DEMO = """
from pathlib import Path
MODEL = SPEC = CLIP = Path("none")
TRUTH = Path(__file__).with_name("truth.json")
"""
NEEDS = [
    "numpy<3,>=1.24", "opencv-python<6,>=4.8", "av<19,>=15", 'tomli<3; python_version < "3.11"',
    'onnx; extra == "convert"', 'cuda-python<14,>=12.6; extra == "cuda"',
    'tensorrt<12,>=10.3; extra == "tensorrt"', 'edgevid[convert]; extra == "metrics"',
]  # fmt: skip


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> Path:
    """Each package in a version that fits and one that is too new, and a stand-in for edgevid."""
    folder = tmp_path_factory.mktemp("wheels")
    for name, versions in {
        "numpy": ["1.21.5", "1.26.4", "2.2.0"],
        "opencv-python": ["4.11.0"],
        "av": ["16.0.0", "19.0.0"],
        "tomli": ["2.0.1"],
        "onnx": ["1.18.0"],
        "cuda-python": ["12.6.2", "13.0.1"],
        "tensorrt": ["10.3.0", "10.13.0"],
    }.items():
        for version in versions:
            wheel(folder, name, version)
    truth = json.dumps({"segments": [{"label": "left"}, {"label": "right"}]})
    wheel(
        folder, "edgevid", "0.1.0", NEEDS,
        **{"edgevid/__init__.py": "", "edgevid/__main__.py": STAND_IN,
           "edgevid/demo/__init__.py": DEMO, "edgevid/demo/truth.json": truth,
           "edgevid-0.1.0.dist-info/entry_points.txt":
           "[console_scripts]\nedgevid = edgevid.__main__:main\n"},
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """A Python whose environments come without a pip of their own: that takes seconds to copy.

    `lib` beside it has this Python's pip for them.
    """
    folder = tmp_path_factory.mktemp("python")
    (folder / "lib").mkdir()
    (folder / "lib" / "pip").symlink_to(Path(pip.__file__).parent)
    (folder / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@" --without-pip\n')
    (folder / "python").chmod(0o755)
    return folder / "python"


Install = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def on(wheels, python) -> Install:
    """Install on a board from the wheels, its system's packages on the path."""

    def do(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        (site,) = root.glob("usr/lib/python3.1*/dist-packages")
        settings = {
            "EDGEVID_PYTHON": str(python),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(wheels),
            "PYTHONPATH": f"{site}:{python.parent}/lib",
        }
        package = wheels / "edgevid-0.1.0-py3-none-any.whl"
        return install(root, "--package", str(package), *arguments, **{**settings, **environment})

    return do


def installed(root: Path) -> dict[str, str]:
    """Name to version of what the environment in place has of its own."""
    (site,) = (root / "opt/edgevid/venv/lib").glob("python3*/site-packages")
    infos = (path.name.removesuffix(".dist-info") for path in site.glob("*.dist-info"))
    return dict(name.rsplit("-", 1) for name in infos)


def test_pip_brings_what_fits_jetpack_and_nothing_of_jetpacks_own(board, on):
    root = board("orin-nano-jetpack-6.2")
    done = on(root)
    assert done.returncode == 0, done.stdout + done.stderr
    found = installed(root)
    assert (found["numpy"], found["av"], found["cuda_python"]) == ("1.26.4", "16.0.0", "12.6.2")
    assert {"edgevid", "onnx"} <= set(found)
    assert not {"opencv_python", "tensorrt"} & set(found)
    assert "smoke test: 2 labels, all right" in done.stdout
    assert done.stdout.endswith(
        f"Installed: {root}/opt/edgevid/venv/bin/edgevid\n"
        f"From boot on: sudo {root}/opt/edgevid/venv/bin/edgevid service install "
        "(docs/jetson.md)\n"
    )

    # An update: a new environment takes the place of the old one, which a service may still use.
    before = (root / "opt/edgevid/venv").resolve()
    (root / "opt/edgevid/venv-20200101-000000-1").mkdir()  # of a run that was cut off
    updated = on(root)
    assert updated.returncode == 0
    assert "keeps to the old one until: systemctl restart edgevid" in updated.stdout
    after = (root / "opt/edgevid/venv").resolve()
    assert after != before
    assert set(root.glob("opt/edgevid/venv-*")) == {before, after}

    # A failing update leaves what is there in place, and nothing of its own.
    failed = on(root, FAILS="run")
    assert failed.returncode == 1
    assert "run fails, as asked" in failed.stderr
    assert failed.stderr.endswith(
        "install.sh: error: the smoke test failed; nothing was installed\n"
    )
    assert (root / "opt/edgevid/venv").resolve() == after
    assert sorted(root.glob("opt/edgevid/venv-*")) == [after]

    with (root / "opt/edgevid/.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        busy = on(root)
    assert busy.returncode == 2
    assert "another install.sh works below" in busy.stderr
    assert (root / "opt/edgevid/venv").resolve() == after


def test_without_the_systems_opencv_that_of_pypi_comes_and_numpy_is_free(board, on):
    root = board("thor-jetpack-7.0")
    done = on(root)
    assert done.returncode == 0, done.stdout + done.stderr
    found = installed(root)
    assert "constraints: cuda-python<14 tensorrt==10.13.2.6 \n" in done.stdout
    assert (found["opencv_python"], found["cuda_python"]) == ("4.11.0", "13.0.1")
    assert "tensorrt" not in found


@pytest.mark.parametrize("step", ["doctor", "convert"])
def test_a_first_install_that_fails_leaves_nothing(board, on, step):
    root = board("orin-nx-jetpack-6.1")
    before = sorted(root.rglob("*"))
    done = on(root, FAILS=step)
    assert done.returncode == 1
    assert "nothing was installed" in done.stderr
    assert sorted(p for p in root.rglob("*") if p.name not in ("opt", "__pycache__")) == before


def test_a_package_that_cannot_be_had_leaves_nothing(board, on, tmp_path):
    root = board("orin-nx-jetpack-6.1")
    done = on(root, PIP_FIND_LINKS=str(tmp_path))
    assert done.returncode == 1
    assert not (root / "opt/edgevid").exists()


def test_the_real_edgevid_installs_and_labels_the_demo(board, python):
    """Built from this folder, with the packages of this Python in place of a download."""
    root = board("agx-orin-jetpack-6.1")
    site = next(p for p in sys.path if p.endswith("site-packages"))
    before = set(ROOT.iterdir())
    done = install(
        root, "--without-tensorrt", EDGEVID_PYTHON=str(python), PYTHONPATH=site,
        PIP_NO_BUILD_ISOLATION="0", PIP_NO_INDEX="1",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "edgevid runs here" in done.stdout
    assert "smoke test: 8 labels, all right, from 117 windows" in done.stdout
    assert "smoke test: engine onnxruntime" in done.stdout
    assert set(installed(root)) >= {"edgevid"}
    assert set(ROOT.iterdir()) == before
    program = root / "opt/edgevid/venv/bin/edgevid"
    done = subprocess.run(
        [program, "service", "install", "--dry-run"],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": site},
    )  # fmt: skip
    assert f"ExecStart=:{program} run" in done.stdout
