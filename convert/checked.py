"""A graph in FP32 that is known to answer as the original does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgevid.convert.frames import Window
from edgevid.convert.parity import compare
from edgevid.convert.session import Session
from edgevid.manifest import Parity, Stepped
from edgevid.spec import Spec
from edgevid.types import Array

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True)
class Checked:
    """The FP32 graph, which answers like the original, and what it was checked on.

    Attributes:
        graph: From uint8 frames to scores.
        spec: Its contract.
        parity: Of its scores with the original's.
        windows, frames_from: Real frames, and a phrase that says which.
        expected: `(rows, C)`: the original's scores; of a model that was made stateful its own
            after every step but the last of a window.
        stepped: Of a model that was made stateful, for the manifest.
    """

    graph: ModelProto
    spec: Spec
    parity: Parity
    windows: Sequence[Window]
    frames_from: str
    expected: Array
    stepped: Stepped | None = None

    def compare(self, graph: ModelProto) -> Parity:
        """Another graph's scores against the original's."""
        return compare(Session(graph), self.expected, self.windows, self.frames_from)
