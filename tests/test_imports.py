"""Every module imports where the optional packages are missing."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

import edgevid

OPTIONAL = (
    "torch",
    "tensorrt",
    "tensorrt_rtx",
    "pycuda",
    "cuda",
    "onnx",
    "onnxscript",
    "onnxslim",
    "openvino",
    "psutil",
)

_SCRIPT = """
import importlib, sys

blocked = set(sys.argv[1].split(","))

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

sys.meta_path.insert(0, Block())
failed = []
for name in sys.argv[2].split(","):
    try:
        importlib.import_module(name)
    except Exception as exc:
        failed.append(f"{name}: {type(exc).__name__}: {exc}")
print("\\n".join(failed))
"""


def every_module() -> list[str]:
    """Names of all modules of the package, without importing any but `edgevid`."""
    found = pkgutil.walk_packages(edgevid.__path__, "edgevid.")
    return sorted(module.name for module in found if not module.name.endswith("__main__"))


def failures(blocked: tuple[str, ...], modules: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, ",".join(blocked), ",".join(modules)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_the_walk_sees_the_mapped_packages():
    modules = every_module()
    assert {"edgevid.convert", "edgevid.benchmarks", "edgevid.cli.doctor"} <= set(modules)
    assert len(modules) > 25


def test_every_module_imports_without_the_optional_packages():
    assert failures(OPTIONAL, every_module()) == ""


def test_the_block_does_block():
    assert "blocked: json" in failures(("json",), ["edgevid.manifest"])


@pytest.mark.parametrize("package", ["cv2", "av", "onnxruntime"])
def test_the_command_line_starts_without_a_heavy_package(package):
    # `edgevid doctor` must be able to say that it is missing.
    assert failures((package,), ["edgevid.cli", "edgevid.cli.doctor", "edgevid.device"]) == ""
