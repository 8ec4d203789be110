"""Facts of the GPU: name, compute capability, driver, CUDA."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from edgevid.device.jetson import is_jetson, read_board, read_packages
from edgevid.device.machine import ROOT, Check, Machine, read_text

_SMI = ("nvidia-smi", "--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader")


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU.

    Attributes:
        name: As the driver or the device tree names it.
        sm: Compute capability times ten (87 is 8.7); None where unknown.
        driver: Version of the kernel driver; None where unknown.
    """

    name: str
    sm: int | None
    driver: str | None

    def __str__(self) -> str:
        facts = [f"sm_{self.sm}" if self.sm else "compute capability unknown"]
        if self.driver:
            facts.append(f"driver {self.driver}")
        return f"{self.name} ({', '.join(facts)})"


def read_driver(root: Path = ROOT) -> str | None:
    """Version of the loaded NVIDIA kernel driver; None where none is loaded."""
    text = read_text(root / "proc/driver/nvidia/version")
    match = re.search(r"Kernel Module.*?\s(\d+\.\d[\d.]*)\s", text or "")
    return match[1] if match else None


def parse_smi(text: str) -> tuple[Gpu, ...]:
    """GPUs from `nvidia-smi --query-gpu=name,compute_cap,driver_version --format=csv,noheader`.

    A Jetson's nvidia-smi leaves out what it does not know ("N/A").
    """
    gpus = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 3 and fields[0]:
            capability = re.fullmatch(r"(\d+)\.(\d)", fields[1])
            driver = fields[2] if re.fullmatch(r"[\d.]+", fields[2]) else None
            sm = int(capability[1] + capability[2]) if capability else None
            gpus.append(Gpu(fields[0], sm, driver))
    return tuple(gpus)


def read_gpus(machine: Machine) -> tuple[Gpu, ...]:
    """Every NVIDIA GPU: what nvidia-smi says, completed from the device tree and the driver."""
    driver = read_driver(machine.root)
    board = read_board(machine.root)
    board_sm = board.sm if board else None
    gpus = parse_smi(machine.run(_SMI) or "")
    if gpus:
        return tuple(Gpu(g.name, g.sm or board_sm, g.driver or driver) for g in gpus)
    if board is not None and board_sm is not None:
        return (Gpu(f"integrated GPU of {board.compatible[-1]}", board_sm, driver),)
    names = []
    for path in sorted((machine.root / "proc/driver/nvidia/gpus").glob("*/information")):
        match = re.search(r"^Model:\s*(.+)$", read_text(path) or "", re.MULTILINE)
        names.append(match[1].strip() if match else "NVIDIA GPU")
    return tuple(Gpu(name, None, driver) for name in names)


def read_cuda(root: Path = ROOT) -> str | None:
    """Version of the CUDA toolkit or runtime; None where there is none.

    Raises:
        ValueError: `version.json` is not of NVIDIA's form.
    """
    text = read_text(root / "usr/local/cuda/version.json")
    if text is not None:
        try:
            return str(json.loads(text)["cuda"]["version"])
        except (ValueError, KeyError, TypeError) as exc:
            raise ValueError(f"/usr/local/cuda/version.json is malformed: {exc!r}") from None
    status = read_text(root / "var/lib/dpkg/status") or ""
    names = set(re.findall(r"^Package: (cuda-cudart-\d+-\d+)$", status, re.MULTILINE))
    versions = sorted(read_packages(names, root).values())
    return versions[-1].split("-")[0] if versions else None


def check_gpu(machine: Machine) -> Check:
    """GPUs and their compute capability."""
    gpus = read_gpus(machine)
    if not gpus:
        return Check("GPU", "info", "no NVIDIA GPU found: models run on the CPU")
    value = "; ".join(str(gpu) for gpu in gpus)
    if any(gpu.sm is None for gpu in gpus):
        return Check(
            "GPU",
            "warning",
            value,
            "Make `nvidia-smi` work (reinstall the NVIDIA driver): it tells the compute capability",
        )
    return Check("GPU", "ok", value)


def check_cuda(machine: Machine) -> Check:
    """CUDA toolkit or runtime libraries."""
    cuda = read_cuda(machine.root)
    if cuda is not None:
        return Check("CUDA", "ok", cuda)
    if is_jetson(machine):
        mend = "sudo apt install nvidia-jetpack"
        return Check("CUDA", "missing", "not found", mend, commands=(mend,))
    if (machine.root / "usr/local/cuda").exists():
        return Check("CUDA", "info", "/usr/local/cuda is there; it does not say its version")
    return Check("CUDA", "info", "not installed (TensorRT's wheels bring what they need)")
