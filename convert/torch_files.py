"""PyTorch files: told apart by what is in them, and refused where reading would run a pickle.

A program and a script are themselves code that runs when the model does: convert only those
from people you trust. But nothing is unpickled here that could run anything else.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgevid.convert.torch_model import EXAMPLE_FLAG, HOW_TO_EXPORT, TorchModel, one_input, reason
from edgevid.errors import ModelError
from edgevid.types import TensorInfo

SUFFIXES = (".pt", ".pth", ".pt2")

_GIVE_A_FACTORY = (
    "Give the Python that builds the model and loads these weights: edgevid convert "
    f"pkg.module:factory {EXAMPLE_FLAG}; or export the model: {HOW_TO_EXPORT}"
)
# What torch.export.load hands to Python's pickle, or to the system's loader of native code.
_RUNS_CODE = ("/data/aotinductor/", "/data/constants/opaque_obj", "/data/constants/custom_obj")
_FORCE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
_FORCE_NOT = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


def read_file(path: Path) -> TorchModel:
    """Read a `torch.export` program or a TorchScript archive.

    Raises:
        ModelError: It is missing, damaged, or something else; weights alone and pickled
            modules are named for what they are.
    """
    names = _entries(path)
    if any(
        name.endswith(("/archive_format", "serialized_exported_program.json")) for name in names
    ):
        return _read_program(path, names)
    if any(name.endswith("/constants.pkl") for name in names):
        return _read_script(path, names)
    raise _refusal(path)


def _entries(path: Path) -> list[str]:
    """What the archive holds, each name with a leading slash; nothing for a bare pickle."""
    if not path.exists():
        raise ModelError(f"no such model file: {path}", "Check the path")
    if path.is_dir():
        raise ModelError(f"{path} is a folder", "Give the .pt2 or .pt file in it")
    try:
        if path.stat().st_size == 0:
            raise ModelError(f"{path} is empty (0 bytes)", "Export or download the model again")
        with path.open("rb") as file:
            head = file.read(64)
        if head.startswith(b"version https://git-lfs"):
            raise ModelError(f"{path} is a git-lfs pointer, not the model itself", "git lfs pull")
        if head.startswith(b"PK"):
            with zipfile.ZipFile(path) as archive:
                return [f"/{name}" for name in archive.namelist()]
    except OSError as exc:
        raise ModelError(f"{path} cannot be read: {exc.strerror or exc}") from None
    except zipfile.BadZipFile:
        raise ModelError(
            f"{path} is damaged or cut short", "Export or download the model again"
        ) from None
    return []


def _read_program(path: Path, names: list[str]) -> TorchModel:
    import torch

    if any(part in name for part in _RUNS_CODE for name in names):
        raise ModelError(
            f"{path} holds compiled code or pickled objects beside its program, which edgevid "
            "does not load",
            f"Export the model alone: {HOW_TO_EXPORT}",
        )
    try:
        with _weights_only(), path.open("rb") as file:
            program = torch.export.load(io.BytesIO(file.read()))
    except pickle.UnpicklingError:
        raise _pickled(path) from None
    # Its reader raises what its own checks, JSON and NumPy raise.
    except Exception as exc:
        raise ModelError(
            f"PyTorch {torch.__version__} cannot load {path}: {type(exc).__name__}: {reason(exc)}",
            f"Export it again, on the CPU and with this PyTorch: {HOW_TO_EXPORT}",
        ) from None
    if any(map(_trains, program.graph.nodes)):
        raise ModelError(
            f"{path} was exported in training mode",
            f"Export it in evaluation mode: {HOW_TO_EXPORT}",
        )
    inputs = _program_inputs(program)
    if not inputs:
        raise ModelError(f"{path} takes no tensor", "Export a model that takes pictures")
    return TorchModel(str(path), path.stem, "program", program, inputs)


@contextlib.contextmanager
def _weights_only() -> Iterator[None]:
    """`torch.export.load` falls back to the unsafe unpickler by itself; this forbids it."""
    before = {name: os.environ.pop(name, None) for name in (_FORCE, _FORCE_NOT)}
    os.environ[_FORCE] = "1"
    try:
        yield
    finally:
        del os.environ[_FORCE]
        os.environ.update({name: value for name, value in before.items() if value is not None})


def _trains(node: Any) -> bool:
    """True for a batch norm, dropout or recurrent layer that was captured in training mode."""
    schema = getattr(node.target, "_schema", None)
    arguments = [] if schema is None else [a.name for a in schema.arguments]
    named = {**dict(zip(arguments, node.args, strict=False)), **node.kwargs}
    return named.get("training") is True or named.get("train") is True


def _program_inputs(program: Any) -> tuple[TensorInfo, ...]:
    names = set(program.graph_signature.user_inputs)
    inputs = []
    for node in program.graph.nodes:
        value = node.meta.get("val")
        if node.op == "placeholder" and node.name in names and hasattr(value, "shape"):
            shape = tuple(length if isinstance(length, int) else None for length in value.shape)
            inputs.append(TensorInfo(node.name, shape, str(value.dtype).removeprefix("torch.")))
    return tuple(inputs)


def _read_script(path: Path, names: list[str]) -> TorchModel:
    import torch

    try:
        module = torch.jit.load(str(path), map_location="cpu").eval()
        arguments = module.forward.schema.arguments[1:]
    # The reader is native code and raises RuntimeError for most things, but not for all.
    except Exception as exc:
        raise ModelError(
            f"PyTorch {torch.__version__} cannot load {path}: {reason(exc)}",
            f"Save it again with torch.jit.save, or as a program: {HOW_TO_EXPORT}",
        ) from None
    needed = [a.name for a in arguments if not a.has_default_value()] or [
        a.name for a in arguments[:1]
    ]
    (tensor,) = one_input(str(path), needed)
    traced = _traced_with(path, names)
    if traced is not None:
        tensor = TensorInfo(tensor.name, *traced)
    return TorchModel(str(path), path.stem, "script", module, (tensor,))


def _traced_with(path: Path, names: list[str]) -> tuple[tuple[int, ...], str] | None:
    """Shape and dtype of the example that an archive was traced with, where it keeps one."""
    entry = next((name for name in names if name.endswith("/traced_inputs.pkl")), None)
    if entry is None:
        return None
    try:
        with zipfile.ZipFile(path) as archive, archive.open(entry[1:]) as file:
            inputs = _ShapesOnly(file).load()["forward"]
    except (pickle.UnpicklingError, KeyError, TypeError, EOFError):
        return None
    one_tensor = len(inputs) == 1 and isinstance(inputs[0], tuple) and inputs[0][0]
    return inputs[0] if one_tensor else None


class _ShapesOnly(pickle.Unpickler):
    """Reads tensors as (shape, dtype), and can make nothing else: no import, no call."""

    _TYPES = {  # noqa: RUF012 - never changed
        "HalfStorage": "float16",
        "FloatStorage": "float32",
        "DoubleStorage": "float64",
        "ByteStorage": "uint8",
    }

    def find_class(self, module_name: str, global_name: str) -> Any:
        if global_name == "_rebuild_tensor_v2":
            return lambda dtype, _offset, shape, *_: (tuple(shape), dtype)
        if global_name == "restore_type_tag":
            return lambda value, _tag: value
        if global_name == "OrderedDict":
            return OrderedDict
        if module_name == "torch" and global_name in self._TYPES:
            return self._TYPES[global_name]
        raise pickle.UnpicklingError(f"{module_name}.{global_name}")

    def persistent_load(self, pid: Any) -> Any:
        return pid[1]


def _refusal(path: Path) -> ModelError:
    """Why a file that is neither program nor script cannot be converted."""
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        with path.open("rb") as file:
            # Both of torch.save's formats, and any pickle since protocol 2.
            if not file.read(2).startswith((b"PK", b"\x80")):
                return ModelError(
                    f"{path} is not a PyTorch file", "Export or download the model again"
                )
        return _pickled(path)
    except Exception as exc:
        return ModelError(
            f"{path} is damaged or cut short, or no PyTorch file: {reason(exc)}",
            "Export or download the model again",
        )
    count = _tensors_in(content)
    if isinstance(content, Mapping) and count:
        return ModelError(
            f"{path} holds weights alone ({count} tensors), not the model that uses them",
            _GIVE_A_FACTORY,
        )
    return ModelError(f"{path} holds a {type(content).__name__}, not a model", _GIVE_A_FACTORY)


def _pickled(path: Path) -> ModelError:
    return ModelError(
        f"{path} is a pickled Python object: reading it would run code from the file, so "
        "edgevid does not",
        _GIVE_A_FACTORY,
    )


def _tensors_in(content: Any) -> int:
    import torch

    if isinstance(content, torch.Tensor):
        return 1
    return sum(map(_tensors_in, content.values())) if isinstance(content, Mapping) else 0
