"""Read a trace, whichever format its name says."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np

from edgevid.errors import MissingDependencyError, SourceError, SourceNotFoundError
from edgevid.traces.trace import Trace, checked
from edgevid.types import Array


def read_trace(path: str | os.PathLike[str]) -> Trace:
    """The trace in a `.npz` or `.parquet` file.

    Raises:
        SourceError: It does not exist, or is no trace.
        MissingDependencyError: A `.parquet` file, and pyarrow is not installed.
    """
    file = Path(path)
    if not os.path.isfile(file):
        raise SourceNotFoundError(
            f"no such trace: {file}", "Write one: edgevid run BUNDLE --trace FILE"
        )
    return _read_parquet(file) if file.suffix == ".parquet" else _read_npz(file)


def _read_npz(path: Path) -> Trace:
    try:
        with np.load(path, allow_pickle=False) as file:
            columns = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as exc:
        raise SourceError(f"{path} is no trace of edgevid: {exc}", "Name a .npz file") from None
    return checked(str(path), str(columns.pop("info", "")), columns)


def _read_parquet(path: Path) -> Trace:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingDependencyError("pyarrow", "trace", "A .parquet trace") from None
    try:
        with pq.ParquetFile(path) as file:
            table, facts = file.read(), file.metadata.metadata or {}
    except (OSError, pa.ArrowException) as exc:
        raise SourceError(f"{path} is no trace of edgevid: {exc}", "Name a .parquet file") from None
    head = facts.get(b"edgevid", b"").decode("utf-8", "replace")
    columns: dict[str, Array] = {}
    for name in table.column_names:
        values = table.column(name).combine_chunks()
        if pa.types.is_fixed_size_list(values.type):
            columns[name] = values.flatten().to_numpy(zero_copy_only=False)
            columns[name] = columns[name].reshape(len(values), values.type.list_size)
        else:
            columns[name] = values.to_numpy(zero_copy_only=False)
    return checked(str(path), head, columns)
