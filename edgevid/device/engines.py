"""Which inference engines the machine could use."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from edgevid.device.gpu import read_cuda, read_gpus
from edgevid.device.jetson import is_jetson, lacks_dla_compiler, read_l4t
from edgevid.device.machine import ROOT, Check, Machine
from edgevid.device.software import failed_import

_OLDEST_TENSORRT = (10, 3)
_OLDEST_SM = 75
"""TensorRT 10's oldest GPU generation is Turing (its support matrix)."""


def read_libnvinfer(root: Path = ROOT) -> str | None:
    """Version of the system's TensorRT library, from its file name; None where there is none."""
    folders = ("usr/lib", "usr/lib/*-linux-gnu", "usr/local/lib", "usr/local/cuda/targets/*/lib")
    versions = [
        tuple(int(part) for part in match[1].split("."))
        for folder in folders
        for path in root.glob(f"{folder}/libnvinfer.so.*")
        if (match := re.fullmatch(r"libnvinfer\.so\.(\d+\.\d+\.\d+)", path.name))
    ]
    return ".".join(str(part) for part in max(versions)) if versions else None


def check_onnxruntime(machine: Machine) -> Check:
    """ONNX Runtime, the engine that needs nothing else."""
    name = "onnxruntime"
    try:
        runtime = machine.load("onnxruntime")
        providers = runtime.get_available_providers()
    except Exception as exc:  # a broken binary package may raise anything when imported
        return failed_import(name, name, name, "running models", exc)
    # Azure is a remote service that every wheel lists; it is no engine of this machine.
    used = [p.removesuffix("ExecutionProvider") for p in providers if not p.startswith("Azure")]
    value = f"{runtime.__version__} ({', '.join(used)})"
    if "CPU" not in used:
        mend = "pip install --force-reinstall onnxruntime"
        value = f"{value}: no CPU provider"
        return Check(name, "warning", value, mend, required=True, commands=(mend,))
    return Check(name, "ok", value, required=True)


def check_onnxruntime_cuda(machine: Machine) -> Check:
    """ONNX Runtime's CUDA provider: for NVIDIA GPUs, from the graph as it is."""
    return _check_provider(machine, "onnxruntime-cuda", "CUDAExecutionProvider")


def check_onnxruntime_tensorrt(machine: Machine) -> Check:
    """ONNX Runtime's TensorRT provider: needs TensorRT's libraries too."""
    return _check_provider(machine, "onnxruntime-tensorrt", "TensorrtExecutionProvider")


def _check_provider(machine: Machine, name: str, provider: str) -> Check:
    try:
        providers = machine.load("onnxruntime").get_available_providers()
    except Exception:  # told by check_onnxruntime
        providers = []
    if provider not in providers:
        return Check(name, "info", "not in this onnxruntime; onnxruntime-gpu has it")
    gpus = read_gpus(machine)
    return Check(name, "ok" if gpus else "info", gpus[0].name if gpus else "no NVIDIA GPU")


def check_openvino(machine: Machine) -> Check:
    """OpenVINO: often the fastest on an x86 CPU."""
    version = machine.version("openvino")
    if version is not None:
        return Check("openvino", "ok", f"{version} (CPU)")
    mend = "pip install 'edgevid[openvino]'"
    return Check("openvino", "info", "not installed", mend, commands=(mend,))


def check_tensorrt(machine: Machine) -> Check:
    """TensorRT: its Python module and its library."""
    module = machine.version("tensorrt")
    library = read_libnvinfer(machine.root)
    if module is None:
        return _tensorrt_absent(machine, library)
    if _release(module) < _OLDEST_TENSORRT:
        value = f"{module}: edgevid needs 10.3 or newer"
        if is_jetson(machine):
            return Check("tensorrt", "warning", value, "Flash JetPack 6.1 or newer")
        mend = "pip install --upgrade 'edgevid[tensorrt]'"
        return Check("tensorrt", "warning", value, mend, commands=(mend,))
    if library is not None and _release(library)[0] != _release(module)[0]:
        value = f"module {module} but library {library}"
        mend = "Keep one: install the module of the library's version"
        return Check("tensorrt", "warning", value, mend)
    if lacks_dla_compiler(machine.root):
        value = f"{module} needs libnvdla_compiler.so to import, which is not there"
        mend = "sudo apt install nvidia-l4t-dla-compiler"
        return Check("tensorrt", "missing", value, mend, commands=(mend,))
    value = module if library is None else f"{module} (library {library})"
    return _with_gpu("tensorrt", value, machine)


