"""Transition matrices: learned from annotated streams, kept as a small CSV file.

    from,left,right
    left,0.97,0.03
    right,0.01,0.99

Row i, column j: the probability that label j follows label i from one window to the next.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgevid.errors import SpecError
from edgevid.smoothing.reach import Float64Array

_CORNER = "from"
_TOLERANCE = 1e-3


def learn_transitions(
    streams: Iterable[npt.NDArray[np.int64]], classes: int, pseudo_count: float = 1.0
) -> Float64Array:
    """`(C, C)`: how often each label follows each, from the true labels of windows in a row.

    Counts with a pseudo-count shared by each row (a Dirichlet prior), so that what was not
    seen stays possible; a label that was never seen is followed by any.

    Args:
        streams: For each stream `(n,)`, the true label of each window; negative: none.
        classes: C.
        pseudo_count: Added to each row, in windows.
    """
    counts = np.full((classes, classes), pseudo_count / classes)
    for labels in streams:
        known = (labels[:-1] >= 0) & (labels[1:] >= 0)
        np.add.at(counts, (labels[:-1][known], labels[1:][known]), 1.0)
    matrix: Float64Array = counts / counts.sum(axis=1, keepdims=True)
    return matrix


def write_transitions(matrix: Float64Array, labels: Sequence[str]) -> bytes:
    """The file's content."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([_CORNER, *labels])
    for label, row in zip(labels, matrix, strict=True):
        table.writerow([label, *(f"{value:.9g}" for value in row)])
    return text.getvalue().encode()


def read_transitions(path: Path, labels: Sequence[str]) -> Float64Array:
    """The matrix `(C, C)` of a file, in the order of `labels`.

    Raises:
        SpecError: The file cannot be read, is of other labels, or a row is no probabilities.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file, strict=True) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise SpecError(f"transitions {path} cannot be read: {reason}", "Check the path") from None
    named = {row[0]: row[1:] for row in rows[1:]}
    columns = rows[0][1:] if rows else []
    if sorted(columns) != sorted(labels) or sorted(named) != sorted(labels):
        raise SpecError(
            f"transitions {path} are not of this model's {len(labels)} labels",
            "Write one row and one column for each label; `edgevid tune --write` makes the file",
        )
    order = [columns.index(label) for label in labels]
    matrix = np.empty((len(labels), len(labels)))
    for i, label in enumerate(labels):
        try:
            matrix[i] = [float(named[label][j]) for j in order]
        except (ValueError, IndexError):
            raise SpecError(f"transitions {path}, row {label!r}: a value is no number") from None
    bad = ~np.isfinite(matrix).all(axis=1) | (matrix < 0).any(axis=1)
    bad |= ~(np.abs(matrix.sum(axis=1) - 1) <= _TOLERANCE)
    if bad.any():
        label = labels[int(bad.argmax())]
        raise SpecError(f"transitions {path}, row {label!r} must be probabilities that sum to 1")
    normalised: Float64Array = matrix / matrix.sum(axis=1, keepdims=True)
    return normalised
