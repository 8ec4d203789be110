"""From the frames that a sampler picks to samples: cropped and resized for every track.

The capture threads and `convert` make their samples here, so a model is calibrated and
checked on what it is fed later.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from edgevid.clips import Pick
from edgevid.errors import SourceError
from edgevid.preprocess import FrameTooSmall, Resizer
from edgevid.spec import InputSpec
from edgevid.tracks import Tracks
from edgevid.types import Frame, SampledFrame, UInt8Array


class SampleMaker:
    """Makes the samples of one stream.

    Args:
        inputs: The model's inputs.
        fast: See `Resizer`.
    """

    def __init__(self, inputs: Sequence[InputSpec], fast: bool = False) -> None:
        self._tracks = Tracks(inputs, 1).specs
        self._resizers = {spec.picture: Resizer(spec, fast) for spec in self._tracks.values()}

    def push(self, frame: Frame, pick: Pick, capture_ms: float = 0.0) -> list[SampledFrame]:
        """The samples that are made with this frame: one for each instant that it stands for.

        Args:
            frame: Comes after the frames that were pushed before.
            pick: What the sampler decided about it.
            capture_ms: What it cost to read; counted once.

        Raises:
            SourceError: The frame is smaller than an input's fovea.
        """
        started = time.perf_counter()
        pictures = self._pictures(frame)
        sample = SampledFrame(
            arrays={name: pictures[spec.picture] for name, spec in self._tracks.items()},
            time=frame.time,
            tick_s=pick.ticks_s[0],
            gap=pick.gaps[0],
            restart=pick.restart,
            capture_ms=capture_ms,
            preprocess_ms=(time.perf_counter() - started) * 1e3,
        )
        return _repeated(sample, pick)

    def _pictures(self, frame: Frame) -> dict[tuple[object, ...], UInt8Array]:
        try:
            return {key: resize(frame.data) for key, resize in self._resizers.items()}
        except FrameTooSmall as exc:
            raise SourceError(
                f"{frame.source_id}: {exc}", "Use a source with larger pictures"
            ) from None


def _repeated(sample: SampledFrame, pick: Pick) -> list[SampledFrame]:
    """One sample for each tick that the frame stands for; its cost counts once."""
    again = replace(sample, restart=False, capture_ms=0.0, preprocess_ms=0.0)
    rest = zip(pick.ticks_s[1:], pick.gaps[1:], strict=True)
    return [sample, *(replace(again, tick_s=tick_s, gap=gap) for tick_s, gap in rest)]
