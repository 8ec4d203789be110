"""`edgevid doctor --fix`: a script of commands for each board, for people to read and run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import edgevid.cli.doctor as doctor
from edgevid.cli import main
from edgevid.device import Check, Report, diagnose, fix_script

ROOTS = Path(__file__).parents[1] / "data" / "roots"
NANO = "orin-nano-jetpack-6.2"
AGX = "agx-orin-jetpack-6.1"
THOR = "thor-jetpack-7.0"
PC = "pc-without-gpu"
TREES = [NANO, AGX, "orin-nx-jetpack-6.1", THOR, "thor-jetpack-7.2", PC]

ORIN = {"tensorrt": "10.3.0", "cuda-python": "12.6.2", "onnx": "1.17.0", "onnxslim": "0.1.60"}


def script(machine) -> str:
    return fix_script(diagnose(machine), machine)


def commands(text: str) -> list[str]:
    """What would run."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def without(name: str, packages: dict[str, str] = ORIN) -> dict[str, str]:
    return {key: value for key, value in packages.items() if key != name}


def broken(text: str) -> Exception:
    return ImportError(text)


@pytest.mark.parametrize("tree", TREES)
def test_every_script_is_one_that_a_shell_reads(machine, tree):
    for packages in ({}, ORIN):
        text = script(machine(tree, packages))
        assert text.startswith("# ")
        checked = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("tree", TREES)
def test_every_command_is_told_in_words_too(machine, tree):
    for check in diagnose(machine(tree)).checks:
        for command in check.commands:
            assert command in check.mend or command.startswith("sed -i"), check


def test_a_board_that_lacks_nothing_is_left_alone(machine):
    text = script(machine(NANO, ORIN, gstreamer=True))
    assert "# Nothing is missing.\n" in text
    assert commands(text) == []
    # Full speed is a choice.
    assert re.search(r"^#sudo nvpmodel -m 2 +# power mode: 25W", text, re.MULTILINE)
    assert re.search(r"^#sudo jetson_clocks +# CPU clocks", text, re.MULTILINE)


def test_a_freshly_flashed_orin(machine, tmp_path):
    text = script(machine(AGX, prefix=tmp_path / "my venv"))
    python = f"'{tmp_path}/my venv/bin/python'"
    gstreamer = "gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav"
    assert commands(text) == [
        "sudo apt update",
        "sudo apt install nvidia-jetpack",
        f"sudo apt install gstreamer1.0-tools {gstreamer}",
        f"{python} -m pip install 'cuda-python<13'",
        f"{python} -m pip install onnx onnxslim",
    ]
    # Two gaps that one command closes: told twice, done once.
    assert "# CUDA: not found\n" in text
    assert "# tensorrt: not installed\n# closed by a command above\n" in text


def test_an_environment_that_does_not_see_jetpacks_tensorrt(machine, tmp_path):
    text = script(machine(NANO, without("tensorrt"), gstreamer=True, prefix=tmp_path))
    assert commands(text) == [
        "sudo apt update",
        "sudo apt install python3-libnvinfer",
        f"sed -i '/^include-system-site-packages/s/false/true/' {tmp_path}/pyvenv.cfg",
    ]
    # The last does what it says.
    config = tmp_path / "pyvenv.cfg"
    config.write_text("home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.10\n")
    subprocess.run(commands(text)[-1], shell=True, check=True)
    assert "include-system-site-packages = true\n" in config.read_text()


@pytest.mark.parametrize(
    ("tree", "packages", "expected"),
    [
        (NANO, without("cuda-python"), ["pip install 'cuda-python<13'"]),
        (NANO, {**ORIN, "cuda-python": "13.0.1"}, ["pip install 'cuda-python<13'"]),
        (NANO, without("onnxslim"), ["pip install onnxslim"]),
        (NANO, {**ORIN, "tensorrt": "8.6.2"}, []),
    ],
)
def test_gaps_of_python_packages(machine, tree, packages, expected):
    made = machine(tree, packages, gstreamer=True)
    found = [c.split(" -m ")[1] for c in commands(script(made))]
    assert found == expected


