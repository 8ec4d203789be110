"""From the frames that a sampler picks to samples: pictures and flow fields of every track.

The capture threads and `convert` make their samples here, so a model is calibrated and
checked on what it is fed later. Each frame is resized once for each size and crop, and each
flow field is computed once, whatever the windows:

    frames        0  1  2  3  4  5  6  7  8      sampled: 0, 4, 8
    flow          .--------->.--------->.        from each sample to the next
    flow          .->         .->         .->    flow_interval = 1: to the next frame
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgevid.clips import Pick
from edgevid.errors import SourceError
from edgevid.preprocess import CropPlace, FrameTooSmall, Resizer
from edgevid.preprocess.flow import Flow, encode, grey, no_motion, open_flow
from edgevid.spec import InputSpec
from edgevid.tracks import Tracks
from edgevid.types import Frame, SampledFrame, UInt8Array

_ONE_COLOUR = 6
"""Levels of grey by which encoders spread what is one colour, at most."""

Pictures = Mapping[tuple[object, ...], UInt8Array]
"""By `InputSpec.picture`."""


@dataclass(frozen=True)
class _Unpaired:
    """A sample that waits for the frame that its flow goes to."""

    sample: SampledFrame
    pick: Pick
    greys: Pictures


class SampleMaker:
    """Makes the samples of one stream.

    Args:
        inputs: The model's inputs.
        fast, place: See `Resizer`.

    Raises:
        EngineError: This machine cannot compute optical flow as the contract says.
    """

    def __init__(
        self, inputs: Sequence[InputSpec], fast: bool = False, place: CropPlace = "centre"
    ) -> None:
        self._tracks = Tracks(inputs, 1)
        specs = self._tracks.specs
        self._resizers = {spec.picture: Resizer(spec, fast, place) for spec in specs.values()}
        self._flows: dict[str, Flow] = {
            name: open_flow(spec.flow_method)
            for name, spec in specs.items()
            if spec.flow_method is not None
        }
        self._flow_pictures = {specs[name].picture for name in self._flows}
        self._waits = any(spec.flow_interval is not None for spec in specs.values())
        self._greys: Pictures | None = None
        self._unpaired: _Unpaired | None = None

    def push(self, frame: Frame, pick: Pick, capture_ms: float = 0.0) -> list[SampledFrame]:
        """The samples that this frame completes, one for each instant that they stand for.

        Args:
            frame: Comes after the frames that were pushed before.
            pick: What the sampler decided about it.
            capture_ms: What it cost to read; counted once.

        Raises:
            SourceError: The frame is smaller than an input's fovea.
        """
        started = time.perf_counter()
        pictures = self._pictures(frame, self._resizers if pick.ticks_s else self._flow_pictures)
        greys = {key: grey(pictures[key]) for key in self._flow_pictures}
        if pick.restart:
            self._greys = self._unpaired = None
        done: list[SampledFrame] = []
        if self._unpaired is not None and pick.second:
            done = self._paired(self._unpaired, frame, pick.late, greys, started)
            self._unpaired = None
            started = time.perf_counter()
        if not pick.ticks_s:
            return [replace(s, capture_ms=s.capture_ms + capture_ms) for s in done[:1]] + done[1:]
        sample = SampledFrame(
            arrays=self._arrays(pictures, greys),
            time=frame.time,
            tick_s=pick.ticks_s[0],
            gap=pick.gaps[0],
            restart=pick.restart,
            capture_ms=capture_ms,
            preprocess_ms=(time.perf_counter() - started) * 1e3,
            blank=is_blank(frame.data),
        )
        if self._waits:
            self._unpaired = _Unpaired(sample, pick, greys)
            return done
        return [*done, *self._repeated(sample, pick)]

    def _pictures(self, frame: Frame, keys: Iterable[tuple[object, ...]]) -> Pictures:
        try:
            return {key: self._resizers[key](frame.data) for key in keys}
        except FrameTooSmall as exc:
            raise SourceError(
                f"{frame.source_id}: {exc}", "Use a source with larger pictures"
            ) from None

    def _arrays(self, pictures: Pictures, greys: Pictures) -> dict[str, UInt8Array]:
        """All of a sample but the flow that waits for a second frame."""
        arrays = {}
        for name, spec in self._tracks.specs.items():
            if name not in self._flows:
                arrays[name] = pictures[spec.picture]
            elif spec.flow_interval is None:
                arrays[name] = self._field(name, spec, self._greys, greys)
        self._greys = greys
        return arrays

    def _paired(
        self, first: _Unpaired, frame: Frame, late: bool, greys: Pictures, started: float
    ) -> list[SampledFrame]:
        """The sample that waited, with its flow to `frame`."""
        fields = {
            name: self._field(name, self._tracks.specs[name], first.greys, greys)
            for name in self._flows
            if self._tracks.specs[name].flow_interval is not None
        }
        took_ms = (time.perf_counter() - started) * 1e3
        sample = replace(
            first.sample,
            arrays={**first.sample.arrays, **fields},
            # It is not complete before this frame is there.
            time=replace(
                first.sample.time,
                received_ns=frame.time.received_ns,
                taken_ns=frame.time.taken_ns,
            ),
            preprocess_ms=first.sample.preprocess_ms + took_ms,
        )
        repeated = self._repeated(sample, first.pick)
        return [replace(one, gap=True) for one in repeated] if late else repeated

    def _field(
        self, name: str, spec: InputSpec, first: Pictures | None, second: Pictures
    ) -> UInt8Array:
        if first is None:
            return no_motion(*spec.size)
        return encode(self._flows[name](first[spec.picture], second[spec.picture]))

    def _repeated(self, sample: SampledFrame, pick: Pick) -> list[SampledFrame]:
        """One sample for each tick that the frame stands for; its cost counts once."""
        if len(pick.ticks_s) == 1:
            return [sample]
        again = replace(
            sample,
            arrays=self._tracks.repeated(sample.arrays),
            restart=False,
            capture_ms=0.0,
            preprocess_ms=0.0,
        )
        rest = zip(pick.ticks_s[1:], pick.gaps[1:], strict=True)
        return [sample, *(replace(again, tick_s=tick_s, gap=gap) for tick_s, gap in rest)]


def is_blank(picture: UInt8Array) -> bool:
    """True where a picture `(H, W, 3)` is of one colour: nothing is seen in it.

    Looked at on a diagonal, then on a grid: nearly all others differ on the diagonal.
    """
    height, width = picture.shape[:2]
    blue = picture.item(0, 0, 0)
    # Mostly the first few pixels differ already, and as plain numbers they are soonest compared.
    for i in range(1, 8):
        if abs(picture.item(i * height // 8, i * width // 8, 0) - blue) > _ONE_COLOUR:
            return False
    step = max(1, min(height, width) // 32)
    grid = picture[::step, ::step].astype(np.int16)
    return bool(np.abs(grid - grid[0, 0]).max() <= _ONE_COLOUR)


def check_motion(inputs: Sequence[InputSpec], source_id: str, num_frames: int | None) -> None:
    """Raise SourceError where optical flow is asked of a source of a single frame.

    Args:
        num_frames: Of the source; None where unknown.
    """
    flows = [i.name for i in inputs if i.modality == "flow"]
    if flows and num_frames is not None and num_frames < 2:
        raise SourceError(
            f"{source_id} is a single picture, and input {flows[0]!r} of the model takes optical "
            "flow, which needs two frames at least",
            "Give a video",
        )
