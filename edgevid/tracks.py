"""What is kept of every sample of a stream, and how a model's inputs are cut from it.

Inputs that are made from the same pixels share a track: the two pathways of SlowFast are cut
from one ring, and nothing is resized twice. A track goes by the name of its first input.

    samples   0  1  2  3  4  5  6  7     track "fast"
    fast      #  #  #  #  #  #  #  #     every = 1
    slow      #           #              every = 4
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgevid.spec import InputSpec
from edgevid.types import UInt8Array

FLOW_BOUND = 20.0
"""Pixels. Optical flow is clipped to this much either way (TSN and those before it do so)."""

NO_MOTION = 128
"""The byte of a flow field where nothing moves."""


class Tracks:
    """The tracks of a model's inputs.

    Args:
        inputs: The model's inputs.
        num_frames: T, samples in a window.

    Attributes:
        specs: Track name to the input that it is named after.
    """

    def __init__(self, inputs: Sequence[InputSpec], num_frames: int) -> None:
        first: dict[tuple[object, ...], str] = {}
        track_of = {i.name: first.setdefault(i.track, i.name) for i in inputs}
        self.specs = {i.name: i for i in inputs if track_of[i.name] == i.name}
        self._cuts = [(i.name, track_of[i.name], _places(i, num_frames)) for i in inputs]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Track name to the shape of one sample, `(H, W, channels)`."""
        return {name: (*spec.size, spec.channels) for name, spec in self.specs.items()}

    def repeated(self, sample: Mapping[str, UInt8Array]) -> dict[str, UInt8Array]:
        """What follows `sample` where its frame stands for the next instant too."""
        return {
            name: np.full_like(array, NO_MOTION) if self.specs[name].starts_before else array
            for name, array in sample.items()
        }

    def cut(self, windows: Mapping[str, UInt8Array]) -> dict[str, UInt8Array]:
        """What the graph is fed of one window.

        Args:
            windows: Track name to its T samples, `(T, H, W, channels)`.

        Returns:
            Input name to `(K, H, W, channels)` or `(H, W, channels)`: views.
        """
        return {name: windows[track][places] for name, track, places in self._cuts}


def _places(spec: InputSpec, num_frames: int) -> slice | int:
    """Where in a window the frames of an input are."""
    at = spec.positions(num_frames)
    return slice(at.start, at.stop, at.step) if spec.takes_clip else at.start


def flow_interval(inputs: Sequence[InputSpec]) -> int | None:
    """Frames from the first to the second of a pair; None where samples are paired, or none."""
    return next((i.flow_interval for i in inputs if i.flow_interval is not None), None)


def stacked(samples: Sequence[Mapping[str, UInt8Array]]) -> dict[str, UInt8Array]:
    """The windows that `Tracks.cut` takes, from samples one after the other."""
    return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}
