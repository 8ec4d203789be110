"""The values that travel through the pipeline: frozen, NumPy only.

Times: `*_s` are seconds on the source's own clock (presentation timestamps);
`received_ns` is `time.monotonic_ns()` when the frame reached this process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from typing_extensions import dataclass_transform

UInt8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]
Array = npt.NDArray[Any]

_UINT8 = np.dtype(np.uint8)
_C = TypeVar("_C")


@dataclass_transform(frozen_default=True)
def record(cls: type[_C]) -> type[_C]:
    """A dataclass that type checkers hold to be frozen.

    Python does not: that would make each of them take five times as long to make, and there is
    one, or more, for every frame.
    """
    return dataclass(slots=True)(cls)


@record
class FrameTime:
    """When a frame is shown, known before its pixels are converted.

    Attributes:
        index: Position among the frames that decoded, from 0.
        pts_s: Presentation time in seconds from the start of the source; strictly increasing.
        next_pts_s: Presentation time of the frame after this one: exact for files,
            estimated from the frame rate for live sources; for the last frame of a file,
            its own end.
        received_ns: `time.monotonic_ns()` at which the frame reached this process.
        taken_ns: The same clock when the camera took it, where its driver says; else 0.
        restart: True on the first frame after the source was away: it continues nothing.
    """

    index: int
    pts_s: float
    next_pts_s: float
    received_ns: int = 0
    restart: bool = False
    taken_ns: int = 0


@record
class Frame:
    """One decoded picture.

    Attributes:
        data: `(H, W, 3)` uint8, BGR, upright (rotation metadata applied).
        time: When it is shown.
        source_id: Name of the source, as given to `open_source`.
    """

    data: UInt8Array
    time: FrameTime
    source_id: str

    def __post_init__(self) -> None:
        shape = self.data.shape
        if len(shape) != 3 or shape[2] != 3 or self.data.dtype != _UINT8:
            raise ValueError(
                f"a frame is (H, W, 3) uint8; got shape {shape}, dtype {self.data.dtype}"
            )


@dataclass(frozen=True)
class SourceInfo:
    """What a source says of itself when it is opened.

    Attributes:
        width, height: Of the upright picture, in pixels.
        fps: Nominal frame rate in frames a second; 0.0 where unknown (still images).
        num_frames: The frame count that the header claims; None where unknown (live).
        is_live: True where frames arrive by the clock and waiting loses them.
        description: How it is read, for people ("h264 1280x720 via PyAV").
        pipeline: The GStreamer command that shows the same, without passwords; empty: there is
            none.
    """

    width: int
    height: int
    fps: float
    num_frames: int | None
    is_live: bool
    description: str
    pipeline: str = ""


@dataclass(frozen=True)
class SourceStats:
    """What was read of a source so far.

    Attributes:
        frames_read: Frames used or skipped; of those skipped some may not have been decoded.
        frames_lost: Frames that the file holds or claims and that did not decode.
        pts_repaired: Frames whose timestamp was missing or ran backwards and was replaced.
        notes: Facts a user should see, one sentence each.
    """

    frames_read: int = 0
    frames_lost: int = 0
    pts_repaired: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outage:
    """A live source was lost, is back, or is still away for a fault that nobody foresaw.

    Attributes:
        source_id: Name of the source.
        at_s: Presentation time of its last frame before, in seconds.
        reason: Why it was lost, or that fault.
        attempts: How often it was tried again so far.
        lasted_s: Seconds from its last frame to the first one after; None: it is still away.
        traceback: Where it was lost by a fault of edgevid or of a library, not by its own.
    """

    source_id: str
    at_s: float
    reason: str
    attempts: int = 0
    lasted_s: float | None = None
    traceback: str | None = None

    @property
    def is_loss(self) -> bool:
        """True where the outage begins with this."""
        return self.lasted_s is None and self.attempts == 0


@record
class SampledFrame:
    """One sampled instant, cropped and resized for every track of the model's inputs.

    Attributes:
        arrays: Track name (see `edgevid.tracks`) to `(H, W, channels)` uint8, BGR or flow.
        time: Of the frame that was chosen.
        tick_s: The instant that the contract asked for, in seconds.
        gap: True where no frame lies near enough to `tick_s`.
        restart: True on the first instant after a discontinuity: older frames no longer count.
        blank: The picture is of one colour: nothing is seen in it.
        capture_ms, preprocess_ms: Time spent on decoding up to it and on crop and resize.
    """

    arrays: dict[str, UInt8Array]
    time: FrameTime
    tick_s: float
    gap: bool = False
    restart: bool = False
    capture_ms: float = 0.0
    preprocess_ms: float = 0.0
    blank: bool = False


@record
class Clip:
    """One window of frames, ready for the engine.

    Attributes:
        source_id: Name of the source.
        index: Window number within the source, from 0.
        pts_s: The T frames' presentation times.
        frames: Numbers of its T frames, which tell them apart as long as the stream lasts; a
            frame that stands for two samples is there twice.
        arrays: Input name to uint8, `(K, H, W, channels)`, or `(H, W, channels)` of one frame.
            Views into the ring: valid until the next frame is pushed.
        gap: True where a frame of the window lies farther from its instant than the
            contract tolerates.
        padded: How many frames at the end repeat the last one (a file shorter than a window).
        newest_received_ns: When the newest frame of the window reached this process.
        newest_taken_ns: When the camera took it, where its driver says; else 0.
        blank: Every frame of the window is of one colour.
        capture_ms, preprocess_ms: Spent on the frames that are new since the last window.
    """

    source_id: str
    index: int
    pts_s: tuple[float, ...]
    frames: tuple[int, ...]
    arrays: dict[str, UInt8Array]
    gap: bool = False
    padded: int = 0
    newest_received_ns: int = 0
    capture_ms: float = 0.0
    preprocess_ms: float = 0.0
    newest_taken_ns: int = 0
    blank: bool = False

    @property
    def start_s(self) -> float:
        return self.pts_s[0]

    @property
    def end_s(self) -> float:
        return self.pts_s[-1]


@record
class StageTimings:
    """Where the time of one prediction went, in milliseconds.

    `infer` is the engine's call; of several windows of one source that share it, each its part.
    `queue` is the rest of the time from the arrival of the newest frame to the engine's answer,
    less preprocessing; `total` from its arrival, or from when the camera took it (see
    `Prediction.latency_from`), to the emitted label.
    """

    capture_ms: float = 0.0
    preprocess_ms: float = 0.0
    queue_ms: float = 0.0
    infer_ms: float = 0.0
    post_ms: float = 0.0
    total_ms: float = 0.0


LatencyFrom = Literal["arrival", "capture"]
"""Where a latency begins: the frame reached this process, or the camera took it."""


@record
class Prediction:
    """The answer for one window.

    Attributes:
        source_id: Name of the source.
        index: Window number within the source, from 0.
        start_s, end_s: Presentation times of the window's first and last frame.
        scores: `(C,)` float32, the model's own scores for this window, each in [0, 1].
        smoothed: `(C,)` float32, after smoothing; equal to `scores` without a smoother.
        label, score: The best class after smoothing.
        raw_label, raw_score: The best class of this window alone.
        gap: The window misses frames that the contract asks for.
        padded: How many of its frames repeat the last one.
        timings: Where the time went.
        restart: Smoothing began anew with this window: what came before no longer counted.
        lag_s: How long after `end_s`, on the source's clock, this was decided: above 0 where a
            smoother waited for windows to come.
        latency_from: Where `timings.total_ms` begins: at the newest frame's arrival, or at its
            capture, where the camera's driver stamps it.
        blank: Every frame of the window is of one colour: a covered lens, a loose cable.
    """

    source_id: str
    index: int
    start_s: float
    end_s: float
    scores: Float32Array
    smoothed: Float32Array
    label: str
    score: float
    raw_label: str
    raw_score: float
    gap: bool = False
    padded: int = 0
    timings: StageTimings = field(default_factory=StageTimings)
    restart: bool = False
    lag_s: float = 0.0
    latency_from: LatencyFrom = "arrival"
    blank: bool = False


ClosedBy = Literal["offset", "gap", "end"]
"""Why an event ended: its score fell off, the stream has a gap, or it is over."""


@dataclass(frozen=True)
class Event:
    """A label began to be seen (`end_s` is None), or has been seen from start to end.

    Attributes:
        source_id: Name of the source.
        index: Number of the event within the source, from 0; the same at start and end.
        label: What is seen.
        start_s: End of the first window that showed it.
        end_s: End of the first window that no longer did; None: it goes on.
        peak_score, mean_score: Of the windows from start to end, or so far; after smoothing.
        decided_s: When this was known, on the source's clock.
        closed_by: Why it ended; None: it goes on.
    """

    source_id: str
    index: int
    label: str
    start_s: float
    end_s: float | None
    peak_score: float
    mean_score: float
    decided_s: float
    closed_by: ClosedBy | None = None


@dataclass(frozen=True)
class TensorInfo:
    """Interface of one engine input or output.

    Attributes:
        name: As in the graph.
        shape: Dimensions; None where dynamic (the batch).
        dtype: NumPy's name, such as "uint8" or "float32".
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    @property
    def batch_axis(self) -> int | None:
        """The open axis: the first, or another of a state; None where the batch is fixed."""
        return self.shape.index(None) if None in self.shape else None
