"""Drawn windows on disk, so that they can be gone through again and again."""

from __future__ import annotations

import math
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from edgevid.errors import OutputError
from edgevid.spec import InputSpec
from edgevid.tracks import Tracks, stacked
from edgevid.types import UInt8Array


class Spool:
    """Numbered windows of uint8 pixels in a temporary file.

    The file has no name where the system allows it, so that nothing is left behind however
    the process ends. For one thread at a time.

    Args:
        inputs: The model's inputs.
        num_frames: T, of one call of the graph.
        steps: Calls in one window, of a model with states.

    Attributes:
        shapes: Input name to the shape that `read` gives.

    Raises:
        OutputError: There is no folder for temporary files, or no room in it.
    """

    def __init__(self, inputs: Sequence[InputSpec], num_frames: int, steps: int = 1) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {
            i.name: (steps, *i.feed_shape(num_frames)) for i in inputs
        }
        self._tracks = Tracks(inputs, num_frames)
        self._kept = {
            name: (steps, num_frames, *shape) for name, shape in self._tracks.shapes.items()
        }
        self._offsets: dict[str, int] = {}
        self._window_size = 0
        for name, shape in self._kept.items():
            self._offsets[name] = self._window_size
            self._window_size += math.prod(shape)
        with _disk_faults():
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the finalizer
        weakref.finalize(self, self._file.close)

    def write(self, number: int, position: int, arrays: Mapping[str, UInt8Array]) -> None:
        """Put sample `position` of window `number` down.

        Args:
            number: From 0; a window that was there is overwritten.
            position: From 0 to T - 1; with steps, to steps * T - 1.
            arrays: Track name to the sample.

        Raises:
            OutputError: There is no room on the disk.
        """
        for name, array in arrays.items():
            self._seek(number, name, position * array.size)
            with _disk_faults():
                self._file.write(array.tobytes())

    def read(self, number: int) -> dict[str, UInt8Array]:
        """Window `number`, in new arrays of `shapes`, by input name."""
        tracks = {name: np.empty(shape, np.uint8) for name, shape in self._kept.items()}
        for name, array in tracks.items():
            self._seek(number, name, 0)
            with _disk_faults():
                self._file.readinto(array.data)
        steps = len(next(iter(tracks.values())))
        return stacked(
            [self._tracks.cut({n: a[step] for n, a in tracks.items()}) for step in range(steps)]
        )

    def _seek(self, number: int, name: str, offset: int) -> None:
        # Writes what is buffered, so the disk may turn out full here too.
        with _disk_faults():
            self._file.seek(number * self._window_size + self._offsets[name] + offset)


@contextmanager
def _disk_faults() -> Iterator[None]:
    """One clear line for what the disk refuses."""
    try:
        yield
    except OSError as exc:
        raise OutputError(
            f"the drawn clips cannot be kept in the folder for temporary files: {exc.strerror}",
            "Free some space, or set TMPDIR to a folder that has it",
        ) from None
