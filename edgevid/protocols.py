"""The seams of the runtime. Each has one verb that must be written, and `close`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from edgevid.types import (
    Array,
    Event,
    Float32Array,
    Frame,
    FrameTime,
    Outage,
    Prediction,
    SourceInfo,
    SourceStats,
    TensorInfo,
)

WantFrame = Callable[[FrameTime], bool]
"""Asked once for every frame, in order; only frames it accepts are converted to pixels."""


def every_frame(time: FrameTime) -> bool:  # noqa: ARG001 - the shape of WantFrame
    """The `WantFrame` that skips nothing."""
    return True


@runtime_checkable
class FrameSource(Protocol):
    """Something that frames come from."""

    @property
    def source_id(self) -> str:
        """Name that predictions carry; never holds a password."""
        ...

    @property
    def info(self) -> SourceInfo: ...

    @property
    def stats(self) -> SourceStats: ...

    def read(self, want: WantFrame = every_frame) -> Frame | None:
        """The next frame that `want` accepts; None at the end of the source.

        Frames that `want` refuses are not converted or copied.

        Raises:
            SourceError: The source failed before its end.
        """
        ...

    def close(self) -> None: ...


@runtime_checkable
class ForeseeingSource(Protocol):
    """A source that need not decode what nobody asks for, where it knows that beforehand."""

    def foresee(self, want: WantFrame) -> None:
        """Leave out what `read` will not be asked for, where that is possible.

        Args:
            want: Answers as what `read` is going to be given, from the first frame on; it is asked
                about the same frames in the same order, but earlier.
        """
        ...


@runtime_checkable
class Engine(Protocol):
    """Something that runs a graph."""

    @property
    def name(self) -> str:
        """For people and reports, such as "onnxruntime 1.23 (CPU, 2 threads)"."""
        ...

    @property
    def inputs(self) -> Sequence[TensorInfo]: ...

    @property
    def outputs(self) -> Sequence[TensorInfo]: ...

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph once.

        Args:
            feeds: Every input by name, batch first, C-contiguous.

        Returns:
            Every output by name, batch first; the caller may keep the arrays.

        Raises:
            EngineError: A feed does not fit the input, or the device failed.
        """
        ...

    def close(self) -> None: ...


@runtime_checkable
class SizedBatches(Engine, Protocol):
    """An engine that was made ready for batches up to a size; larger ones cost it more."""

    @property
    def max_batch(self) -> int:
        """The largest batch of one call, where the graph's batch varies; else 0."""
        ...


@runtime_checkable
class LendingEngine(SizedBatches, Protocol):
    """An engine that lends the memory that it reads its inputs from."""

    def lend(self, batch: int) -> dict[str, Array]:
        """Arrays of the inputs' shapes to write into, for the next `infer` alone.

        Args:
            batch: At most `max_batch`.

        Raises:
            EngineError: The batch is too large, or the engine is closed or busy.
        """
        ...


@runtime_checkable
class Smoother(Protocol):
    """Turns the scores of successive windows of one stream into steadier ones."""

    def update(self, scores: Float32Array, time_s: float) -> Float32Array:
        """Take the scores `(C,)` of the window that ends at `time_s`; give the smoothed ones."""
        ...

    def reset(self) -> None:
        """Forget everything: the stream starts anew, or has a gap."""
        ...


TimedScores = tuple[Float32Array, float]
"""Scores `(C,)` float32, and the end of the window that they are of, in seconds."""


@runtime_checkable
class DelayedSmoother(Protocol):
    """A smoother that waits for later windows before it answers.

    Every window gets one answer, in their order.
    """

    def push(self, scores: Float32Array, time_s: float) -> list[TimedScores]:
        """Take the scores of the window that ends at `time_s`; the answers that are ready."""
        ...

    def flush(self) -> list[TimedScores]:
        """Answer what still waits and forget everything: the stream ends, or has a gap."""
        ...


@runtime_checkable
class Sink(Protocol):
    """Something that predictions go to."""

    def write(self, prediction: Prediction) -> None:
        """Take one prediction.

        Raises:
            OutputError: It cannot be delivered.
        """
        ...

    def close(self) -> None: ...


@runtime_checkable
class EventSink(Protocol):
    """A sink that also takes events."""

    def write_event(self, event: Event) -> None: ...


@runtime_checkable
class OutageSink(Protocol):
    """A sink that is also told when a live source is lost, and when it is back."""

    def write_outage(self, outage: Outage) -> None: ...


@runtime_checkable
class FrameSink(Protocol):
    """A sink that also shows pictures: sees every frame that was sampled."""

    def write_frame(self, frame: Frame) -> None: ...