def _tensorrt_absent(machine: Machine, library: str | None) -> Check:
    if is_jetson(machine):
        if library is None:
            mend = "sudo apt install nvidia-jetpack"
            return Check("tensorrt", "missing", "not installed", mend, commands=(mend,))
        value = f"library {library}, but no Python module here"
        install = "sudo apt install python3-libnvinfer"
        if not machine.in_venv:
            return Check("tensorrt", "missing", value, install, commands=(install,))
        mend = f"{install}, and make the virtual environment with --system-site-packages"
        commands = (install, _see_system_packages(machine))
        return Check("tensorrt", "missing", value, mend, commands=commands)
    if read_gpus(machine):
        install = "pip install 'edgevid[tensorrt,cuda]'"
        mend = f"For the GPU: {install}"
        return Check("tensorrt", "missing", "not installed", mend, commands=(install,))
    return Check("tensorrt", "info", "not installed; of use with an NVIDIA GPU only")


def _see_system_packages(machine: Machine) -> str:
    """Open a virtual environment to the system's packages, as --system-site-packages would have."""
    settings = shlex.quote(str(machine.prefix / "pyvenv.cfg"))
    return f"sed -i '/^include-system-site-packages/s/false/true/' {settings}"


def check_tensorrt_rtx(machine: Machine) -> Check:
    """TensorRT-RTX: engines for GeForce RTX and later GPUs, built on any x86 machine."""
    version = machine.version("tensorrt-rtx")
    if version is not None:
        return _with_gpu("tensorrt-rtx", version, machine)
    if machine.arch not in ("x86_64", "AMD64"):
        return Check("tensorrt-rtx", "info", f"does not exist for {machine.arch}")
    install = "pip install 'edgevid[tensorrt-rtx]'"
    mend = f"To build plans for RTX GPUs: {install}"
    return Check("tensorrt-rtx", "info", "not installed", mend, commands=(install,))


def _with_gpu(name: str, version: str, machine: Machine) -> Check:
    gpus = read_gpus(machine)
    if not gpus:
        return Check(name, "info", f"{version}: builds plans here, runs none (no NVIDIA GPU)")
    sm = gpus[0].sm
    if sm is not None and sm < _OLDEST_SM:
        return Check(name, "warning", f"{version} does not support this GPU (sm_{sm})")
    return Check(name, "ok", f"{version} on {f'sm_{sm}' if sm else gpus[0].name}")


def check_cuda_bindings(machine: Machine) -> Check:
    """cuda-python or pycuda, which the TensorRT engines hand frames over with."""
    python = machine.version("cuda-python") or machine.version("cuda-bindings")
    pycuda = machine.version("pycuda")
    found = [f"cuda-python {python}"] * bool(python) + [f"pycuda {pycuda}"] * bool(pycuda)
    # A Jetson's driver comes with its CUDA; bindings of a newer major need a newer driver.
    cuda = _cuda_of_jetson(machine) if is_jetson(machine) else None
    limit = _release(cuda)[0] + 1 if cuda else None
    install = f"pip install 'cuda-python<{limit}'" if limit else "pip install 'edgevid[cuda]'"
    if not found:
        if read_gpus(machine):
            value = "neither cuda-python nor pycuda"
            mend = f"For TensorRT: {install}"
            return Check("CUDA bindings", "missing", value, mend, commands=(install,))
        return Check("CUDA bindings", "info", "not installed; of use with an NVIDIA GPU only")
    value = ", ".join(found)
    if python and not pycuda and limit and _release(python)[0] >= limit:
        value = f"{value} is too new for CUDA {cuda}"
        return Check("CUDA bindings", "warning", value, install, commands=(install,))
    return Check("CUDA bindings", "ok", value)


def _cuda_of_jetson(machine: Machine) -> str | None:
    """The CUDA that is installed, or that the board's JetPack would install."""
    found = read_cuda(machine.root)
    l4t = read_l4t(machine.root)
    if found is not None or l4t is None:
        return found
    return "13.0" if _release(l4t)[0] >= 38 else "12.6"


def _release(version: str) -> tuple[int, ...]:
    """The leading two numbers of a version."""
    match = re.match(r"(\d+)(?:\.(\d+))?", version)
    if match is None:
        raise ValueError(f"{version!r} is no version")
    return int(match[1]), int(match[2] or 0)
