"""The model file that a conversion starts from: ONNX as it is, PyTorch exported first."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from edgevid.convert.journal import Journal
from edgevid.convert.spec_file import UserSpec
from edgevid.convert.torch_export import export_torch, is_torch_source
from edgevid.errors import SpecError
from edgevid.files import sha256_file
from edgevid.spec import InputSpec


@dataclass(frozen=True)
class SourceModel:
    """Where a bundle's graph comes from.

    Attributes:
        onnx: The graph as ONNX.
        name: Of the model, for the bundle.
        file: Name of what the user gave, without its folder.
        sha256: Of that file; of the exported graph where it is Python.
    """

    onnx: Path
    name: str
    file: str
    sha256: str


def model_name(model: str) -> str:
    """What a model is called: its file's stem, or the name of the factory."""
    if is_torch_source(model) and ":" in model and not Path(model).exists():
        return model.rpartition(":")[2].rpartition(".")[2]
    return Path(model).stem


@contextmanager
def source_model(
    model: str, user: UserSpec, example_shape: Sequence[int] | None, journal: Journal
) -> Iterator[SourceModel]:
    """The model as an ONNX file, which may be gone when the block ends.

    Args:
        model: An `.onnx`, `.pt2`, `.pt` or `.pth` file, or `module:factory`.
        user: What the spec says; gives the example's shape where it is complete.
        example_shape: Of the input, batch first; None: from the spec, or from the file.

    Raises:
        SpecError: An example shape was given for an ONNX file.
        EdgevidError: As `export_torch` raises.
    """
    name = model_name(model)
    if not is_torch_source(model):
        if example_shape is not None:
            raise SpecError(
                f"--example-shape belongs to a PyTorch model; {model} is none", "Leave it out"
            )
        path = Path(model)
        yield SourceModel(path, name, path.name, sha256_file(path) if path.is_file() else "")
        return
    with tempfile.TemporaryDirectory(prefix="edgevid-export-") as folder:
        exported = export_torch(
            model,
            Path(folder),
            example_shape=example_shape or _shape_in(user),
            notify=journal.step,
        )
        for note in exported.notes:
            journal.note(note)
        file = Path(model)
        origin = file if file.is_file() else exported.path
        yield SourceModel(exported.path, name, file.name, sha256_file(origin))


def _shape_in(user: UserSpec) -> tuple[int, ...] | None:
    """The example's shape, where the spec's one input says layout, size and frames."""
    if len(user.inputs) != 1:
        return None
    frames = user.clip.get("num_frames", 1)
    try:
        spec = InputSpec.model_validate({"name": "input", **user.inputs[0]})
    except ValidationError:
        return None  # incomplete, or wrong, which is told when the whole is put together
    known = isinstance(frames, int) and spec.depth(frames) > 0
    return (1, *spec.model_shape(frames)) if known else None
