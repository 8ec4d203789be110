"""Write a trace while a run goes on: little memory, and a whole file or none.

Windows go to a hidden file beside the trace as they come. When the run ends the trace is made
of it and takes its name at once, so a kill leaves what was there before.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from edgevid.errors import MissingDependencyError, OutputError, SpecError
from edgevid.traces.trace import TraceInfo, row_of, row_type
from edgevid.types import Array, Prediction

_ROWS = 4096
"""Windows that are written together."""


class TraceSink(ABC):
    """Takes predictions; the trace is there once it has been closed.

    Args:
        path: The file to write.
        info: What is the same for every window.

    Raises:
        OutputError: The file cannot be written there.
    """

    def __init__(self, path: Path, info: TraceInfo) -> None:
        self._path = path
        self._info = info
        self._sources: dict[str, int] = {}
        self._type = row_type(len(info.labels))
        self._rows: list[tuple[Any, ...]] = []
        if path.is_dir():
            raise OutputError(f"cannot write {path}: it is a folder", "Name a file")
        with self._errors():
            self._file: IO[bytes] = tempfile.NamedTemporaryFile(  # noqa: SIM115 - closed later
                dir=path.parent, prefix=".tmp-", delete=False
            )

    def write(self, prediction: Prediction) -> None:
        """Keep the window's scores and times.

        Raises:
            OutputError: The disk is full.
        """
        source = self._sources.setdefault(prediction.source_id, len(self._sources))
        self._rows.append(row_of(prediction, source))
        if len(self._rows) >= _ROWS:
            self._flush()

    def close(self) -> None:
        """Write the rest and give the file its name. Safe to call twice.

        Raises:
            OutputError: The disk is full; nothing is left of the file then.
        """
        if self._file.closed:
            return
        try:
            self._flush()
            with self._errors():
                self._finish(self._info.to_json(list(self._sources)))
        finally:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)

    def _flush(self) -> None:
        rows, self._rows = np.array(self._rows, self._type), []
        try:
            with self._errors():
                self._write_rows(rows)
        except OutputError:
            # Nothing more can be written: leave no hidden file behind.
            with suppress(OSError):
                self._file.close()
            Path(self._file.name).unlink(missing_ok=True)
            raise

    @abstractmethod
    def _write_rows(self, rows: Array) -> None:
        """Add records to the hidden file."""

    @abstractmethod
    def _finish(self, head: str) -> None:
        """Make the trace of the hidden file."""

    def _rename(self, finished: Path) -> None:
        os.chmod(finished, 0o644)
        os.replace(finished, self._path)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise OutputError(
                f"cannot write {self._path}: {exc.strerror or exc}",
                "Name a file in a folder that exists, with room on its disk",
            ) from None


class NpzTraceSink(TraceSink):
    """A NumPy archive with one array for each column; the default."""

    def _write_rows(self, rows: Array) -> None:
        self._file.write(rows.tobytes())
        self._file.flush()

    def _finish(self, head: str) -> None:
        size = os.path.getsize(self._file.name)
        rows: Array = np.zeros(0, self._type)
        if size:
            rows = np.memmap(self._file.name, self._type, mode="r")
        finished = Path(self._file.name + ".npz")
        try:
            with zipfile.ZipFile(finished, "w", zipfile.ZIP_DEFLATED) as archive:
                _add(archive, "info", np.array(head))
                for column in self._type.names or ():
                    _add(archive, column, rows[column])
            self._rename(finished)
        finally:
            finished.unlink(missing_ok=True)


def _add(archive: zipfile.ZipFile, name: str, values: Array) -> None:
    """One array of the archive, as `numpy.savez` writes it, a part at a time."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        descr = np.lib.format.dtype_to_descr(values.dtype)
        header = {"descr": descr, "fortran_order": False, "shape": values.shape}
        np.lib.format.write_array_header_1_0(file, header)
        parts = [values] if values.ndim == 0 else _parts(values)
        for part in parts:
            file.write(np.ascontiguousarray(part).tobytes())


def _parts(values: Array) -> Iterator[Array]:
    for first in range(0, len(values), _ROWS):
        yield values[first : first + _ROWS]


class ParquetTraceSink(TraceSink):
    """An Apache Parquet file, for pandas, DuckDB and their like; needs pyarrow."""

    def __init__(self, path: Path, info: TraceInfo) -> None:
        try:
            import pyarrow
        except ImportError:
            raise MissingDependencyError("pyarrow", "trace", "A .parquet trace") from None
        self._arrow = pyarrow
        super().__init__(path, info)
        self._writer: Any = None

    def _write_rows(self, rows: Array) -> None:
        import pyarrow.parquet as pq

        table = self._arrow.table(
            {name: self._column(rows[name]) for name in self._type.names or ()}
        )
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file, table.schema, compression="zstd")
        self._writer.write_table(table)

    def _column(self, values: Array) -> Any:
        if values.ndim == 1:
            return self._arrow.array(np.ascontiguousarray(values))
        flat = self._arrow.array(np.ascontiguousarray(values).ravel())
        return self._arrow.FixedSizeListArray.from_arrays(flat, values.shape[1])

    def _finish(self, head: str) -> None:
        self._writer.add_key_value_metadata({"edgevid": head})
        self._writer.close()
        self._file.flush()
        self._rename(Path(self._file.name))


def open_trace_sink(path: str | os.PathLike[str], info: TraceInfo) -> TraceSink:
    """The sink for a `.npz` or `.parquet` file.

    Raises:
        SpecError: The name ends with neither.
        MissingDependencyError: A `.parquet` file, and pyarrow is not installed.
        OutputError: The file cannot be written there.
    """
    kinds = {".npz": NpzTraceSink, ".parquet": ParquetTraceSink}
    file = Path(path)
    if file.suffix not in kinds:
        raise SpecError(f"--trace {file}: a trace is a .npz or a .parquet file", "Name it so")
    return kinds[file.suffix](file, info)
