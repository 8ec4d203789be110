"""Sources and engines whose every frame and answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from edgevid.errors import SourceError
from edgevid.protocols import every_frame
from edgevid.types import Frame, FrameTime, SourceInfo, SourceStats, TensorInfo


class NumberedSource:
    """Frame i is filled with the value i; times are given."""

    def __init__(
        self, pts, *, fps=10.0, claims=None, live=False, name="numbered", fail_at=None, on_read=None
    ):
        self._pts = list(pts)
        self._next = 0
        self._fail_at = fail_at
        self._on_read = on_read or (lambda _: None)
        self.source_id = name
        count = len(self._pts) if claims is None else claims
        self.info = SourceInfo(8, 6, fps, None if live else count, live, "numbered frames")
        self.converted = 0
        self.closed = False

    @property
    def stats(self):
        return SourceStats(frames_read=self._next)

    def read(self, want=every_frame):
        while self._next < len(self._pts):
            i = self._next
            self._on_read(i)
            if self._fail_at == i:
                raise SourceError(f"frame {i} is broken")
            self._next += 1
            step = 1 / self.info.fps
            following = self._pts[i + 1] if i + 1 < len(self._pts) else self._pts[i] + step
            time = FrameTime(i, self._pts[i], following, received_ns=0)
            if want(time):
                self.converted += 1
                return Frame(np.full((6, 8, 3), i % 256, np.uint8), time, self.source_id)
        return None

    def close(self):
        self.closed = True


@pytest.fixture
def numbered():
    return NumberedSource


class NewestFrameEngine:
    """Two classes: the score of the second is the newest frame's value over 255."""

    name = "newest frame"
    outputs = (TensorInfo("scores", (None, 2), "float32"),)

    def __init__(self, *, on_call=None):
        self.windows = []
        self.closed = False
        self._on_call = on_call or (lambda _: None)

    @property
    def inputs(self):
        return (TensorInfo("clip", (None, None, 6, 8, 3), "uint8"),)

    def infer(self, feeds):
        self._on_call(len(self.windows))
        clip = feeds["clip"][0]
        frames = clip if clip.ndim == 4 else clip[np.newaxis]
        self.windows.append([int(f.flat[0]) for f in frames])
        second = self.windows[-1][-1] / 255
        return {"scores": np.array([[1 - second, second]], np.float32)}

    def close(self):
        self.closed = True


@pytest.fixture
def newest():
    return NewestFrameEngine