def test_what_no_command_mends_is_a_comment(machine):
    text = script(machine(NANO, {**ORIN, "tensorrt": "8.6.2"}, gstreamer=True))
    assert "# tensorrt: 8.6.2: edgevid needs 10.3 or newer\n# by hand: Flash JetPack" in text
    # On a Jetson, TensorRT never comes from pip.
    assert "edgevid[tensorrt]" not in text


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("numpy.core.multiarray failed to import", "pip install 'numpy<2'"),
        ("libGL.so.1: cannot open shared object file", "sudo apt install libgl1"),
        ("undefined symbol", "pip install --force-reinstall opencv-python"),
    ],
)
def test_an_opencv_that_does_not_import(machine, error, expected):
    made = machine(NANO, ORIN, gstreamer=True, broken={"cv2": broken(error)})
    assert commands(script(made))[-1].endswith(expected)


def test_a_tensorrt_without_the_dlas_library(machine, tmp_path):
    root = shutil.copytree(ROOTS / NANO, tmp_path / "tree")
    (root / "usr/lib/aarch64-linux-gnu/nvidia/libnvdla_compiler.so").unlink()
    text = script(machine(root, ORIN, gstreamer=True))
    assert commands(text) == ["sudo apt update", "sudo apt install nvidia-l4t-dla-compiler"]
    assert diagnose(machine(root, ORIN)).usable_engines == ("onnxruntime",)


def test_a_camera_that_the_user_may_not_open(machine):
    made = machine(NANO, ORIN, gstreamer=True, may_open=lambda _: False)
    assert commands(script(made)) == ["sudo usermod -aG video $USER"]


def test_a_pc(machine):
    text = script(machine(PC, gstreamer=True))
    assert [c.split(" -m ")[1] for c in commands(text)] == ["pip install onnx onnxslim"]
    assert re.search(r"^#.*-m pip install 'edgevid\[openvino\]'", text, re.MULTILINE)
    assert "jetson" not in " ".join(commands(text))


def test_names_of_devices_cannot_become_commands():
    check = Check("cameras", "warning", "/dev/video0 x\nrm -rf ~", "mend\nit", commands=("true",))
    assert commands(fix_script(Report({"video": (check,)}))) == ["true"]
    by_hand = Check("x", "warning", "y", "Flash\nit; rm -rf ~")
    assert commands(fix_script(Report({"video": (by_hand,)}))) == []


def test_the_command_prints_the_script_alone_and_runs_nothing(monkeypatch, capsys, tmp_path):
    witness = tmp_path / "ran"
    gap = Check("thing", "missing", "not there", "touch it", commands=(f"touch {witness}",))
    monkeypatch.setattr(doctor, "diagnose", lambda: Report({"video": (gap,)}))
    target = tmp_path / "d.json"
    assert main(["doctor", "--fix", "--json", str(target)]) == 0
    out, err = capsys.readouterr()
    assert (
        out == f"# \n\n# thing: not there\ntouch {witness}\n\n# Then look again: edgevid doctor\n"
    )
    assert err == ""
    assert not witness.exists()
    assert json.loads(target.read_text())["checks"][0]["commands"] == [f"touch {witness}"]
    assert main(["doctor", "--fix", "--json", "-"]) == 2
    assert "--fix and --json - both print" in capsys.readouterr().err


def test_the_document_shows_what_is_printed(machine):
    text = (ROOTS.parents[2] / "docs" / "doctor.md").read_text()
    (shown,) = re.findall(r"^```\n(# NVIDIA.*?)^```$", text, re.MULTILINE | re.DOTALL)
    made = machine(NANO, {"onnxruntime": "1.22.0"}, prefix=Path("/opt/edgevid/venv"))
    assert script(made) == shown
