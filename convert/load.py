"""Read a model file, and refuse what cannot be converted: one clear line each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgevid.convert.journal import Journal
from edgevid.convert.session import Session
from edgevid.convert.stored_weights import unfold_stored_weights
from edgevid.errors import ModelError
from edgevid.files import sha256_file
from edgevid.types import TensorInfo

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

OPSET = 17
_LFS_HEADER = b"version https://git-lfs.github.com/spec"
MAX_BYTES = 2_000_000_000
"""Of weights in one graph: what a protobuf message holds."""


@dataclass(frozen=True)
class Model:
    """A model that ONNX Runtime runs.

    Attributes:
        path: Where it was read from.
        sha256: Of the file.
        proto: The graph, weights included, shapes inferred.
        inputs, outputs: Its interface; a dimension is None where dynamic.
        session: The graph, loaded.
    """

    path: Path
    sha256: str
    proto: ModelProto
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    session: Session


def load(path: Path, journal: Journal) -> Model:
    """Read and check an ONNX file.

    Raises:
        ModelError: It is missing, no ONNX file, invalid, incomplete, or holds an operator
            that ONNX Runtime lacks.
    """
    _check_file(path)
    proto = _read(path)
    _load_external_data(proto, path)
    _drop_weight_inputs(proto)
    _check(proto, path)
    session = _open(proto, path)
    unfold_stored_weights(proto, journal)
    proto = _infer_shapes(_raise_opset(proto, journal), path)
    inputs = tuple(_tensor_info(v) for v in proto.graph.input)
    outputs = tuple(_tensor_info(v) for v in proto.graph.output)
    return Model(path, sha256_file(path), proto, inputs, outputs, session)


def fingerprint(path: Path) -> str:
    """Hash of a model file and of the weight files that it names; for caches.

    Raises:
        ModelError: It is missing or no ONNX file, or a weight file is missing.
    """
    _check_file(path)
    digest = hashlib.sha256(sha256_file(path).encode())
    for location in sorted(_external_locations(_read(path))):
        file = path.parent / location
        _require_external(file, path)
        digest.update(f"{location}:{sha256_file(file)}".encode())
    return digest.hexdigest()


def _check_file(path: Path) -> None:
    if not path.exists():
        raise ModelError(f"no such model file: {path}", "Check the path")
    if path.is_dir():
        raise ModelError(f"{path} is a folder", "Give the .onnx file in it")
    if path.suffix in (".pt", ".pth", ".pt2"):
        raise ModelError(
            f"{path} is a PyTorch file; edgevid convert reads .onnx",
            "Export it: torch.onnx.export(model, example, 'model.onnx', dynamo=True)",
        )
    try:
        with path.open("rb") as file:
            head = file.read(len(_LFS_HEADER))
    except OSError as exc:
        raise ModelError(f"{path} cannot be read: {exc.strerror or exc}") from None
    if not head:
        raise ModelError(f"{path} is empty (0 bytes)", "Export or download the model again")
    if head == _LFS_HEADER:
        raise ModelError(
            f"{path} is a git-lfs pointer, not the model itself",
            "Fetch it: git lfs pull",
        )


def _read(path: Path) -> ModelProto:
    import onnx

    try:
        proto = onnx.load(str(path), load_external_data=False)
    except OSError as exc:
        raise ModelError(f"{path} cannot be read: {exc.strerror or exc}") from None
    # Protobuf's errors share no base below Exception, and their module has no types.
    except Exception:
        proto = onnx.ModelProto()
    # Arbitrary bytes now and then parse as an empty message.
    if not proto.graph.node or not proto.opset_import:
        raise ModelError(
            f"{path} is not an ONNX model: it holds no graph, or is cut short",
            "Export or download the model again",
        )
    return proto


def _external_locations(proto: ModelProto) -> set[str]:
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    return {ExternalDataInfo(t).location for t in proto.graph.initializer if uses_external_data(t)}


def _require_external(file: Path, path: Path) -> None:
    if not file.is_file():
        raise ModelError(
            f"{path} keeps its weights in {file.name}, which is missing",
            f"Put {file.name} into the same folder as the model",
        )


def _load_external_data(proto: ModelProto, path: Path) -> None:
    from onnx.external_data_helper import load_external_data_for_model

    locations = _external_locations(proto)
    for location in locations:
        _require_external(path.parent / location, path)
    if locations:
        try:
            load_external_data_for_model(proto, str(path.parent))
        # The helper raises whatever its checks and NumPy raise.
        except Exception as exc:
            raise ModelError(
                f"the weight files of {path} cannot be read: {exc}", "Copy them again"
            ) from None
    if proto.ByteSize() > MAX_BYTES:
        raise ModelError(
            f"{path} has {proto.ByteSize() / 1e9:.1f} GB of weights; edgevid handles up to 2 GB"
        )


def _drop_weight_inputs(proto: ModelProto) -> None:
    """Old files list their weights as inputs too; nobody feeds those."""
    weights = {t.name for t in proto.graph.initializer}
    real = [v for v in proto.graph.input if v.name not in weights]
    if len(real) != len(proto.graph.input):
        del proto.graph.input[:]
        proto.graph.input.extend(real)
        # Weights that are no inputs came with version 4 of the file format.
        proto.ir_version = max(proto.ir_version, 4)


def _check(proto: ModelProto, path: Path) -> None:
    import onnx

    # The checker insists on a name that no program needs.
    proto.graph.name = proto.graph.name or path.stem
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as exc:
        # Operators of other domains are ONNX Runtime's to judge.
        if "No Op registered" not in str(exc) and "No opset import" not in str(exc):
            reason = str(exc).strip().splitlines()[0].rstrip(". ")
            raise ModelError(
                f"{path} is not a valid ONNX model: {reason}", "Export it again"
            ) from None


def _open(proto: ModelProto, path: Path) -> Session:
    try:
        return Session(proto)
    except RuntimeError as exc:
        raise ModelError(
            f"ONNX Runtime cannot load {path}: {exc}",
            "Export the model again, with standard ONNX operators",
        ) from None


def _raise_opset(proto: ModelProto, journal: Journal) -> ModelProto:
    """Bring an old graph to `OPSET`; where that fails it stays as it is."""
    import onnx
    from onnx import version_converter

    current = next((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), OPSET)
    if current >= OPSET:
        return proto
    try:
        raised = version_converter.convert_version(proto, OPSET)
        onnx.checker.check_model(raised)
        Session(raised)
    # The converter is native code and raises what it likes.
    except Exception as exc:
        reason = str(exc).strip().splitlines()[0]
        journal.note(f"The graph stays at opset {current}: it cannot be raised ({reason}).")
        return proto
    journal.note(f"The graph was raised from opset {current} to {OPSET}.")
    return raised


def _infer_shapes(proto: ModelProto, path: Path) -> ModelProto:
    import onnx

    try:
        return onnx.shape_inference.infer_shapes(proto, data_prop=True)
    except onnx.shape_inference.InferenceError as exc:
        raise ModelError(
            f"the shapes in {path} contradict each other: {exc}", "Export it again"
        ) from None


def _tensor_info(value: ValueInfoProto) -> TensorInfo:
    import numpy as np
    from onnx import helper

    if not value.type.HasField("tensor_type"):
        raise ModelError(
            f"{value.name!r} is a {value.type.WhichOneof('value')}, not a tensor",
            "Export the model with plain tensors as inputs and outputs",
        )
    tensor = value.type.tensor_type
    shape = tuple(
        d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None
        for d in tensor.shape.dim
    )
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)).name
    return TensorInfo(value.name, shape, dtype)
