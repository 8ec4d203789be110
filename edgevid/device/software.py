"""Facts of the software: Python packages, decoders, GStreamer."""

from __future__ import annotations

import re
from pathlib import Path

from edgevid._version import __version__
from edgevid.device.jetson import is_jetson
from edgevid.device.machine import ROOT, Check, Machine, State
from edgevid.device.system import read_cameras

# Name to import, distributions that bring it, what edgevid does with it.
_REQUIRED = {
    "numpy": ("numpy", ("numpy",), "arrays"),
    "OpenCV": (
        "cv2",
        ("opencv-python", "opencv-python-headless", "opencv-contrib-python"),
        "cameras and resizing",
    ),
    "PyAV": ("av", ("av",), "video files and streams"),
}
_CONVERTER = ("onnx", "onnxslim")
_CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "mjpeg", "mpeg4")
_PLUGINS = {
    "nvarguscamerasrc": "CSI cameras",
    "nvvideo4linux2": "hardware decoding",
    "nvvidconv": "hardware scaling",
}

_MEND_GSTREAMER = (
    "sudo apt install gstreamer1.0-tools gstreamer1.0-plugins-good gstreamer1.0-plugins-bad "
    "gstreamer1.0-libav"
)


def missing_plugins(root: Path = ROOT) -> tuple[str, ...]:
    """Those of NVIDIA's GStreamer plugins that a Jetson has and this system lacks."""
    folders = [*root.glob("usr/lib/*/gstreamer-1.0"), root / "usr/lib/gstreamer-1.0"]
    return tuple(
        name
        for name in _PLUGINS
        if not any((folder / f"libgst{name}.so").exists() for folder in folders)
    )


def check_edgevid(machine: Machine) -> Check:  # noqa: ARG001 - the shape of every check
    """edgevid itself."""
    return Check("edgevid", "ok", __version__)


def check_import(machine: Machine, name: str) -> Check:
    """A required package: installed, and it imports."""
    module, distributions, purpose = _REQUIRED[name]
    try:
        loaded = machine.load(module)
    except Exception as exc:  # a broken binary package may raise anything when imported
        return failed_import(name, module, distributions[0], purpose, exc)
    installed = (machine.version(distribution) for distribution in distributions)
    version = next((v for v in installed if v), getattr(loaded, "__version__", "unknown"))
    return Check(name, "ok", str(version), required=True)


def failed_import(
    name: str, module: str, distribution: str, purpose: str, error: Exception
) -> Check:
    """The check of a required package whose import raised `error`."""
    if isinstance(error, ModuleNotFoundError) and error.name == module:
        value = f"not installed; needed for {purpose}"
        mend = f"pip install {distribution}"
        return Check(name, "missing", value, mend, required=True, commands=(mend,))
    reason = " ".join(str(error).split()) or type(error).__name__
    value = f"does not import: {reason}"
    mend, commands = _mend_import(reason, distribution)
    return Check(name, "warning", value, mend, required=True, commands=commands)


def _mend_import(reason: str, distribution: str) -> tuple[str, tuple[str, ...]]:
    """The mend in words, and its commands."""
    if match := re.search(r"(lib\S+\.so\S*): cannot open shared object", reason):
        packages = {"libGL.so.1": "libgl1", "libgthread-2.0.so.0": "libglib2.0-0"}
        if package := packages.get(match[1]):
            command = f"sudo apt install {package}"
            return command, (command,)
        return f"Install the system library {match[1]}", ()
    if "numpy" in reason.lower() and "multiarray" in reason.lower():
        command = "pip install 'numpy<2'"
        return f"It was built for another NumPy: {command}", (command,)
    command = f"pip install --force-reinstall {distribution}"
    return command, (command,)


def check_converter(machine: Machine) -> Check:
    """The packages that `edgevid convert` needs, looked up without importing them."""
    versions = {name: machine.version(name) for name in _CONVERTER}
    found = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    lacking = ", ".join(name for name, version in versions.items() if not version)
    if lacking:
        value = f"{found}; not installed: {lacking}" if found else f"not installed: {lacking}"
        # The extra would also bring PyPI's OpenCV, where the system's stands in for it.
        install = f"pip install {' '.join(name for name, v in versions.items() if not v)}"
        mend = f"To convert models: {install}"
        return Check("converter", "missing", value, mend, commands=(install,))
    return Check("converter", "ok", found)


def check_torch(machine: Machine) -> Check:
    """PyTorch, which only the conversion of PyTorch models needs."""
    version = machine.version("torch")
    if version is not None:
        return Check("torch", "ok", version)
    install = "pip install 'edgevid[torch]'"
    mend = f"To convert PyTorch models: {install}"
    return Check("torch", "info", "not installed", mend, commands=(install,))


def check_decoders(machine: Machine) -> Check:
    """Video codecs that PyAV decodes."""
    try:
        available = machine.load("av").codecs_available
    except Exception as exc:
        return Check("decoders", "missing", f"PyAV does not import ({type(exc).__name__})")
    lacking = [codec for codec in _CODECS if codec not in available]
    value = " ".join(codec for codec in _CODECS if codec not in lacking)
    if lacking:
        install = "pip install --force-reinstall av"
        value = f"{value}; without {' '.join(lacking)}"
        mend = f"{install}: its wheels have every codec"
        return Check("decoders", "warning", value, mend, commands=(install,))
    return Check("decoders", "ok", value)


def check_gstreamer(machine: Machine) -> Check:
    """GStreamer's tools, which pipelines, CSI cameras and a Jetson's decoder need."""
    version = re.search(r"version (\S+)", machine.run(("gst-launch-1.0", "--version")) or "")
    jetson = is_jetson(machine)
    if version is None:
        csi = any(camera.is_csi for camera in read_cameras(machine.root))
        value = "not installed: no gst: sources"
        if jetson:
            value += ", no hardware decoding" + (", so not the CSI camera" if csi else "")
        state: State = "missing" if jetson else "info"
        return Check("GStreamer", state, value, _MEND_GSTREAMER, commands=(_MEND_GSTREAMER,))
    lacking = missing_plugins(machine.root) if jetson else ()
    if lacking:
        uses = " and ".join(_PLUGINS[name] for name in lacking)
        value = f"{version[1]}; plugins {', '.join(lacking)} not found ({uses})"
        mend = "sudo apt install nvidia-l4t-gstreamer nvidia-l4t-camera"
        return Check("GStreamer", "missing", value, mend, commands=(mend,))
    return Check("GStreamer", "ok", version[1])
